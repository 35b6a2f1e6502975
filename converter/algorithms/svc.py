"""SVC: the exact scikit-learn SVC in an SVM file, which compares each two models; most comparisons won wins."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Raw, Struct
from sklearn.svm import SVC

from modelpick.runtime.schema import Output, Stored

from ..formats.decoding import Count, Name, Vector, Warn, check_length, matrix, refuse
from ..formats.document import Document, Source
from ..graphs.builder import DOUBLE, Graph
from .choices import ChoiceSelector, describe_choices
from .estimator import Matrix, checked_features
from .rules import TOLERANCE, Answer, Expected, Explanation, Probes, Rules, explained_scores


class SVCForm(Struct):
    """The parameters of a scikit-learn SVC."""

    model_names: Annotated[list[Name], Meta(min_length=2)]
    kernel: Literal["rbf", "linear"]
    gamma: Annotated[float, Meta(ge=0)]
    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Count]
    classes: list[int]


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


def _check(form: SVCForm, source: Source, warn: Warn) -> SVCDocument:
    n = len(form.classes)
    if n < 2 or len(set(form.classes)) != n or not all(0 <= c < len(form.model_names) for c in form.classes):
        refuse("$.classes", f"expected two or more indices of the {len(form.model_names)} $.model_names")
    support_vectors = matrix(form.support_vectors, "$.support_vectors")
    check_length(form.n_support, n, "$.n_support", "class")
    check_length(support_vectors, sum(form.n_support), "$.support_vectors", "vector that $.n_support counts")
    check_length(form.dual_coef, n - 1, "$.dual_coef", "class but one")
    for index, row in enumerate(form.dual_coef):
        check_length(row, len(support_vectors), f"$.dual_coef[{index}]", "row of $.support_vectors")
    check_length(form.intercept, n * (n - 1) // 2, "$.intercept", "pair of classes")
    return SVCDocument(
        model_names=tuple(form.model_names[c] for c in form.classes),
        kernel=form.kernel,
        gamma=form.gamma,
        support_vectors=support_vectors,
        n_support=tuple(form.n_support),
        dual_coef=np.array(form.dual_coef, dtype=np.float64),
        intercept=np.array(form.intercept, dtype=np.float64),
        source=source,
    )


class SVCModelSelector(ChoiceSelector, SVC):
    """Picks the model that wins most of the comparisons of two; each model is a choice.

    Attributes
    ----------
    pair_coef_ : ndarray of float64, shape (n_pairs, s)
        Coefficients of each pair's machine for all support vectors.
    """

    semantics = "trainer/1"

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
    return estimator


OUTPUTS = {Output.SCORE: "double", Output.CLASSIFIER: "index"}


def _add_graph(graph: Graph, estimator: SVCModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write comparisons of each two models by a kernel machine, in float64.

    ::

        features ─ kernel ─ (b, s) ─ Gemm pair coefficients ─ > 0 ─ Gemm ─ score (b, n) ─ ArgMax ─ classifier (b,)

    ``kernel_i = exp(-gamma |q - sv_i|^2)``, or ``q.sv_i``. A machine for two models i < j is positive where i wins; a
    model's score is the number of comparisons it wins, and of equal scores the first wins: the one-vs-one vote of C.-C.
    Chang and C.-J. Lin, LIBSVM: A Library for Support Vector Machines, section 7, as scikit-learn's SVC.predict holds
    it.
    """
    vectors = graph.node("Cast", graph.stored_exactly(Stored.SUPPORT_VECTORS, estimator.support_vectors_), to=DOUBLE)
    if estimator.kernel == "rbf":
        column = graph.node("Unsqueeze", features, graph.constant("vector_axis", np.array([1])))
        squares = graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0)
        kernel = graph.node(
            "Exp", graph.node("Mul", squares, graph.constant("minus_gamma", np.array(-estimator.gamma)))
        )
    else:
        kernel = graph.node("Gemm", features, vectors, transB=1)
    coefficients, intercepts = (
        graph.constant("pair_coef", estimator.pair_coef_),
        graph.constant("pair_intercept", estimator._intercept_),
    )
    pairs = graph.node("Gemm", kernel, coefficients, intercepts, transB=1)
    won = graph.node("Cast", graph.node("Greater", pairs, graph.constant("zero", np.array(0.0))), to=DOUBLE)
    n = len(estimator.classes_)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    wins, losses = graph.constant("wins", first - second), graph.constant("losses", second.sum(axis=0))
    graph.output(outputs[Output.SCORE], "Gemm", won, wins, losses)
    graph.output(outputs[Output.CLASSIFIER], "ArgMax", outputs[Output.SCORE], axis=1, keepdims=0)


def _describe(estimator: SVCModelSelector) -> dict[str, Any]:
    vectors = estimator.support_vectors_
    return describe_choices(estimator, len(vectors), "comparisons won, then model", vectors.size)


def _probes(estimator: SVCModelSelector) -> Probes:
    return Probes(estimator.support_vectors_, np.repeat(estimator.classes_, estimator._n_support))


def _expect(estimator: SVCModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    """Comparisons that are undecided but for roundings may go either way."""
    nothing, choices = np.empty(0), estimator.choice_models_
    first, second = (choices[models] for models in np.triu_indices(len(estimator.classes_), 1))
    for why, pairs in zip(explained, estimator.pair_scores(queries), strict=True):
        close = np.abs(pairs) <= TOLERANCE * max(1.0, np.abs(pairs).max())
        scores = estimator.wins(pairs[None])[0]
        if close.any():
            won = np.array([classifier["score"] for classifier in why["classifiers"]])
            undecided = np.array([close[(first == model) | (second == model)].sum() for model in choices])
            scores = np.where(np.abs(won - scores) <= undecided, won, scores)
        answer = Answer(explained_scores(why, estimator.model_names_), nothing)
        expected = Answer(estimator.best_per_model(scores[None])[0], nothing)
        yield Expected(answer, expected, {choices[scores.argmax()]}, bool(close.any()))


RULES = (
    Rules(
        algorithm="svm",
        semantics="trainer/1",
        form=SVCForm,
        check=_check,
        build=_build,
        estimator=SVCModelSelector,
        outputs=OUTPUTS,
        graph=_add_graph,
        describe=_describe,
        stored=(Stored.SUPPORT_VECTORS,),
        stored_rows=lambda estimator: list(range(len(estimator.support_vectors_))),
        probes=_probes,
        expect=_expect,
    ),
)
