"""What the JSON of a kernel ridge model holds: a form of our own, which the original does not read."""

from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from modelpick.runtime.decision.objective import known_kinds
from modelpick.runtime.decision.outcomes import OUTCOMES, PLACES, QUALITY

from ...formats.decoding import Name, Size, check_length, check_size, refuse
from ...formats.operating_points import OperatingPoints, checked_points
from ...formats.reader import Reader
from ...formats.source import Source
from .estimators import KernelRidgeModelSelector


class OutcomeForm(Struct):
    """How one kind of outcome is predicted."""

    dual_coef: list[list[float]]
    intercept: list[float]


class KernelRidgeForm(Struct):
    """Support vectors, which all models share, and coefficients for each kind of outcome."""

    model_names: Annotated[list[Name], Meta(min_length=1)]
    gamma: Annotated[float, Meta(ge=0)]
    support_vectors: list[Raw]
    outcomes: dict[str, OutcomeForm]
    feature_dim: Size = UNSET
    ridge: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    """The penalty that it was trained with."""
    default: Name | UnsetType | None = UNSET
    operating_points: OperatingPoints | UnsetType | None = UNSET


def load(form: KernelRidgeForm, source: Source, reader: Reader) -> KernelRidgeModelSelector:
    """Check the coefficients, and return their estimator."""
    names, n_models = form.model_names, len(form.model_names)
    if len(set(names)) != n_models:
        refuse("$.model_names", "expected each name once")
    vectors = reader.matrix(form.support_vectors, "$.support_vectors")
    check_size(form.feature_dim, vectors.shape[1], "$.feature_dim", "the columns of $.support_vectors")
    if OUTCOMES[QUALITY] not in form.outcomes:
        refuse("$.outcomes", f"expected {OUTCOMES[QUALITY]} among them")
    dual_coef = np.zeros((len(vectors), len(OUTCOMES), n_models))
    intercept = np.full((len(OUTCOMES), n_models), np.nan)
    for kind, outcome in form.outcomes.items():
        path = f"$.outcomes.{kind}"
        if kind not in OUTCOMES:
            refuse(path, f"expected one of {', '.join(OUTCOMES)}")
        check_length(outcome.intercept, n_models, f"{path}.intercept", "model of $.model_names")
        check_length(outcome.dual_coef, len(vectors), f"{path}.dual_coef", "row of $.support_vectors")
        for index, row in enumerate(outcome.dual_coef):
            check_length(row, n_models, f"{path}.dual_coef[{index}]", "model of $.model_names")
        dual_coef[:, PLACES[kind]] = outcome.dual_coef
        intercept[PLACES[kind]] = outcome.intercept
    if form.default and form.default not in names:
        refuse("$.default", f"expected one of {', '.join(names)}, got '{form.default}'")
    points = checked_points(form.operating_points or None, tuple(names), "$.operating_points")
    estimator = KernelRidgeModelSelector(form.gamma, source.semantics)
    return estimator.fit(vectors, dual_coef, intercept, names, form.default or None, points)


def outcome_fields(estimator: KernelRidgeModelSelector) -> dict[str, Any]:
    """Return the ``outcomes`` of a `KernelRidgeForm`, without kinds that are not predicted."""
    return {
        kind: {
            "dual_coef": estimator.dual_coef_[:, PLACES[kind]].tolist(),
            "intercept": estimator.intercept_[PLACES[kind]].tolist(),
        }
        for kind in known_kinds(estimator.intercept_)
    }
