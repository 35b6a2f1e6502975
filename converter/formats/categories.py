"""The category classifier in our JSON files: multinomial logistic regression, from an embedding to a category."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from modelpick.runtime.features import CATEGORIES

from .decoding import Name, check_length, refuse

# Field of any JSON model that holds it; ours alone have it.
CATEGORY_CLASSIFIER = "category_classifier"
# No larger ones, so that no sum of products with float32 overflows.
Coefficient = Annotated[float, Meta(ge=-1e100, le=1e100)]


class CategoryClassifier(Struct, frozen=True, eq=False):
    """Coefficients as scikit-learn's LogisticRegression has them; for e columns of an embedding."""

    classes: Annotated[list[Name], Meta(min_length=2)]
    """Categories, n of them."""
    coef: list[list[Coefficient]]
    """Shape (n, e); of two classes (1, e), and the second is picked above 0."""
    intercept: list[Coefficient]
    """A value for each row of ``coef``."""
    accuracy: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """Share of the training queries that it was right on, in cross-validation."""


def check_classifier(classifier: CategoryClassifier, path: str) -> None:
    """Refuse a classifier whose parts disagree, or of categories that vectors have no column for."""
    for index, name in enumerate(classifier.classes):
        if name not in CATEGORIES:
            refuse(f"{path}.classes[{index}]", f"expected one of {', '.join(CATEGORIES)}, got {name!r}")
        if name in classifier.classes[:index]:
            refuse(f"{path}.classes[{index}]", f"expected each category once, got {name!r} again")
    count = len(classifier.classes)
    rows, of = (count, "class") if count > 2 else (1, "two classes")
    check_length(classifier.coef, rows, f"{path}.coef", of)
    check_length(classifier.intercept, rows, f"{path}.intercept", of)
    width = len(classifier.coef[0])
    if not width:
        refuse(f"{path}.coef[0]", "expected at least one number")
    for index, row in enumerate(classifier.coef):
        if len(row) != width:
            refuse(f"{path}.coef[{index}]", f"expected {width} numbers, got {len(row)}")
