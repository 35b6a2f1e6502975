"""What the JSON of support vector machines holds: a classifier for each model, or the parameters of an SVC.

A form is checked into its estimator; a trained estimator is written as its form.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ...files.io import Contents
from ...formats.decoding import INT64, Count, IgnoredSize, Name, Size, check_length, check_size, decode, refuse, vector
from ...formats.reader import Reader
from ...formats.source import Source
from .estimators import (
    KernelClassifier,
    LinearClassifier,
    OneVsOneModelSelector,
    OneVsRestModelSelector,
    TrainedPairs,
)

# Kernels by their names in files; the original's training code writes scikit-learn's names.
Kernel = Literal["rbf", "linear"]
KERNELS: dict[str, Kernel] = {"Rbf": "rbf", "Linear": "linear"}
# A model may have no support vectors.
Support = Annotated[int, Meta(ge=0, le=INT64[1])]


class LinearForm(Struct):
    """A linear classifier: ``weights . x - rho``."""

    model_name: Name
    weights: Raw
    rho: float

    def checked(self, path: str) -> LinearClassifier:
        """Return the classifier."""
        return LinearClassifier(self.model_name, vector(self.weights, f"{path}.weights"), -self.rho)


class KernelForm(Struct):
    """A kernel machine: ``sum(alpha * exp(-gamma * |x - sv|^2)) - rho``."""

    model_name: Name
    alpha: list[float]
    support_vectors: list[Raw]
    rho: float
    gamma: Annotated[float, Meta(gt=0)]

    def checked(self, path: str, reader: Reader) -> KernelClassifier:
        """Return the classifier."""
        support_vectors = reader.matrix(self.support_vectors, f"{path}.support_vectors")
        check_length(self.alpha, len(support_vectors), f"{path}.alpha", "row of support_vectors")
        alpha = np.array(self.alpha, dtype=np.float64)
        return KernelClassifier(self.model_name, support_vectors, alpha, -self.rho, self.gamma)


class OneVsRestForm(Struct):
    """Classifiers, each of which repeats ``kernel_type`` and ``gamma``."""

    model_names: list[Name] | UnsetType | None = UNSET
    kernel_type: Name | UnsetType | None = UNSET
    gamma: float | UnsetType | None = UNSET
    feature_dim: Size = UNSET
    n_classes: IgnoredSize = UNSET
    linear_classifiers: list[LinearForm] | UnsetType | None = UNSET
    rbf_classifiers: list[KernelForm] | UnsetType | None = UNSET


def load_one_vs_rest(form: OneVsRestForm, source: Source, reader: Reader) -> OneVsRestModelSelector:
    """Check the classifiers, and return their estimator."""
    linear = [one.checked(f"$.linear_classifiers[{i}]") for i, one in enumerate(form.linear_classifiers or [])]
    rbf = [one.checked(f"$.rbf_classifiers[{i}]", reader) for i, one in enumerate(form.rbf_classifiers or [])]
    widths = {f"$.linear_classifiers[{i}].weights": len(c.coef) for i, c in enumerate(linear)}
    widths |= {f"$.rbf_classifiers[{i}].support_vectors": c.support_vectors.shape[1] for i, c in enumerate(rbf)}
    if not widths:
        instead = "; --semantics native/2 picks by its SVC" if _has_parameters(reader.text) else ""
        refuse("$", f"expected at least one of linear_classifiers or rbf_classifiers{instead}")
    first, expected = next(iter(widths.items()))
    for path, width in widths.items():
        if width != expected:
            refuse(path, f"expected {expected} columns as in {first}, got {width}")
    check_size(form.feature_dim, expected, "$.feature_dim", f"the columns of {first}")
    if form.model_names:
        named = {f"$.linear_classifiers[{i}]": c.model_name for i, c in enumerate(linear)}
        named |= {f"$.rbf_classifiers[{i}]": c.model_name for i, c in enumerate(rbf)}
        for path, name in named.items():
            if name not in form.model_names:
                refuse(f"{path}.model_name", f"expected one of $.model_names, got {name!r}")
        reader.ignored_size(form.n_classes, len(form.model_names), "$.n_classes", "$.model_names")
    held = {"Linear": bool(linear), "Rbf": bool(rbf)}
    if form.kernel_type and held != {kernel: kernel == form.kernel_type for kernel in held}:
        reader.warn("$.kernel_type", f"{form.kernel_type!r} disagrees with the classifiers, which are scored")
    return OneVsRestModelSelector().fit(linear, rbf, form.model_names or ())


def classifiers(estimator: OneVsRestModelSelector) -> dict[str, list[dict[str, Any]]]:
    """Return the fields of a `OneVsRestForm` that hold the classifiers."""
    linear = zip(estimator.choice_models_.tolist(), estimator.coef_, estimator.intercept_, strict=False)
    return {
        "linear_classifiers": [
            {"model_name": name, "weights": coef.tolist(), "rho": -float(intercept)} for name, coef, intercept in linear
        ],
        "rbf_classifiers": [
            {
                "model_name": machine.model_name,
                "alpha": machine.dual_coef.tolist(),
                "support_vectors": machine.support_vectors.tolist(),
                "rho": -machine.intercept,
                "gamma": machine.gamma,
            }
            for machine in estimator.machines_
        ],
    }


class Parameters(Struct):
    """The parameters of a scikit-learn SVC."""

    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Support]


PARAMETERS = Parameters.__struct_fields__


class OneVsOneForm(Struct):
    """An SVC, in files of version 2, or at the top level of older files.

    Some files also hold classifiers as a substitute for the SVC, which are not read.
    """

    model_names: Annotated[list[Name], Meta(min_length=2)]
    kernel_type: Literal["Rbf", "Linear"]
    gamma: Annotated[float, Meta(gt=0)]
    format_version: int | UnsetType | None = UNSET
    feature_dim: Size = UNSET
    n_classes: IgnoredSize = UNSET
    input_normalization: Literal["none"] | UnsetType | None = UNSET
    svc: Parameters | UnsetType | None = UNSET
    support_vectors: list[Raw] | UnsetType | None = UNSET
    dual_coef: list[list[float]] | UnsetType | None = UNSET
    intercept: list[float] | UnsetType | None = UNSET
    n_support: list[Support] | UnsetType | None = UNSET

    def parameters(self, source: Source) -> tuple[Parameters, str]:
        """Return the parameters, and their path; `Source.fields` keep only the parameters."""
        if self.svc:
            for name in PARAMETERS:
                source.fields.pop(name, None)
            return self.svc, "$.svc"
        return Parameters(**{name: getattr(self, name) or [] for name in PARAMETERS}), "$"


class TrainerForm(Struct):
    """An SVC as the original's training code reads it."""

    model_names: Annotated[list[Name], Meta(min_length=2)]
    kernel: Kernel
    gamma: Annotated[float, Meta(gt=0)]
    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Count]
    classes: list[int]
    feature_dim: Size = UNSET
    n_classes: IgnoredSize = UNSET


class _Found(Struct):
    """The fields that tell whether a file holds the parameters of an SVC, and where."""

    format_version: int | None = None
    svc: dict[str, Raw] | None = None
    support_vectors: list[Raw] | None = None
    dual_coef: list[Raw] | None = None
    intercept: list[Raw] | None = None
    n_support: list[Raw] | None = None

    @property
    def at_top_level(self) -> bool:
        return any(getattr(self, name) for name in PARAMETERS)


def _has_parameters(data: Contents) -> bool:
    found = decode(data, _Found)
    return found.svc is not None or found.at_top_level


def one_vs_rest_instead(data: Contents) -> str | None:
    """Return the semantics of the classifiers for an older file without the parameters of an SVC, as the original does.

    A file that has no classifiers either is refused by those semantics, where the original picks the first name.

    Raises
    ------
    Refusal
        When a file of version 2 lacks the parameters.
    """
    found = decode(data, _Found)
    if found.svc is not None:
        return None
    if found.format_version == 2:
        refuse("$.svc", f"expected {', '.join(PARAMETERS)}, which a file of version 2 has")
    return None if found.at_top_level else OneVsRestModelSelector.semantics


def load_one_vs_one(form: OneVsOneForm, source: Source, reader: Reader) -> OneVsOneModelSelector:
    """Check the SVC of all models, and return its estimator."""
    for index, name in enumerate(form.model_names):
        if name in form.model_names[:index]:
            refuse(f"$.model_names[{index}]", f"expected each model once, got {name!r} again")
    parameters, path = form.parameters(source)
    estimator = OneVsOneModelSelector(KERNELS[form.kernel_type], form.gamma, source.semantics)
    _fit(estimator, parameters, path, form.model_names, reader)
    width, of = estimator.n_features_in_, f"the columns of {path}.support_vectors"
    if form.format_version == 2 and not isinstance(form.feature_dim, int):
        refuse("$.feature_dim", f"expected {width}, {of}, which a file of version 2 says")
    check_size(form.feature_dim, width, "$.feature_dim", of)
    reader.ignored_size(form.n_classes, len(form.model_names), "$.n_classes", "$.model_names")
    return estimator


def load_trainer(form: TrainerForm, source: Source, reader: Reader) -> OneVsOneModelSelector:
    """Check the SVC of the models that are its classes, and return its estimator."""
    n = len(form.classes)
    if n < 2 or len(set(form.classes)) != n or not all(0 <= c < len(form.model_names) for c in form.classes):
        refuse("$.classes", f"expected two or more indices of the {len(form.model_names)} $.model_names")
    reader.ignored_size(form.n_classes, len(form.model_names), "$.n_classes", "$.model_names")
    parameters = Parameters(form.support_vectors, form.dual_coef, form.intercept, form.n_support)
    estimator = OneVsOneModelSelector(form.kernel, form.gamma, source.semantics)
    _fit(estimator, parameters, "$", [form.model_names[c] for c in form.classes], reader)
    check_size(form.feature_dim, estimator.n_features_in_, "$.feature_dim", "the columns of $.support_vectors")
    return estimator


def _fit(
    estimator: OneVsOneModelSelector, parameters: Parameters, path: str, names: Sequence[str], reader: Reader
) -> None:
    n = len(names)
    support_vectors = reader.matrix(parameters.support_vectors, f"{path}.support_vectors")
    count = len(support_vectors)
    check_length(parameters.n_support, n, f"{path}.n_support", "class")
    of = f"vector that {path}.n_support counts"
    check_length(support_vectors, sum(parameters.n_support), f"{path}.support_vectors", of)
    check_length(parameters.dual_coef, n - 1, f"{path}.dual_coef", "class but one")
    for index, row in enumerate(parameters.dual_coef):
        check_length(row, count, f"{path}.dual_coef[{index}]", f"row of {path}.support_vectors")
    check_length(parameters.intercept, n * (n - 1) // 2, f"{path}.intercept", "pair of classes")
    dual_coef, intercept = np.array(parameters.dual_coef, np.float64), np.array(parameters.intercept, np.float64)
    estimator.fit(support_vectors, dual_coef, intercept, parameters.n_support, names)


def svc_parameters(svc: TrainedPairs | OneVsOneModelSelector) -> dict[str, Any]:
    """Return the fields of `Parameters`."""
    return {name: getattr(svc, f"{name}_").tolist() for name in PARAMETERS}
