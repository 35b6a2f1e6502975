"""Kernel ridge regression: one kernel predicts quality, cost and seconds of every model; the best utility is picked.

Ours: the original has no such files. All models share the support vectors, which are queries of the training data or
some of them, landmarks. scikit-learn's `KernelRidge` is the estimator, and its solution with landmarks is that of
`Nystroem` followed by ``Ridge``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.objective import Objective, choose, floored, known_kinds, utilities
from modelpick.runtime.decision.outcomes import COST, OUTCOMES, PLACES, QUALITY, n_held
from modelpick.runtime.decision.shrinkage import Deviations, deviations
from modelpick.runtime.schema import Entry, Output, Table

from ...formats.decoding import Name, Size, check_length, check_size, refuse
from ...formats.distinct import Names, name_array
from ...formats.document import Document, Source
from ...formats.operating_points import OperatingPoints, checked_points
from ...formats.outcomes import Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    by_differences,
    can_expand,
    error_shares,
    of_directions,
    stored_support_vectors,
)
from ...graphs.unit_length import add_directions, directions
from ..base import Estimator, Matrix, checked_features
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Probes, Row, Trial, WholeGraph, via_document

# Rules -> what no predicted cost or time is below.
_LEAST_PRICES = {"native/1": -np.inf, "native/2": 0.0}
# Widths of the kernel, and penalties, that tuning tries.
GAMMAS, RIDGES = (0.5, 1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 8.0, 16.0)
Mask = npt.NDArray[np.bool_]


class OutcomeForm(Struct):
    """How one kind of outcome is predicted."""

    dual_coef: list[list[float]]
    intercept: list[float]


class KernelRidgeForm(Struct):
    """Support vectors once, and coefficients for each kind of outcome."""

    model_names: Annotated[list[Name], Meta(min_length=1)]
    gamma: Annotated[float, Meta(ge=0)]
    support_vectors: list[Raw]
    outcomes: dict[str, OutcomeForm]
    feature_dim: Size = UNSET
    default: Name | UnsetType | None = UNSET
    operating_points: OperatingPoints | UnsetType | None = UNSET


class KernelRidgeDocument(Document, frozen=True, eq=False):
    """A checked kernel ridge model."""

    model_names: tuple[str, ...]
    gamma: float
    support_vectors: Matrix
    """Float64, shape (s, d), of unit length as they were trained."""
    dual_coef: Matrix
    """Float64, shape (s, n_kinds, n_models); 0 for kinds of outcomes that are not predicted."""
    intercept: Matrix
    """Mean outcomes, float64, shape (n_kinds, n_models); NaN for kinds of outcomes that are not predicted."""
    default: str
    """Model that is best on average."""
    operating_points: dict[str, Any] | None


def _check(form: KernelRidgeForm, source: Source, reader: Reader) -> KernelRidgeDocument:
    names, n_models = tuple(form.model_names), len(form.model_names)
    if len(set(names)) != n_models:
        refuse("$.model_names", "expected each name once")
    vectors = reader.matrix(form.support_vectors, "$.support_vectors")
    check_size(form.feature_dim, vectors.shape[1], "$.feature_dim", "the columns of $.support_vectors")
    if OUTCOMES[QUALITY] not in form.outcomes:
        refuse("$.outcomes", f"expected {OUTCOMES[QUALITY]} among them")
    held = n_held(kind for kind in form.outcomes if kind in OUTCOMES)
    dual_coef = np.zeros((len(vectors), held, n_models))
    intercept = np.full((held, n_models), np.nan)
    for kind, outcome in form.outcomes.items():
        path = f"$.outcomes.{kind}"
        if kind not in OUTCOMES:
            refuse(path, f"expected one of {', '.join(OUTCOMES)}")
        check_length(outcome.intercept, n_models, f"{path}.intercept", "model of $.model_names")
        check_length(outcome.dual_coef, len(vectors), f"{path}.dual_coef", "row of $.support_vectors")
        for index, row in enumerate(outcome.dual_coef):
            check_length(row, n_models, f"{path}.dual_coef[{index}]", "model of $.model_names")
        dual_coef[:, OUTCOMES.index(kind)] = outcome.dual_coef
        intercept[OUTCOMES.index(kind)] = outcome.intercept
    if form.default and form.default not in names:
        refuse("$.default", f"expected one of {', '.join(names)}, got '{form.default}'")
    return KernelRidgeDocument(
        source=source,
        model_names=names,
        gamma=form.gamma,
        support_vectors=vectors,
        dual_coef=dual_coef,
        intercept=intercept,
        default=form.default or names[int(intercept[0].argmax())],
        operating_points=checked_points(form.operating_points or None, names, "$.operating_points"),
    )


class KernelRidgeModelSelector(Estimator, KernelRidge):
    """Picks the model of the highest predicted quality, or utility.

    ``outcome = intercept + sum_i dual_coef_i exp(-gamma |x - sv_i|^2)``, x scaled to unit length.

    Parameters
    ----------
    gamma : float, default=1.0
    semantics : {"native/1", "native/2"}, default="native/2"
        By the second, predicted costs and seconds are not below 0.

    Attributes
    ----------
    X_fit_ : ndarray of float64, shape (s, d)
        Support vectors.
    dual_coef_ : ndarray of float64, shape (s, n_kinds * n_models)
    intercept_ : ndarray of float64, shape (n_kinds * n_models,)
        Mean outcomes, kind after kind; NaN for kinds that are not predicted.
    model_names_ : ndarray of str, shape (n_models,)
    default_ : str
        Model that is best on average.
    operating_points_ : dict or None
        See `modelpick.converter.formats.operating_points`.
    """

    model_names_: Names

    def __init__(self, gamma: float = 1.0, semantics: str = "native/2") -> None:
        super().__init__(kernel="rbf", gamma=gamma)
        self.semantics = semantics

    @property
    def least_price(self) -> float:
        """What no predicted cost or time is below."""
        return _LEAST_PRICES[self.semantics]

    def take(self, support_vectors: Matrix, dual_coef: Matrix, intercept: Matrix, model_names: Sequence[str]) -> Self:
        """Take over what was trained elsewhere; coefficients (s, n_kinds, n_models), intercepts (n_kinds, n_models)."""
        self.X_fit_, self.n_features_in_ = support_vectors, support_vectors.shape[1]
        self.dual_coef_ = dual_coef.reshape(len(support_vectors), -1)
        self.intercept_ = intercept.ravel()
        self.model_names_ = name_array(model_names)
        return self

    def outcomes(self, X: npt.ArrayLike) -> Matrix:
        """Predict outcomes of each model, float64, shape (b, n_kinds, n_models)."""
        features = directions(checked_features(self, X))
        predicted: Matrix = KernelRidge.predict(self, features) + self.intercept_
        return floored(predicted.reshape(len(features), -1, len(self.model_names_)), self.least_price)

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Predicted quality, float64, shape (b, n_models)."""
        return utilities(self.outcomes(X), Objective())

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,): the highest quality; of equal ones the cheaper, then the first."""
        outcomes = self.outcomes(X)
        picked = choose(utilities(outcomes, Objective()), outcomes[:, COST])
        names: Names = self.model_names_[picked]
        return names


def _build(document: KernelRidgeDocument) -> KernelRidgeModelSelector:
    estimator = KernelRidgeModelSelector(document.gamma, document.source.semantics)
    estimator.take(document.support_vectors, document.dual_coef, document.intercept, document.model_names)
    estimator.default_, estimator.operating_points_ = document.default, document.operating_points
    return estimator


OUTPUTS = {Output.PREDICTION: "double", Output.PREDICTION_ERROR: "double", Output.OUTCOME: "double"}


def _add_graph(graph: Graph, estimator: KernelRidgeModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write one Gemm for all support vectors, and one for all outcomes of all models.

    ::

        features ─ Div ─┬─ Gemm f32 ─ Mul ─ Add ─ Max 0 ─ Exp ─┬─ Gemm dual_coef ─ prediction (b, n_kinds m)
        (b, d)          │  support vectors                     └─ MatMul bounds ─ prediction_error (b, n_kinds)
                        └─ If refine: the same in float64 ─────── Gemm dual_coef ─ outcome (b, n_kinds m)

    The products with the support vectors are taken in float32 first. Each kernel is off by a share of its value, see
    `modelpick.converter.graphs.kernel`, a prediction by the sum of these, weighed with the largest ``|dual_coef|`` of
    any model. Where gamma is so large that cancellation in the expanded square could be seen, all is computed in
    float64 from the differences, and there is no error.
    """
    query = add_directions(graph, features)
    vectors, kinds = estimator.X_fit_, estimator.intercept_.size // len(estimator.model_names_)
    gammas = np.full(len(vectors), float(estimator.gamma))
    support = stored_support_vectors(graph, vectors, gammas)
    dual_coef, intercept = (
        graph.constant("dual_coef", estimator.dual_coef_),
        graph.constant("intercept", estimator.intercept_),
    )
    refined = graph.branch()
    coefficients = np.abs(estimator.dual_coef_).reshape(len(vectors), kinds, -1).max(axis=2)
    if _is_fast(estimator):
        kernel = of_directions(graph, query, support, FLOAT)
        exact = refined.node("Gemm", of_directions(refined, query, support, DOUBLE), dual_coef, intercept)
        bounds = coefficients * error_shares(vectors, gammas)[:, None]
    else:
        kernel = by_differences(graph, query.product(graph), support)
        exact, bounds = "", np.zeros_like(coefficients)
    graph.output(outputs[Output.PREDICTION], "Gemm", kernel, dual_coef, intercept)
    graph.output(outputs[Output.PREDICTION_ERROR], "MatMul", kernel, graph.constant("dual_coef_error", bounds))
    exact = exact or refined.node("Identity", outputs[Output.PREDICTION])
    graph.in_float64(outputs, OUTPUTS, refined, {Output.OUTCOME: exact})
    graph.constant(Table.MEAN_OUTCOMES, estimator.intercept_.reshape(kinds, -1))


def _is_fast(estimator: KernelRidgeModelSelector) -> bool:
    return can_expand(float(estimator.gamma), float(np.linalg.norm(estimator.X_fit_, axis=1).max()))


def _describe(estimator: KernelRidgeModelSelector) -> dict[str, Any]:
    count, width = estimator.X_fit_.shape
    intercept = estimator.intercept_.reshape(-1, len(estimator.model_names_))
    entries: dict[str, Any] = {
        Entry.CHOICES: list(estimator.model_names_),
        Entry.ROWS: count,
        Entry.K: 0,
        Entry.TIE_RULE: "utility, then cost, then model",
        Entry.VALUES_PER_QUERY: count + width if _is_fast(estimator) else count * width,
        Entry.OUTCOMES: known_kinds(intercept),
        Entry.DEFAULT: estimator.default_,
    }
    if np.isfinite(estimator.least_price):
        entries[Entry.LEAST_PRICE] = estimator.least_price
    if estimator.operating_points_ is not None:
        entries[Entry.OPERATING_POINTS] = estimator.operating_points_
    return entries


def _expect(
    estimator: KernelRidgeModelSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    names, nothing = estimator.model_names_, np.empty(0)
    for why, outcomes in zip(explained, estimator.outcomes(queries), strict=True):
        known = known_kinds(outcomes)
        found = [[why["outcomes"][name].get(kind, np.nan) for name in names] for kind in known]
        close = outcomes[0] >= outcomes[0].max() - TOLERANCE
        answer = Answer(np.array(found).ravel(), nothing)
        expected = Answer(outcomes[[PLACES[kind] for kind in known]].ravel(), nothing)
        yield Expected(answer, expected, set(names[close]), bool(close.sum() > 1))


def _hold(estimator: KernelRidgeModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    (found,) = ask((Output.OUTCOME,), queries)
    expected = estimator.outcomes(queries)
    yield Held(Output.OUTCOME, floored(found.reshape(expected.shape), estimator.least_price), expected)


class _Fitted(NamedTuple):
    """Coefficients by each of some ridges."""

    support_vectors: Matrix
    """Float64, shape (s, d)."""
    dual_coef: Matrix
    """Float64, shape (s, n_kinds, n_ridges, n_models)."""
    intercept: Matrix
    """Float64, shape (n_kinds, n_models)."""


def _fit(training: Training, ridges: Sequence[float]) -> _Fitted:
    """Fit all kinds of outcomes that are recorded, by each of some ridges; the kernel is evaluated once.

    ``f_m = b_m + S(a) + S_m(own_m)``: the mean of a model, what the models share on a query, and what each has of its
    own, see `modelpick.runtime.decision.shrinkage`; each S is a kernel ridge regression on the queries that it is known
    for. Smoothers are linear: what is known of the same queries takes one solve, and without missing outcomes that is
    one regression of ``y - b`` for all models.
    """
    smooth = _Smoother(directions(training.features), training.settings)
    outcomes = training.benchmark.outcomes()
    n_kinds, n_models = outcomes.shape[1:]
    intercept = np.full((n_kinds, n_models), np.nan)
    targets: dict[bytes, list[tuple[Matrix, int, slice]]] = {}
    for kind in range(n_kinds):
        split = deviations(outcomes[:, kind])
        intercept[kind] = split.base
        for known, values, models in _targets(split):
            targets.setdefault(known.tobytes(), []).append((values, kind, models))
    dual_coef = np.zeros((len(smooth.support_vectors), n_kinds, len(ridges), n_models))
    for mask, columns in targets.items():
        values = np.column_stack([values for values, _, _ in columns])
        solved = smooth(np.frombuffer(mask, np.bool_), values, ridges)
        for place, (_, kind, models) in enumerate(columns):
            dual_coef[:, kind, :, models] += solved[:, :, place, None]
    return _Fitted(smooth.support_vectors, dual_coef, intercept)


def _targets(split: Deviations) -> Iterator[tuple[Mask, Matrix, slice]]:
    """Yield what is solved for: the queries where it is known, (n,), the values, (n,), and the models that it is of."""
    complete = split.known.all()
    asked = np.asarray(split.known.any(axis=1))
    if not complete and asked.any():
        yield asked, split.common, slice(None)
    for model in range(split.known.shape[1]):
        known, own = np.asarray(split.known[:, model]), split.own[:, model]
        if known.any():
            yield known, split.common + own if complete else own, slice(model, model + 1)


class _Smoother:
    """Kernel ridge regression of any targets on some of the queries; coefficients of the same support vectors.

    Above `Settings.landmarks` distinct queries, so many of them, drawn at random, are the support vectors: the kernel
    is approximated by Nystroem, and a Ridge follows. Source: C. Williams, M. Seeger, Using the Nyström Method to Speed
    Up Kernel Machines, NIPS 2000.
    """

    def __init__(self, features: Matrix, settings: Settings) -> None:
        landmarks = _landmarks(features, settings)
        if landmarks is None:
            self.support_vectors, self._normalization = features, None
            self._kernel = rbf_kernel(features, gamma=settings.gamma)
        else:
            nystroem = Nystroem(gamma=settings.gamma, n_components=len(landmarks), random_state=0).fit(landmarks)
            self.support_vectors, self._normalization = nystroem.components_, nystroem.normalization_
            self._mapped = nystroem.transform(features)

    def __call__(self, known: Mask, targets: Matrix, ridges: Sequence[float]) -> Matrix:
        """Fit targets, (n, t), of which the known queries', (n,), count: coefficients, (s, n_ridges, t)."""
        if self._normalization is None:
            dual_coef = np.zeros((len(known), len(ridges), targets.shape[1]))
            dual_coef[known] = _solutions(self._kernel[np.ix_(known, known)], targets[known], ridges)
            return dual_coef
        mapped = self._mapped[known]
        of_mapped = _solutions(mapped.T @ mapped, mapped.T @ targets[known], ridges)
        return np.tensordot(self._normalization.T, of_mapped, axes=1)


def _landmarks(features: Matrix, settings: Settings) -> Matrix | None:
    """Draw distinct queries; None where there are not more than that."""
    distinct = np.sort(np.unique(features, axis=0, return_index=True)[1])
    if len(distinct) <= settings.landmarks:
        return None
    drawn = np.random.default_rng(settings.seed).permutation(distinct)[: settings.landmarks]
    landmarks: Matrix = features[np.sort(drawn)]
    return landmarks


def _solutions(matrix: Matrix, targets: Matrix, ridges: Sequence[float]) -> Matrix:
    """Solve ``(matrix + ridge I) x = targets``, (s, s) and (s, t), for each ridge: (s, n_ridges, t).

    Kernel ridge regression where the matrix is a kernel; a Ridge where it holds the products of its features.
    """
    solver = KernelRidge(kernel="precomputed")
    return np.stack([solver.set_params(alpha=ridge).fit(matrix, targets).dual_coef_ for ridge in ridges], axis=1)


def _train(training: Training) -> dict[str, Any]:
    settings, names = training.settings, training.benchmark.model_names
    fitted = _fit(training, [settings.ridge])
    _check_digits(fitted, settings.ridge)
    return {
        "format_version": 2,
        "model_names": names,
        "gamma": settings.gamma,
        "ridge": settings.ridge,
        "support_vectors": fitted.support_vectors.tolist(),
        "outcomes": {
            kind: {"dual_coef": fitted.dual_coef[:, place, 0].tolist(), "intercept": fitted.intercept[place].tolist()}
            for place, kind in enumerate(OUTCOMES)
            if not np.isnan(fitted.intercept[place]).all()
        },
        "default": names[int(fitted.intercept[0].argmax())],
    }


def _check_digits(fitted: _Fitted, ridge: float) -> None:
    """Refuse a penalty whose predictions float64 does not hold.

    Of queries that are nearly alike the kernel is nearly singular: by a small penalty large coefficients cancel. A sum
    of kernels, 1 at most each, is off by a few units in the last place of ``sum |dual_coef|``.
    """
    error = np.abs(fitted.dual_coef[:, :, 0]).sum(axis=0) * 2.0**-50 / np.fmax(np.abs(fitted.intercept), 1.0)
    if error.max() > TOLERANCE:
        enough = 10.0 ** np.ceil(np.log10(max(ridge, 2.0**-50) * error.max() / TOLERANCE))
        raise DocumentError(
            f"ridge: expected about {enough:g} or more, got {ridge:g}: the queries are nearly equal, and float64 "
            f"predicts them with an error of {error.max():.0e}"
        )


def _grid(settings: Settings) -> list[Settings]:
    pairs = ((ridge, gamma) for ridge in sorted(RIDGES, reverse=True) for gamma in sorted(GAMMAS))
    return [settings._replace(gamma=gamma, ridge=ridge) for ridge, gamma in pairs]


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    """Evaluate the kernel once for each gamma."""
    for gamma in dict.fromkeys(settings.gamma for settings in grid):
        tried = [settings for settings in grid if settings.gamma == gamma]
        fitted = _fit(training._replace(settings=tried[0]), [settings.ridge for settings in tried])
        # One estimator that predicts by all ridges, as if each were of other models.
        names = list(training.benchmark.model_names) * len(tried)
        estimator = KernelRidgeModelSelector(gamma)
        estimator.take(fitted.support_vectors, fitted.dual_coef, np.tile(fitted.intercept, len(tried)), names)
        for settings, predicted in zip(tried, np.split(estimator.outcomes(held_out), len(tried), axis=2), strict=True):
            yield Trial(settings, partial(_pick, predicted))


def _pick(predicted: Matrix, objective: Objective) -> npt.NDArray[np.int64]:
    return choose(utilities(predicted, objective), predicted[:, COST])


_NEWEST = Row(
    algorithm="kernel_ridge",
    semantics="native/2",
    form=KernelRidgeForm,
    load=via_document(_check, _build),
    estimator=KernelRidgeModelSelector,
    outputs=OUTPUTS,
    graph=_add_graph,
    describe=_describe,
    stored_rows=lambda estimator: list(range(len(estimator.X_fit_))),
    probes=lambda estimator: Probes(estimator.X_fit_, np.arange(len(estimator.X_fit_))),
    expect=_expect,
    hold=_hold,
    train=_train,
    grid=_grid,
    shared_trials=_trials,
    settings=frozenset({"gamma", "ridge", "landmarks"}),
    predicts=True,
    by_direction=True,
)
# The rules of earlier versions answer as they did; nothing is trained by them any more.
ROWS = (replace(_NEWEST, semantics="native/1", train=None, grid=None, shared_trials=None), _NEWEST)
