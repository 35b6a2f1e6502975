"""SVM: the model whose classifier, linear or a kernel machine, scores highest on the query scaled to unit length."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC, SVR, LinearSVC

from modelpick.runtime.schema import Output, Stored, Table

from ...formats.decoding import IgnoredSize, Name, Size, Vector, check_length, check_size, refuse, vector
from ...formats.document import Document, Source
from ...formats.outcomes import Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    SupportVectors,
    by_differences,
    can_expand,
    error_shares,
    of_directions,
    stored_support_vectors,
)
from ...graphs.margins import SLACK, needed_margin
from ...graphs.rows import roundings
from ...graphs.unit_length import Scaled, add_directions, directions
from ..base import Matrix, checked_features
from ..choices import ChoiceSelector, describe_choices, expect_classifiers, hold_classifiers
from ..row import Probes, Row, Trial, fixed, via_document
from .one_vs_one import (
    SETTINGS,
    exact_parameters,
    has_exact_parameters,
    kernel_grid,
    kernel_type,
    parameters_of_all,
    train_classes,
)

# Queries whose norm is not above are scored as they are.
MIN_NORM = 1e-10


class LinearClassifier(Struct, frozen=True, eq=False):
    """One linear one-vs-rest classifier: ``weights . x - rho``."""

    model_name: str
    weights: Vector
    """Float64, shape (d,)."""
    rho: float


class RBFClassifier(Struct, frozen=True, eq=False):
    """One kernel machine: ``sum(alpha * exp(-gamma * |x - sv|^2)) - rho``."""

    model_name: str
    alpha: Vector
    """Float64, shape (s,)."""
    support_vectors: Matrix
    """Float64, shape (s, d)."""
    rho: float
    gamma: float


class _LinearForm(Struct):
    model_name: Name
    weights: Raw
    rho: float

    def checked(self, path: str) -> LinearClassifier:
        return LinearClassifier(self.model_name, vector(self.weights, f"{path}.weights"), self.rho)


class _RBFForm(Struct):
    model_name: Name
    alpha: list[float]
    support_vectors: list[Raw]
    rho: float
    gamma: Annotated[float, Meta(gt=0)]

    def checked(self, path: str, reader: Reader) -> RBFClassifier:
        support_vectors = reader.matrix(self.support_vectors, f"{path}.support_vectors")
        check_length(self.alpha, len(support_vectors), f"{path}.alpha", "row of support_vectors")
        alpha = np.array(self.alpha, dtype=np.float64)
        return RBFClassifier(self.model_name, alpha, support_vectors, self.rho, self.gamma)


class SVMForm(Struct):
    """Classifiers; ``kernel_type`` and ``gamma`` are said again by each of them."""

    model_names: list[Name] | UnsetType | None = UNSET
    kernel_type: Name | UnsetType | None = UNSET
    gamma: float | UnsetType | None = UNSET
    feature_dim: Size = UNSET
    n_classes: IgnoredSize = UNSET
    linear_classifiers: list[_LinearForm] | UnsetType | None = UNSET
    rbf_classifiers: list[_RBFForm] | UnsetType | None = UNSET


class SVMDocument(Document, frozen=True, eq=False):
    """A checked SVM model: linear classifiers and kernel machines, in file order."""

    linear_classifiers: tuple[LinearClassifier, ...]
    rbf_classifiers: tuple[RBFClassifier, ...]
    model_names: tuple[str, ...]
    """Models that the file names: some may have no classifier."""


def _check(form: SVMForm, source: Source, reader: Reader) -> SVMDocument:
    linear = [one.checked(f"$.linear_classifiers[{i}]") for i, one in enumerate(form.linear_classifiers or [])]
    rbf = [one.checked(f"$.rbf_classifiers[{i}]", reader) for i, one in enumerate(form.rbf_classifiers or [])]
    widths = {f"$.linear_classifiers[{i}].weights": c.weights.shape[0] for i, c in enumerate(linear)}
    widths |= {f"$.rbf_classifiers[{i}].support_vectors": c.support_vectors.shape[1] for i, c in enumerate(rbf)}
    if not widths:
        instead = "; --semantics native/2 picks by its SVC" if has_exact_parameters(reader.text) else ""
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
    return SVMDocument(source, tuple(linear), tuple(rbf), tuple(form.model_names or ()))


class SVMModelSelector(ChoiceSelector, ClassifierMixin, BaseEstimator):
    """Picks the model whose classifier scores highest on the query scaled to unit length.

    Each classifier is a choice, linear ones first.

    Attributes
    ----------
    linear_ : LinearSVC or None
        One-vs-rest linear classifiers, one row of ``coef_`` each.
    machines_ : list of SVR
        One kernel machine per RBF classifier.
    """

    def fit(
        self,
        linear_classifiers: Sequence[LinearClassifier],
        rbf_classifiers: Sequence[RBFClassifier],
        model_names: Sequence[str] = (),
    ) -> Self:
        """Take over classifiers trained elsewhere, and the names of models, of which some may have none."""
        self.linear_ = _linear_model(linear_classifiers) if linear_classifiers else None
        self.machines_ = [_kernel_machine(c.alpha, c.support_vectors, c.rho, c.gamma) for c in rbf_classifiers]
        self.set_choices(
            [c.model_name for c in linear_classifiers] + [c.model_name for c in rbf_classifiers], model_names
        )
        self.n_features_in_ = (self.linear_ or self.machines_[0]).n_features_in_
        return self

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the classifiers, float64, shape (b, n_classifiers)."""
        features = directions(checked_features(self, X), MIN_NORM)
        columns = [machine.predict(features)[:, None] for machine in self.machines_]
        if self.linear_ is not None:
            columns.insert(0, features @ self.linear_.coef_.T + self.linear_.intercept_)
        return np.hstack(columns)


def _build(document: SVMDocument) -> SVMModelSelector:
    return SVMModelSelector().fit(document.linear_classifiers, document.rbf_classifiers, document.model_names)


def _linear_model(classifiers: Sequence[LinearClassifier]) -> LinearSVC:
    """Rebuild a one-vs-rest LinearSVC, which scores ``coef_ . x + intercept_``."""
    model = LinearSVC()
    model.coef_ = np.array([classifier.weights for classifier in classifiers])
    model.intercept_ = np.array([-classifier.rho for classifier in classifiers])
    model.classes_ = np.arange(len(classifiers))
    model.n_features_in_ = model.coef_.shape[1]
    return model


def _kernel_machine(alpha: Matrix, support_vectors: Matrix, rho: float, gamma: float) -> SVR:
    """Rebuild an SVR, which scores ``sum(dual_coef * exp(-gamma * |x - sv|^2)) + intercept``."""
    count, width = support_vectors.shape
    machine = SVR(kernel="rbf", gamma=gamma)
    machine.support_ = np.arange(count, dtype=np.int32)
    machine.support_vectors_ = np.ascontiguousarray(support_vectors)
    machine._n_support = np.array([count, count], dtype=np.int32)
    machine.dual_coef_ = machine._dual_coef_ = alpha[None, :].copy()
    machine.intercept_ = machine._intercept_ = np.array([-rho])
    machine._probA = machine._probB = np.empty(0)
    machine._gamma, machine._sparse = gamma, False
    machine.shape_fit_, machine.n_features_in_, machine.fit_status_ = (count, width), width, 0
    return machine


OUTPUTS = {Output.SCORE: "double", Output.CLASSIFIER: "index"}


def _outputs(estimator: SVMModelSelector) -> dict[str, str]:
    if not estimator.machines_:
        return OUTPUTS | {Output.ESTIMATE: "float"}
    return OUTPUTS | {Output.CANDIDATE: "index", Output.CERTAIN: "flag"}


class _Machines(NamedTuple):
    """Names of what all kernel machines hold together."""

    support: SupportVectors
    alphas: str
    intercepts: str

    def scores(self, graph: Graph, kernel: str) -> str:
        """Return the machines' scores, float64, (b, n_machines), of kernels, (b, s)."""
        return graph.node("Gemm", kernel, self.alphas, self.intercepts)


def _add_graph(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the classifiers by `_add_linear`, or with kernel machines among them by `_add_machines`."""
    (_add_machines if estimator.machines_ else _add_linear)(graph, estimator, features, outputs)


def _add_linear(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write linear classifiers: in float32 where that decides, else in float64, on the query scaled to unit length.

    ::

        features ─┬─ Cast f32 ─ Gemm weights ─ estimate (b, n_classifiers)
        (b, d)    │
                  └─ If refine: Div ─ Gemm weights ─ Mul ─ Add ─┬─ score (b, n_classifiers)
                                                                └─ ArgMax ─ classifier (b,)

    The estimates are of ``w.q``, which for a q of length above 1e-10 is in the order of ``|q| (score + rho)``: what is
    to be added is `Table.OFFSETS`, times ``|q|``. What their margin does not prove is for the caller to refine.
    """
    model: Any = estimator.linear_
    weights = graph.stored_exactly(Stored.WEIGHTS, model.coef_)
    narrow = (graph.node("Cast", name, to=FLOAT) for name in (features, weights))
    graph.output(outputs[Output.ESTIMATE], "Gemm", *narrow, transB=1)
    needed = needed_margin([(model.coef_, np.zeros(len(model.coef_)))])
    # Offsets are added in float64, to products that float32 does not hold more exactly.
    beside = 8.0 * roundings(model.coef_.shape[1])[0] * 2.0**-29 * float(np.abs(model.intercept_).max())
    needed = needed._replace(slope=needed.slope + beside, shortest=MIN_NORM * (1.0 + SLACK))
    graph.constant(Table.LEAD, np.array(needed))
    graph.constant(Table.OFFSETS, model.intercept_)

    refined = graph.branch()
    scores = _linear_scores(refined, model, weights, add_directions(refined, features, MIN_NORM))
    results = {Output.SCORE: scores, Output.CLASSIFIER: refined.node("ArgMax", scores, axis=1, keepdims=0)}
    graph.in_float64(outputs, OUTPUTS, refined, results)


def _add_machines(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write one Gemm for all support vectors, one for all coefficients: in float32 where that decides, else in float64.

    ::

        features ─ Div ─┬─ Gemm ─ Mul ─ Add ─ Max 0 ─ Exp ─ Gemm ─┐
        (b, d)          │  support vectors                  alpha  Concat ─┬─ score (b, n_classifiers)
                        └─ Gemm ─ Mul ─ Add ───────────────────────┘       └─ ArgMax ─ classifier (b,)
                           linear weights

    ``sum_i alpha_i exp(-gamma |x - sv_i|^2) - rho``, with ``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv``; support vectors
    that several classifiers share with the same gamma are stored once, and ``alpha`` has a column per classifier.
    Queries whose norm is at most 1e-10 are scored as they are. Where gamma is so large that cancellation in the
    expanded square could be seen, all is computed in float64, and squared distances from the differences.

    The products with the support vectors are taken in float32 first: a score is off by at most the sum of the kernels'
    errors, see `modelpick.converter.graphs.kernel`, weighed with ``|alpha|``; here ``|x| <= 1``. Where the best score
    exceeds the second by more than twice that, it is the ``candidate`` and ``certain``. What this leaves open is for
    the caller to refine: the whole is repeated in float64, unless the initializer ``refine`` is overridden with false.
    """
    query = add_directions(graph, features, MIN_NORM)
    parts = []
    if estimator.linear_ is not None:
        weights = graph.stored_exactly(Stored.WEIGHTS, estimator.linear_.coef_)
        parts.append(_linear_scores(graph, estimator.linear_, weights, query))
    refined = graph.branch()
    if is_fast(estimator.machines_):
        shared = shared_support_vectors(estimator.machines_)
        machines = _stored_machines(graph, shared, estimator.machines_)
        exact = machines.scores(refined, of_directions(refined, query, machines.support, DOUBLE))
        scores = refined.node("Concat", *parts, exact, axis=1)
        kernel = of_directions(graph, query, machines.support, FLOAT)
        candidates = graph.node("Concat", *parts, machines.scores(graph, kernel), axis=1)
        error = graph.node("MatMul", kernel, graph.constant("alpha_error", _error_bounds(shared)))
    else:
        machines = _stored_machines(graph, shared_support_vectors(estimator.machines_), estimator.machines_)
        parts.append(machines.scores(graph, by_differences(graph, query.product(graph), machines.support)))
        candidates, error = graph.node("Concat", *parts, axis=1), graph.constant(Table.NO_ERROR, np.array([0.0]))
        scores = refined.node("Identity", candidates)
    graph.argmax_with_margin(candidates, len(estimator.choice_models_), 1, error, outputs)
    results = {Output.SCORE: scores, Output.CLASSIFIER: refined.node("ArgMax", scores, axis=1, keepdims=0)}
    graph.in_float64(outputs, OUTPUTS, refined, results)


def is_fast(machines: Sequence[Any]) -> bool:
    """Return whether kernel machines have scores in which cancellation cannot be seen."""
    with np.errstate(over="ignore"):
        longest = max(float(np.linalg.norm(machine.support_vectors_, axis=1).max()) for machine in machines)
    return can_expand(max(float(machine._gamma) for machine in machines), longest)


def _linear_scores(graph: Graph, model: Any, weights: str, query: Scaled) -> str:
    products = graph.node("Gemm", query.shrunk, graph.node("Cast", weights, to=DOUBLE), transB=1)
    products = graph.node("Mul", products, query.factor)
    return graph.node("Add", products, graph.constant("linear_intercept", model.intercept_))


def _stored_machines(graph: Graph, shared: "SharedVectors", machines: Sequence[Any]) -> _Machines:
    return _Machines(
        support=stored_support_vectors(graph, shared.vectors, shared.gammas),
        alphas=graph.constant("alpha", shared.alphas),
        intercepts=graph.constant("rbf_intercept", np.concatenate([machine.intercept_ for machine in machines])),
    )


def _error_bounds(shared: "SharedVectors") -> Matrix:
    """Return what each kernel adds to twice the bound on the error of the scores, float64, (s,)."""
    bounds: Matrix = 2.0 * np.abs(shared.alphas).max(axis=1) * error_shares(shared.vectors, shared.gammas)
    return bounds


class SharedVectors(NamedTuple):
    """The support vectors of several machines, each distinct one once."""

    vectors: npt.NDArray[np.float64]
    """Shape (s, d)."""
    gammas: npt.NDArray[np.float64]
    """Shape (s,)."""
    alphas: npt.NDArray[np.float64]
    """Shape (s, n_machines)."""
    places: list[list[int]]
    """Per machine, the row of each of its support vectors."""


def shared_support_vectors(machines: Sequence[Any]) -> SharedVectors:
    """Merge the machines' support vectors; those of another gamma stay apart."""
    index: dict[tuple[float, bytes], int] = {}
    places = [
        [index.setdefault((machine._gamma, vector.tobytes()), len(index)) for vector in machine.support_vectors_]
        for machine in machines
    ]
    alphas = np.zeros((len(index), len(machines)))
    for column, (machine, place) in enumerate(zip(machines, places, strict=True)):
        np.add.at(alphas[:, column], place, machine.dual_coef_[0])
    vectors = np.array([np.frombuffer(data) for _, data in index])
    return SharedVectors(vectors, np.array([gamma for gamma, _ in index]), alphas, places)


def _describe(estimator: SVMModelSelector) -> dict[str, Any]:
    vectors = sum(len(machine.support_vectors_) for machine in estimator.machines_)
    widths = 1 if not vectors or is_fast(estimator.machines_) else vectors
    values = estimator.n_features_in_ * widths + vectors
    return describe_choices(estimator, vectors, "score, then classifier", values)


def _stored_rows(estimator: SVMModelSelector) -> list[int]:
    linear = 0 if estimator.linear_ is None else len(estimator.linear_.coef_)
    places = shared_support_vectors(estimator.machines_).places if estimator.machines_ else []
    return [*range(linear), *(linear + row for place in places for row in place)]


def _probes(estimator: SVMModelSelector) -> Probes:
    matrices = [machine.support_vectors_ for machine in estimator.machines_]
    if estimator.linear_ is not None:
        matrices = [*estimator.linear_.coef_[:, None], *matrices]
    return Probes(np.vstack(matrices), np.repeat(estimator.choice_models_, [len(vectors) for vectors in matrices]))


def train_machines(training: Training) -> list[dict[str, Any]]:
    """Train one kernel machine for each model, on unit vectors as they are scored.

    A machine separates the queries on which its model exceeds the mean from the rest, each weighted by how far it is
    from the mean: the cost of a mistake (B. Zadrozny, J. Langford, N. Abe, Cost-Sensitive Learning by
    Cost-Proportionate Example Weighting, ICDM 2003).
    """
    features, settings, advantages = directions(training.features), training.settings, training.advantages
    machines = []
    for model, name in enumerate(training.benchmark.model_names):
        fields: dict[str, Any] = {"alpha": [0.0], "support_vectors": features[:1].tolist()}
        ahead, costs = advantages[:, model] > 0, np.abs(advantages[:, model])
        fields["rho"] = 1.0 - 2.0 * bool(ahead[costs > 0].any())
        if len(set(ahead[costs > 0])) > 1:
            machine = SVC(C=settings.C, gamma=settings.gamma)
            machine.fit(features[costs > 0], ahead[costs > 0], costs[costs > 0])
            fields = {
                "alpha": machine.dual_coef_[0].tolist(),
                "support_vectors": machine.support_vectors_.tolist(),
                "rho": -float(machine.intercept_[0]),
            }
        machines.append({"model_name": name, **fields, "gamma": settings.gamma})
    return machines


def train_linear(training: Training) -> list[dict[str, Any]]:
    """Train one linear classifier for each model likewise."""
    features, settings, advantages = directions(training.features), training.settings, training.advantages
    classifiers = []
    for model, name in enumerate(training.benchmark.model_names):
        ahead, costs = advantages[:, model] > 0, np.abs(advantages[:, model])
        fields: dict[str, Any] = {"weights": [0.0] * features.shape[1]}
        fields["rho"] = 1.0 - 2.0 * bool(ahead[costs > 0].any())
        if len(set(ahead[costs > 0])) > 1:
            fitted = LinearSVC(C=settings.C, random_state=settings.seed).fit(features, ahead, costs)
            fields = {"weights": fitted.coef_[0].tolist(), "rho": -float(fitted.intercept_[0])}
        classifiers.append({"model_name": name, **fields})
    return classifiers


def _train(training: Training) -> dict[str, Any]:
    """Return the fields of a file of version 1: a classifier for each model, and the parameters of the SVC."""
    settings, names = training.settings, training.benchmark.model_names
    present, svc = train_classes(training)
    is_linear = settings.kernel == "linear"
    document = {
        "model_names": names,
        "kernel_type": kernel_type(settings),
        "gamma": settings.gamma,
        "linear_classifiers": train_linear(training) if is_linear else [],
        "rbf_classifiers": [] if is_linear else train_machines(training),
        "kernel": settings.kernel,
        "C": settings.C,
        "n_classes": len(names),
    }
    if svc is None:
        return document
    # Its classes are the labels; today's router wants all models, and takes these parameters before the others.
    of_all = {} if len(present) == len(names) else {"svc": parameters_of_all(training, present, svc)}
    return document | exact_parameters(svc) | {"classes": svc.classes_.tolist()} | of_all


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    features = directions(held_out)
    for settings in grid:
        scores = []
        if settings.kernel == "linear":
            for linear in train_linear(training._replace(settings=settings)):
                scores.append(features @ np.array(linear["weights"]) - linear["rho"])
            yield fixed(settings, np.stack(scores, axis=1).argmax(axis=1))
            continue
        for machine in train_machines(training._replace(settings=settings)):
            squares = cdist(features, np.array(machine["support_vectors"]), "sqeuclidean")
            scores.append(np.exp(-settings.gamma * squares) @ np.array(machine["alpha"]) - machine["rho"])
        yield fixed(settings, np.stack(scores, axis=1).argmax(axis=1))


ROWS = (
    Row(
        algorithm="svm",
        semantics="native/1",
        form=SVMForm,
        load=via_document(_check, _build),
        estimator=SVMModelSelector,
        outputs=_outputs,
        graph=_add_graph,
        describe=_describe,
        stored_rows=_stored_rows,
        probes=_probes,
        train=_train,
        grid=kernel_grid,
        shared_trials=_trials,
        settings=SETTINGS,
        expect=expect_classifiers,
        hold=hold_classifiers,
        by_direction=True,
    ),
)
