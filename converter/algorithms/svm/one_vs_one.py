"""SVC: the exact scikit-learn SVC in an SVM file, which compares each two models; most comparisons won wins.

Two rule sets pick so: ``native/2``, as the original now does, and ``trainer/1``, as the code that trains the models
predicts. They read other fields, and count comparisons among candidates differently.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, permutations
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from sklearn.svm import SVC

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import Output, Stored, Table

from ...files.io import Contents
from ...formats.decoding import (
    INT64,
    Count,
    IgnoredSize,
    Name,
    Size,
    Vector,
    check_length,
    check_size,
    decode,
    refuse,
)
from ...formats.document import Document, Source
from ...formats.outcomes import Indices, Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    BOUND_SLACK,
    LONGEST,
    STEEP,
    SupportVectors,
    by_differences,
    expanded,
    products,
    stored_support_vectors,
    without_vanished,
)
from ...graphs.rows import roundings
from ..base import Matrix, checked_features
from ..choices import ChoiceSelector, describe_choices
from ..row import (
    TOLERANCE,
    Answer,
    Expected,
    Explanation,
    Held,
    Probes,
    Row,
    Trial,
    WholeGraph,
    explained_scores,
    fixed,
    via_document,
)

KERNELS: dict[str, Literal["rbf", "linear"]] = {"Rbf": "rbf", "Linear": "linear"}
# Below this gamma the bound on the error does not see queries that overflow float32.
FLATTEST = 1e-30
# Longer queries may overflow the products in float64: these count as that long, and their kernels are zero.
FARTHEST = 1e290
# What training of either kind of SVM reads.
SETTINGS = frozenset({"C", "gamma", "kernel", "quality_weight"})
# Penalties and widths of the kernel that tuning tries.
PENALTIES, GAMMAS = (0.25, 1.0, 4.0), (0.5, 1.0, 2.0)


class SVCForm(Struct):
    """The parameters of a scikit-learn SVC."""

    model_names: Annotated[list[Name], Meta(min_length=2)]
    kernel: Literal["rbf", "linear"]
    gamma: Annotated[float, Meta(gt=0)]
    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Count]
    classes: list[int]
    feature_dim: Size = UNSET
    n_classes: IgnoredSize = UNSET


class SVCDocument(Document, frozen=True, eq=False):
    """A checked scikit-learn SVC: a machine for each two of n language models, which share their support vectors."""

    model_names: tuple[str, ...]
    """Language model of each class, length n."""
    kernel: Literal["rbf", "linear"]
    gamma: float
    support_vectors: Matrix
    """Float64, shape (s, d), class after class."""
    n_support: tuple[int, ...]
    """Support vectors of each class, length n."""
    dual_coef: Matrix
    """Float64, shape (n - 1, s)."""
    intercept: Vector
    """Float64, shape (n * (n - 1) / 2,)."""


class Parameters(Struct):
    """The parameters of a scikit-learn SVC, as files of version 2 hold them."""

    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Annotated[int, Meta(ge=0, le=INT64[1])]]


class ExactForm(Struct):
    """An SVM file of version 2, or an older one with the parameters at top level.

    Stand-in classifiers, which some files hold beside, are not read.
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
    n_support: list[Annotated[int, Meta(ge=0, le=INT64[1])]] | UnsetType | None = UNSET

    def parameters(self, source: Source) -> tuple[Parameters, str]:
        """Return the parameters, and their path; `Source.fields` keep these alone."""
        if self.svc:
            for name in Parameters.__struct_fields__:
                source.fields.pop(name, None)
            return self.svc, "$.svc"
        values = {name: getattr(self, name) or [] for name in Parameters.__struct_fields__}
        return Parameters(**values), "$"


class _Parts(Struct):
    """Which parts of an SVM file there are."""

    format_version: int | None = None
    svc: dict[str, Raw] | None = None
    support_vectors: list[Raw] | None = None
    dual_coef: list[Raw] | None = None
    intercept: list[Raw] | None = None
    n_support: list[Raw] | None = None

    @property
    def at_top_level(self) -> bool:
        return any(getattr(self, name) for name in Parameters.__struct_fields__)


def _one_against_rest(data: Contents) -> str | None:
    """Return the first rules for an older file without the parameters of an SVC, as the original does.

    Its classifiers are one against the rest: another estimator, by rules that have a row already. The artifact records
    these. A file without classifiers either is refused by them, where the original picks the first name.

    Raises
    ------
    Refusal
        When a file of version 2 lacks the parameters.
    """
    parts = decode(data, _Parts)
    if parts.svc is not None:
        return None
    if parts.format_version == 2:
        refuse("$.svc", f"expected {', '.join(Parameters.__struct_fields__)}, which a file of version 2 has")
    return None if parts.at_top_level else "native/1"


def has_exact_parameters(data: Contents) -> bool:
    """Return whether an SVM file holds the parameters of an SVC."""
    parts = decode(data, _Parts)
    return parts.svc is not None or parts.at_top_level


def _check_trainer(form: SVCForm, source: Source, reader: Reader) -> SVCDocument:
    n = len(form.classes)
    if n < 2 or len(set(form.classes)) != n or not all(0 <= c < len(form.model_names) for c in form.classes):
        refuse("$.classes", f"expected two or more indices of the {len(form.model_names)} $.model_names")
    parameters = Parameters(form.support_vectors, form.dual_coef, form.intercept, form.n_support)
    names = tuple(form.model_names[c] for c in form.classes)
    reader.ignored_size(form.n_classes, len(form.model_names), "$.n_classes", "$.model_names")
    document = _checked(parameters, "$", names, form.kernel, form.gamma, source, reader)
    check_size(form.feature_dim, document.support_vectors.shape[1], "$.feature_dim", "the columns of $.support_vectors")
    return document


def _check_exact(form: ExactForm, source: Source, reader: Reader) -> SVCDocument:
    for index, name in enumerate(form.model_names):
        if name in form.model_names[:index]:
            refuse(f"$.model_names[{index}]", f"expected each model once, got {name!r} again")
    parameters, path = form.parameters(source)
    names, kernel = tuple(form.model_names), KERNELS[form.kernel_type]
    document = _checked(parameters, path, names, kernel, form.gamma, source, reader)
    width, of = document.support_vectors.shape[1], f"the columns of {path}.support_vectors"
    if form.format_version == 2 and not isinstance(form.feature_dim, int):
        refuse("$.feature_dim", f"expected {width}, {of}, which a file of version 2 says")
    check_size(form.feature_dim, width, "$.feature_dim", of)
    reader.ignored_size(form.n_classes, len(names), "$.n_classes", "$.model_names")
    return document


def _checked(
    parameters: Parameters,
    path: str,
    names: tuple[str, ...],
    kernel: Literal["rbf", "linear"],
    gamma: float,
    source: Source,
    reader: Reader,
) -> SVCDocument:
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
    return SVCDocument(
        model_names=names,
        kernel=kernel,
        gamma=gamma,
        support_vectors=support_vectors,
        n_support=tuple(parameters.n_support),
        dual_coef=np.array(parameters.dual_coef, dtype=np.float64),
        intercept=np.array(parameters.intercept, dtype=np.float64),
        source=source,
    )


class SVCModelSelector(ChoiceSelector, SVC):
    """Picks the model that wins most of the comparisons of two; each model is a choice.

    Attributes
    ----------
    pair_coef_ : ndarray of float64, shape (n_pairs, s)
        Coefficients of each pair's machine for all support vectors.
    """

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Comparisons won, shape (b, n_models)."""
        return self.wins(self.pair_scores(X))

    def pair_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the comparisons, positive where the first of two models wins, shape (b, n_pairs)."""
        scores: Matrix = self._decision_function(checked_features(self, X))
        return -scores[:, None] if len(self.classes_) == 2 else scores

    def wins(self, pair_scores: Matrix) -> Matrix:
        """Count the comparisons that each model wins: (b, n_pairs) -> (b, n_models)."""
        first, second = np.triu_indices(len(self.classes_), 1)
        won = pair_scores > 0
        return np.stack(
            [won[:, first == c].sum(axis=1) + (~won[:, second == c]).sum(axis=1) for c in range(len(self.classes_))],
            axis=1,
        ).astype(np.float64)


def _build(document: SVCDocument) -> SVCModelSelector:
    n, (count, width) = len(document.n_support), document.support_vectors.shape
    estimator = SVCModelSelector(kernel=document.kernel, gamma=document.gamma, decision_function_shape="ovo")
    estimator.classes_ = np.arange(n)
    estimator.support_ = np.arange(count, dtype=np.int32)
    estimator.support_vectors_ = document.support_vectors
    estimator._n_support = np.array(document.n_support, dtype=np.int32)
    # Of two classes scikit-learn publishes the coefficients with the other sign.
    sign = -1.0 if n == 2 else 1.0
    raw = sign * document.dual_coef
    estimator.dual_coef_, estimator._dual_coef_ = document.dual_coef, raw
    estimator.intercept_, estimator._intercept_ = document.intercept, sign * document.intercept
    estimator._probA = estimator._probB = np.empty(0)
    estimator._gamma, estimator._sparse = document.gamma, False
    estimator.shape_fit_, estimator.n_features_in_, estimator.fit_status_ = (count, width), width, 0
    owner = np.repeat(np.arange(n), document.n_support)
    estimator.pair_coef_ = np.array(
        [
            np.where(owner == i, raw[j - 1], 0.0) + np.where(owner == j, raw[i], 0.0)
            for i, j in zip(*np.triu_indices(n, 1), strict=True)
        ]
    )
    estimator.set_choices(document.model_names)
    estimator.semantics = document.source.semantics
    return estimator


OUTPUTS = {
    Output.SCORE: "double",
    Output.PAIR: "double",
    Output.CLASSIFIER: "index",
    Output.CANDIDATE: "index",
    Output.CERTAIN: "flag",
}


def _add_graph(graph: Graph, estimator: SVCModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write comparisons of each two models by a kernel machine: in float32 where that decides, else in float64.

    ::

        features ─ kernel ─ (b, s) ─ Gemm pair coefficients ─ pair ─ > 0 ─ Gemm ─ score ─ ArgMax ─ classifier (b,)
        (b, d)                                      (b, n_pairs)            (b, n_models)

    ``kernel_i = exp(-gamma |x - sv_i|^2)``, or ``x.sv_i``. A machine for two models i < j is positive where i wins; a
    model's score is the number of comparisons it wins, and of equal scores the first wins: the one-vs-one vote of C.-C.
    Chang and C.-J. Lin, LIBSVM: A Library for Support Vector Machines, section 7, as scikit-learn's SVC.predict holds
    it.

    Of a linear kernel a pair's machine is one vector, the sum of its support vectors weighed: onnxruntime adds it up
    once, when it opens the graph. Gaussian kernels are of products in float32 first, whose errors are bounded, see
    `_error`. The ``candidate`` is ``certain`` where it wins whichever way the comparisons go that the bounds leave
    open; the rest is for the caller to refine in float64, as that of `modelpick.converter.algorithms.svm.one_vs_rest`.
    """
    coefficients = graph.constant("pair_coef", estimator.pair_coef_)
    intercepts = graph.constant("pair_intercept", estimator._intercept_)
    refined = graph.branch()
    if is_fast(estimator):
        support = _stored(graph, estimator)
        squared = graph.squared_norm(features)
        kernel = expanded(graph, products(graph, features, support, FLOAT), squared, support)
        pairs = graph.node("Gemm", kernel, coefficients, intercepts, transB=1)
        error = _error(graph, estimator, kernel, squared)
        far = [refined.constant("far", np.array(value)) for value in (-FARTHEST, FARTHEST)]
        near = refined.node("Clip", features, *far)
        exact_kernel = expanded(refined, products(refined, near, support, DOUBLE), squared, support)
        exact = refined.node("Gemm", without_vanished(refined, exact_kernel), coefficients, intercepts, transB=1)
    else:
        if estimator.kernel == "rbf":
            kernel = without_vanished(graph, by_differences(graph, features, _stored(graph, estimator)))
            machines = coefficients
        else:
            vectors = graph.node(
                "Cast", graph.stored_exactly(Stored.SUPPORT_VECTORS, estimator.support_vectors_), to=DOUBLE
            )
            kernel, machines = features, graph.node("MatMul", coefficients, vectors)
        exact = pairs = graph.node("Gemm", kernel, machines, intercepts, transB=1)
        error = graph.constant(Table.NO_ERROR, np.array(0.0))
    _add_winner(graph, pairs, error, len(estimator.classes_), outputs)
    graph.in_float64(outputs, OUTPUTS, refined, _counted(refined, exact, len(estimator.classes_)))


def is_fast(estimator: SVCModelSelector) -> bool:
    """Return whether the kernel is Gaussian, cancellation in it cannot be seen, and float32 overflows far out alone.

    A query so far from the support vectors that cancellation could be worse has kernels of zero.
    """
    with np.errstate(over="ignore"):
        longest = np.linalg.norm(estimator.support_vectors_, axis=1).max()
        is_flat = estimator.gamma * longest**2 <= STEEP and longest <= LONGEST
    return bool(is_flat and estimator.kernel == "rbf" and estimator.gamma >= FLATTEST)


def _stored(graph: Graph, estimator: SVCModelSelector) -> SupportVectors:
    vectors = estimator.support_vectors_
    return stored_support_vectors(graph, vectors, np.full(len(vectors), estimator.gamma))


def _error(graph: Graph, estimator: SVCModelSelector, kernel: str, squared: str) -> str:
    """Bound the error of pairs whose products were summed in float32, float64, (b, n_pairs).

    With ``L = max |sv|`` and ``2 |x| L <= |x|^2 + L^2``, the squared distances are off by at most ``slope |x|^2 +
    constant``, to which adding them up in float64 is counted: their error grows with the query, which is not scaled.
    A query that overflows float32 has an infinite bound.
    """
    count, width = estimator.support_vectors_.shape
    longest = float(np.linalg.norm(estimator.support_vectors_, axis=1).max())
    relative, absolute = roundings(width)
    in_float64 = 4.0 * (width + 8) * 2.0**-53
    raised = estimator.gamma * (1.0 + BOUND_SLACK)
    slope = raised * (relative + absolute + in_float64)
    constant = raised * ((relative + in_float64) * longest**2 + absolute * (3.0 + 2.0 * longest))
    exponents = graph.node("Mul", squared, graph.constant("error_slope", np.array(slope)))
    exponents = graph.node("Add", exponents, graph.constant("error_constant", np.array(constant)))
    # Beside the kernels' own error, that of adding so many up.
    slack = BOUND_SLACK**2 + count * 2.0**-52
    shares = graph.node("Add", graph.node("Exp", exponents), graph.constant("minus_one", np.array(slack - 1.0)))
    weights = np.abs(estimator.pair_coef_) * (1.0 + BOUND_SLACK)
    # A kernel that vanishes in float64 is below the lowest normal number, or anything there; shares are above slack.
    vanished = graph.constant("vanished", weights.sum(axis=1) * np.finfo(np.float64).tiny / slack)
    bounds = graph.node("Gemm", kernel, graph.constant("error_coef", weights), vanished, transB=1)
    return graph.node("Mul", bounds, shares)


def _add_winner(graph: Graph, pairs: str, error: str, n: int, outputs: dict[str, str]) -> None:
    """Output the winner by pairs that are off by at most ``error``, and whether it wins whatever they hide.

    Each model has comparisons that it surely wins, and some that it may win. The candidate may win the most, of equally
    many the first; it is certain where it surely wins more than any other may. Fractions make equal counts differ.
    """
    sure = graph.node("Greater", pairs, error), graph.node("Less", pairs, graph.node("Neg", error))
    decided = graph.node("Cast", graph.node("Concat", *sure, axis=1), to=DOUBLE)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    order = np.arange(n)[::-1] / 2.0 ** np.ceil(np.log2(n))
    won, lost = np.vstack([first, second]), np.vstack([second, first])
    surely = graph.node("Gemm", decided, graph.constant("surely_won", won), graph.constant("order", order))
    perhaps = graph.node("Gemm", decided, graph.constant("surely_lost", -lost), graph.constant("most", n - 1 + order))
    open_ones = graph.node("Sub", graph.largest(perhaps), graph.largest(surely))
    axis = graph.constant("model_axis", np.array([1]))
    graph.argmax_with_margin(perhaps, n, 1, graph.node("Squeeze", open_ones, axis), outputs)


def _counted(graph: Graph, pairs: str, n: int) -> dict[str, str]:
    """Count the comparisons that each model wins: output names -> the names of the results."""
    won = graph.node("Cast", graph.node("Greater", pairs, graph.constant("zero", np.array(0.0))), to=DOUBLE)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    wins, losses = graph.constant("wins", first - second), graph.constant("losses", second.sum(axis=0))
    scores = graph.node("Gemm", won, wins, losses)
    classifier = graph.node("ArgMax", scores, axis=1, keepdims=0)
    return {Output.SCORE: scores, Output.PAIR: graph.node("Identity", pairs), Output.CLASSIFIER: classifier}


def _describe(estimator: SVCModelSelector) -> dict[str, Any]:
    count, width = estimator.support_vectors_.shape
    widths = 1 if estimator.kernel == "linear" or is_fast(estimator) else count
    return describe_choices(estimator, count, "comparisons won, then model", width * widths + count)


def _probes(estimator: SVCModelSelector) -> Probes:
    return Probes(estimator.support_vectors_, np.repeat(estimator.classes_, estimator._n_support))


def _expect(estimator: SVCModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    """Comparisons that are undecided but for roundings may go either way."""
    nothing, choices = np.empty(0), estimator.choice_models_
    first, second = (choices[models] for models in np.triu_indices(len(estimator.classes_), 1))
    expected_pairs = estimator.pair_scores(queries)
    undecided_pairs = np.abs(expected_pairs) <= _roundings(estimator, queries)
    for why, pairs, close in zip(explained, expected_pairs, undecided_pairs, strict=True):
        scores = estimator.wins(pairs[None])[0]
        models = {choices[scores.argmax()]}
        if close.any():
            models = set(choices[_may_win(estimator, pairs, close)])
            won = np.array([classifier["score"] for classifier in why["classifiers"]])
            undecided = np.array([close[(first == model) | (second == model)].sum() for model in choices])
            scores = np.where(np.abs(won - scores) <= undecided, won, scores)
        answer = Answer(explained_scores(why, estimator.model_names_), nothing)
        expected = Answer(estimator.best_per_model(scores[None])[0], nothing)
        yield Expected(answer, expected, models, bool(close.any()))


def _hold(estimator: SVCModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    """Hold comparisons to the estimator, and what is counted of them to the comparisons."""
    found, scores, chosen = ask((Output.PAIR, Output.SCORE, Output.CLASSIFIER), queries)
    pairs = estimator.pair_scores(queries)
    if found.shape == pairs.shape:
        pairs = np.where(np.abs(found - pairs) <= _roundings(estimator, queries), found, pairs)
    yield Held(Output.PAIR, found, pairs)
    won = estimator.wins(pairs)
    yield Held(Output.SCORE, scores, won)
    yield Held(Output.CLASSIFIER, chosen, won.argmax(axis=1))


def _roundings(estimator: SVCModelSelector, queries: Matrix) -> Matrix:
    """Return how far off comparisons may be, (b, n_pairs): sums are off by a share of what they add up."""
    largest = np.ones(len(queries))
    if estimator.kernel == "linear":
        largest = np.abs(queries @ estimator.support_vectors_.T).max(axis=1)
    added_up: Matrix = np.maximum(1.0, np.abs(estimator.pair_coef_).sum(axis=1) * largest[:, None])
    return TOLERANCE * added_up


def _may_win(estimator: SVCModelSelector, pairs: Matrix, close: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which classes may win where close comparisons go either way: bool, (n_models,)."""
    first, second = np.triu_indices(len(estimator.classes_), 1)
    classes = np.arange(len(estimator.classes_))[:, None]
    surely = (((pairs > 0) & ~close & (first == classes)) | ((pairs <= 0) & ~close & (second == classes))).sum(axis=1)
    perhaps = surely + (close & ((first == classes) | (second == classes))).sum(axis=1)
    may: npt.NDArray[np.bool_] = perhaps >= surely.max()
    return may


def train_classes(training: Training) -> tuple[npt.NDArray[np.int64], SVC | None]:
    """Train an SVC that labels queries with models: the models that are labels, and it; None where there is one."""
    examples, settings = training.examples(), training.settings
    present, labels = np.unique(examples.models, return_inverse=True)
    if len(present) < 2:
        return present, None
    svc = SVC(C=settings.C, gamma=settings.gamma, kernel=settings.kernel)
    return present, svc.fit(training.features[examples.queries], present[labels], examples.weights)


def exact_parameters(svc: SVC) -> dict[str, Any]:
    """Return what a file holds of an SVC."""
    return {
        "support_vectors": svc.support_vectors_.tolist(),
        "dual_coef": svc.dual_coef_.tolist(),
        "intercept": svc.intercept_.tolist(),
        "n_support": svc.n_support_.tolist(),
    }


def parameters_of_all(training: Training, present: Indices, svc: SVC | None) -> dict[str, Any]:
    """Return what a file holds of an SVC of all models of the records, which those that are labels always win.

    Parameters
    ----------
    present, svc
        See `train_classes`. Models that no query is labelled with have no support vectors.
    """
    m = len(training.benchmark.model_names)
    vectors, coefs, intercepts, counts = training.features[:1], np.zeros((0, 1)), np.zeros(0), np.ones(1, np.int64)
    if svc is not None:
        # scikit-learn turns the sign of a single comparison, and so do files of two models.
        sign = -1.0 if len(present) == 2 else 1.0
        vectors, counts = svc.support_vectors_, svc.n_support_
        coefs, intercepts = sign * svc.dual_coef_, sign * svc.intercept_
    owners = np.repeat(present, counts)
    dual_coef = np.zeros((m - 1, len(vectors)))
    for (a, own), (b, other) in permutations(enumerate(present), 2):
        dual_coef[other - (other > own), owners == own] = coefs[b - (b > a), owners == own]
    known = dict(zip(combinations(present, 2), intercepts, strict=True))
    intercept = [known.get(pair, -1.0 if pair[1] in present else 1.0) for pair in combinations(range(m), 2)]
    n_support = np.zeros(m, np.int64)
    n_support[present] = counts
    sign = -1.0 if m == 2 else 1.0
    return {
        "support_vectors": vectors.tolist(),
        "dual_coef": (sign * dual_coef).tolist(),
        "intercept": (sign * np.array(intercept)).tolist(),
        "n_support": n_support.tolist(),
    }


def _train(training: Training) -> dict[str, Any]:
    """Write an SVC.

    Raises
    ------
    DocumentError
        When all records are of one model, which is no choice.
    """
    settings, names = training.settings, training.benchmark.model_names
    if len(names) < 2:
        raise DocumentError(f"svm: expected records of two models or more, got {names[0]!r} alone")
    return {
        "format_version": 2,
        "model_names": names,
        "kernel_type": kernel_type(settings),
        "gamma": settings.gamma,
        "input_normalization": "none",
        "svc": parameters_of_all(training, *train_classes(training)),
        "C": settings.C,
    }


def kernel_type(settings: Settings) -> str:
    """Name the user's kernel as files do."""
    return next(name for name, kernel in KERNELS.items() if kernel == settings.kernel)


def kernel_grid(settings: Settings) -> list[Settings]:
    """Return settings with other penalties, and other widths of a Gaussian kernel."""
    gammas = GAMMAS if settings.kernel == "rbf" else (settings.gamma,)
    return [settings._replace(C=C, gamma=gamma) for C in PENALTIES for gamma in gammas]


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    for settings in grid:
        present, svc = train_classes(training._replace(settings=settings))
        yield fixed(settings, np.full(len(held_out), present[0]) if svc is None else svc.predict(held_out))


_rules = partial(
    Row,
    algorithm="svm",
    estimator=SVCModelSelector,
    outputs=OUTPUTS,
    graph=_add_graph,
    describe=_describe,
    stored_rows=lambda estimator: list(range(len(estimator.support_vectors_))),
    probes=_probes,
    expect=_expect,
    hold=_hold,
)
ROWS = (
    _rules(
        semantics="native/2",
        form=ExactForm,
        load=via_document(_check_exact, _build),
        instead=_one_against_rest,
        train=_train,
        grid=kernel_grid,
        shared_trials=_trials,
        settings=SETTINGS,
    ),
    _rules(semantics="trainer/1", form=SVCForm, load=via_document(_check_trainer, _build)),
)
