"""Holds an artifact, run through `modelpick.runtime` in onnxruntime, against its scikit-learn estimator."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import ArtifactError, ModelpickError, Selector
from modelpick.runtime.errors import one_line

from ..documents import KNNDocument, load_document
from ..estimators import (
    Estimator,
    KMeansModelSelector,
    KNNModelSelector,
    MLPModelSelector,
    QueryModelSelector,
    SVCModelSelector,
    SVMModelSelector,
    build_estimator,
)
from ..files.io import write_atomically

Matrix = npt.NDArray[np.float64]
SAMPLES = 200
SEED = 0
# Kinds of queries that are made.
KINDS = 6
ONE_HOT_COLUMNS = 14
# Scores and distances are float64 sums in another order: more than this, relative to 1 or more, is wrong.
TOLERANCE = 1e-9


class Disagreement(Struct):
    """A query on which an artifact and its estimator disagree."""

    query: list[float]
    artifact: str
    """Model that the artifact picks."""
    estimator: str
    """Model that the estimator picks."""
    difference: float
    """Largest difference of their scores and distances, relative to 1 or more."""


class Report(Struct):
    """What a verification found."""

    artifact: str
    source: str
    algorithm: str
    queries: int
    agreed: int
    """Queries with the same pick, the same scores and the same distances."""
    tied: int
    """Queries of those where float64's rounding decides, differently on the two sides."""
    score_difference: float
    """Largest difference of scores among those, relative to 1 or more."""
    distance_difference: float
    """Largest difference of distances among those, relative to 1 or more."""
    seconds: float
    worst: Disagreement | None
    """The disagreement with the largest difference."""

    @property
    def passed(self) -> bool:
        """Whether every query agreed or was tied."""
        return self.worst is None


class VerificationError(ModelpickError):
    """An artifact disagrees with its estimator; ``report`` tells how."""

    def __init__(self, report: Report) -> None:
        wrong = report.queries - report.agreed
        super().__init__(
            f"{report.artifact}: expected the selections of {report.source}, "
            f"got {wrong} others in {report.queries} queries"
        )
        self.report = report


def verify(
    artifact: str | Path | bytes,
    source: str | Path | bytes,
    *,
    queries: npt.ArrayLike | None = None,
    samples: int = SAMPLES,
) -> Report:
    """Hold an artifact against the JSON model that it should have been converted from.

    Parameters
    ----------
    artifact, source
        Path or bytes of each.
    queries
        Queries to compare on, shape (b, d); by default they are made from the model, see `made_queries`.
    samples
        Number of queries to make.

    Raises
    ------
    DocumentError, ArtifactError, FeatureError
        When one of them is refused, or the artifact was converted from another JSON model.
    """
    name = "<bytes>" if isinstance(artifact, bytes) else str(artifact)
    with Selector.load(artifact) as selector:
        metadata = selector.metadata
        document = load_document(source, semantics=metadata.semantics.partition("/")[0])
        made_of = selector.metadata.source_sha256
        if made_of != document.source.sha256:
            raise ArtifactError(f"{name}: expected it made from SHA-256 {document.source.sha256}, got {made_of!r}")
        knn = {"k": metadata.k} if isinstance(document, KNNDocument) else {}
        estimator = build_estimator(document, **knn, shrinkage=metadata.raw.get("shrinkage"))
        given = made_queries(estimator, samples) if queries is None else queries
        return compare(selector, estimator, given, name, "<bytes>" if isinstance(source, bytes) else str(source))


def compare(selector: Selector, estimator: Estimator, queries: npt.ArrayLike, artifact: str, source: str) -> Report:
    """Compare picks, scores and distances on queries, shape (b, d); the names are for the report."""
    start = time.perf_counter()
    picked = selector.select_batch(queries)
    report = Report(one_line(artifact), one_line(source), selector.algorithm, len(picked), 0, 0, 0.0, 0.0, 0.0, None)
    if not picked:
        return report
    matrix = np.asarray(queries, dtype=np.float64)
    explained = [selector.explain(query) for query in matrix]
    expectations = _EXPECTATIONS[type(estimator)](estimator, matrix, explained)
    for query, pick, why, expected in zip(matrix, picked, explained, expectations, strict=True):
        score = _difference(_scores(why, estimator), expected.scores)
        distance = _difference(_distances(why), expected.distances)
        largest = max(score, distance)
        if {pick, why["model"]} <= expected.models and largest <= TOLERANCE:
            report.agreed += 1
            report.tied += expected.tied
            report.score_difference = max(report.score_difference, score)
            report.distance_difference = max(report.distance_difference, distance)
        elif report.worst is None or report.worst.difference < largest:
            report.worst = Disagreement(query.tolist(), pick, " or ".join(sorted(expected.models)), largest)
    report.seconds = time.perf_counter() - start
    return report


class _Expected(NamedTuple):
    """What the estimator makes of a query; where float64's roundings decide, it follows the artifact."""

    models: set[str]
    """Those whose scores are the highest, but for float64's roundings."""
    scores: Matrix
    distances: Matrix
    tied: bool


def _expected_knn(
    estimator: KNNModelSelector, queries: Matrix, explained: Sequence[dict[str, Any]]
) -> Iterator[_Expected]:
    distances, rows = estimator.kneighbors(queries)
    for query, why, nearest, order in zip(queries, explained, distances, rows, strict=True):
        chosen = np.array([neighbour["row"] for neighbour in why["neighbours"]])
        tied = not np.array_equal(chosen, order) and _is_rounding(estimator, query, chosen, nearest)
        outcome = estimator.vote(chosen[None] if tied else order[None])
        yield _Expected({estimator.model_names_[outcome.winners[0]]}, outcome.scores[0], nearest, tied)


def _is_rounding(estimator: KNNModelSelector, query: Matrix, chosen: npt.NDArray[np.int64], nearest: Matrix) -> bool:
    """Tell whether other rows were chosen that are as near but for roundings, and of identical ones the lowest."""
    if not _are_as_near(estimator, query, chosen, nearest):
        return False
    groups = estimator.row_groups_
    for group in np.unique(groups[chosen]):
        among = chosen[groups[chosen] == group]
        if not np.array_equal(among, np.flatnonzero(groups == group)[: len(among)]):
            return False
    return True


def _expected_queries(
    estimator: QueryModelSelector, queries: Matrix, explained: Sequence[dict[str, Any]]
) -> Iterator[_Expected]:
    distances, rows = estimator.kneighbors(queries)
    number = {int(row): query for query, row in enumerate(estimator.first_row_)}
    for query, why, nearest, order in zip(queries, explained, distances, rows, strict=True):
        chosen = np.array([number.get(neighbour["row"], -1) for neighbour in why["neighbours"]])
        rounded = not np.array_equal(chosen, order) and _are_as_near(estimator, query, chosen, nearest)
        scores = estimator.scores((chosen if rounded else order)[None])[0]
        close = scores >= scores.max() - TOLERANCE
        yield _Expected(set(estimator.model_names_[close]), scores, nearest, rounded or close.sum() > 1)


def _are_as_near(estimator: Any, query: Matrix, chosen: npt.NDArray[np.int64], nearest: Matrix) -> bool:
    """Tell whether rows were chosen that are as near as the nearest but for roundings, and each once."""
    if len(np.unique(chosen)) != len(nearest) or chosen.min() < 0 or chosen.max() >= estimator.n_samples_fit_:
        return False
    return _difference(estimator.distances(query[None])[0, chosen], nearest) <= TOLERANCE


def _expected_svc(
    estimator: SVCModelSelector, queries: Matrix, explained: Sequence[dict[str, Any]]
) -> Iterator[_Expected]:
    """Comparisons that are undecided but for roundings may go either way."""
    first, second = (estimator.choice_models_[models] for models in np.triu_indices(len(estimator.classes_), 1))
    for why, pairs in zip(explained, estimator.pair_scores(queries), strict=True):
        close = np.abs(pairs) <= TOLERANCE * max(1.0, np.abs(pairs).max())
        scores = estimator.wins(pairs[None])[0]
        if close.any():
            told = np.array([classifier["score"] for classifier in why["classifiers"]])
            undecided = np.array([close[(first == m) | (second == m)].sum() for m in estimator.choice_models_])
            scores = np.where(np.abs(told - scores) <= undecided, told, scores)
        best = estimator.best_per_model(scores[None])[0]
        yield _Expected({estimator.choice_models_[scores.argmax()]}, best, np.empty(0), bool(close.any()))


def _expected_choice(
    estimator: KMeansModelSelector | SVMModelSelector | MLPModelSelector,
    queries: Matrix,
    explained: Sequence[dict[str, Any]],
) -> Iterator[_Expected]:
    all_choices = estimator.choice_scores(queries)
    all_models = estimator.decision_function(queries)
    for why, choices, models in zip(explained, all_choices, all_models, strict=True):
        close = [_difference(choices[[i]], choices[[choices.argmax()]]) <= TOLERANCE for i in range(len(choices))]
        chosen = why["cluster"] if "cluster" in why else why["classifier"]
        decided = chosen if close[chosen] else int(choices.argmax())
        distances = -choices[[decided]] if "cluster" in why else np.empty(0)
        yield _Expected(set(estimator.choice_models_[close]), models, distances, sum(close) > 1)


_EXPECTATIONS: dict[type, Callable[[Any, Matrix, Sequence[dict[str, Any]]], Iterator[_Expected]]] = {
    KNNModelSelector: _expected_knn,
    QueryModelSelector: _expected_queries,
    KMeansModelSelector: _expected_choice,
    SVMModelSelector: _expected_choice,
    SVCModelSelector: _expected_svc,
    MLPModelSelector: _expected_choice,
}


def _scores(why: dict[str, Any], estimator: Estimator) -> Matrix:
    return np.array([why["scores"].get(name, np.nan) for name in estimator.model_names_])


def _distances(why: dict[str, Any]) -> Matrix:
    if "neighbours" in why:
        return np.array([neighbour["distance"] for neighbour in why["neighbours"]])
    return np.array([why["distance"]] if "cluster" in why else [])


def _difference(left: Matrix, right: Matrix) -> float:
    """Largest difference, relative to 1 or more; infinity where the shapes differ or one is no number."""
    if left.shape != right.shape:
        return np.inf
    with np.errstate(invalid="ignore"):
        differences = np.where(left == right, 0.0, np.abs(left - right) / np.maximum(1.0, np.abs(right)))
    return float(np.nan_to_num(differences, nan=np.inf).max(initial=0.0))


def made_queries(estimator: Estimator, samples: int) -> Matrix:
    """Make queries that try an estimator where it is likeliest to fail, float64, shape (samples, d).

    In turn: its own vectors; the same, perturbed; midpoints between vectors of different models; random
    directions as long as its vectors; one-hots alone; and the zero vector. The same each time.
    """
    rng = np.random.default_rng(SEED)
    vectors, models = _VECTORS[type(estimator)](estimator)
    width = vectors.shape[1]
    one = rng.integers(len(vectors), size=samples)
    other = rng.integers(len(vectors), size=samples)
    other = np.where(models[one] == models[other], (one + 1) % len(vectors), other)
    with np.errstate(over="ignore", invalid="ignore"):
        noise = rng.normal(size=(samples, width)) * np.sqrt((vectors[one] ** 2).mean(axis=1, keepdims=True))
        kinds = (
            vectors[one],
            vectors[one] + noise * 10.0 ** rng.integers(-8, 0, (samples, 1)),
            vectors[one] / 2 + vectors[other] / 2,
            noise,
            np.eye(width)[-1 - np.arange(samples) // KINDS % min(width, ONE_HOT_COLUMNS)],
            np.zeros((samples, width)),
        )
        queries: Matrix = np.choose((np.arange(samples) % KINDS)[:, None], kinds)
    return np.nan_to_num(queries)


def _svm_vectors(estimator: SVMModelSelector) -> tuple[Matrix, npt.NDArray[Any]]:
    matrices = [machine.support_vectors_ for machine in estimator.machines_]
    if estimator.linear_ is not None:
        matrices = [*estimator.linear_.coef_[:, None], *matrices]
    return np.vstack(matrices), np.repeat(estimator.choice_models_, [len(matrix) for matrix in matrices])


_VECTORS: dict[type, Callable[[Any], tuple[Matrix, npt.NDArray[Any]]]] = {
    KNNModelSelector: lambda estimator: (estimator._fit_X, estimator.model_indices_),
    QueryModelSelector: lambda estimator: (estimator._fit_X, np.arange(estimator.n_samples_fit_)),
    SVCModelSelector: lambda estimator: (
        estimator.support_vectors_,
        np.repeat(estimator.classes_, estimator._n_support),
    ),
    KMeansModelSelector: lambda estimator: (estimator.cluster_centers_, estimator.choice_models_),
    SVMModelSelector: _svm_vectors,
    MLPModelSelector: lambda estimator: (estimator.coefs_[0].T, np.arange(estimator.coefs_[0].shape[1])),
}


def write_junit(reports: Sequence[Report], path: Path) -> None:
    """Write reports as JUnit XML, a test case each."""
    failures = sum(not report.passed for report in reports)
    suite = ElementTree.Element("testsuite", name="modelpick verify", tests=str(len(reports)), failures=str(failures))
    for report in reports:
        case = ElementTree.SubElement(
            suite, "testcase", classname=report.algorithm, name=one_line(report.source), time=f"{report.seconds:.3f}"
        )
        if not report.passed:
            failure = ElementTree.SubElement(case, "failure", message=str(VerificationError(report)))
            failure.text = msgspec.json.encode(report.worst).decode()
    write_atomically(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
