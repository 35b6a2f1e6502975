"""Selector: loads an artifact and picks the language model for a query embedding."""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from .artifact import Metadata, read_artifact, read_metadata
from .errors import ArtifactError, FeatureError
from .voting import best_per_model, vote, vote_one, vote_weights

Array = npt.NDArray[Any]
# Float64 values that one run of the session may hold per intermediate tensor: 16 MiB.
CHUNK_VALUES = 2 * 2**20
# A search that is repeated looks at that many times more candidates, up to the latter at once.
CANDIDATE_GROWTH = 8
CANDIDATE_BLOCK = 4096


class Outcome(NamedTuple):
    """Scores per model, float64 (b, n_models), and winning models, int64 (b,), of ``b`` queries."""

    scores: npt.NDArray[np.float64]
    winners: npt.NDArray[np.int64]


class Selector:
    """Picks the language model for a query embedding by running an artifact in onnxruntime.

    A selector is immutable: any number of threads may call it at once. Make one with `Selector.load`.
    """

    def __init__(self, session: onnxruntime.InferenceSession, metadata: Metadata) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata = metadata
        self._algorithm = _ALGORITHMS[metadata.algorithm]
        index = {name: i for i, name in enumerate(metadata.model_names)}
        self._names = np.array(metadata.model_names, dtype=object)
        self._choices = np.array([index[name] for name in metadata.choices], dtype=np.int64)
        self._shape = (metadata.n_features_in,)
        self._complete = metadata.candidates >= metadata.distinct_rows
        held = max(1, metadata.rows, 2 * metadata.candidates * metadata.n_features_in)
        self._chunk = max(1, CHUNK_VALUES // held)

    @classmethod
    def load(
        cls,
        path: str | Path | bytes,
        *,
        providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
        sess_options: onnxruntime.SessionOptions | None = None,
    ) -> Self:
        """Load an artifact.

        Parameters
        ----------
        path
            Path of an artifact, or its bytes.
        providers
            Execution providers, as onnxruntime takes them; the CPU by default.
        sess_options
            Session options; by default one thread and sequential execution.

        Raises
        ------
        ArtifactError
            When the artifact cannot be read, is cut, altered, not modelpick's, or of a newer contract.
        """
        name, data = read_artifact(path)
        metadata = read_metadata(name, data)
        if metadata.algorithm not in _ALGORITHMS:
            raise ArtifactError(f"{name}: expected one of {', '.join(_ALGORITHMS)}, got {metadata.algorithm!r}")
        if sess_options is None:
            sess_options = onnxruntime.SessionOptions()
            sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
            sess_options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                data, sess_options, providers=list(providers or ["CPUExecutionProvider"])
            )
            selector = cls(session, metadata)
            selector.explain(np.zeros(metadata.n_features_in))
        except Exception as cause:  # onnxruntime's errors have no common base
            raise ArtifactError(f"{name}: cannot be run: {str(cause).splitlines()[0]}") from None
        return selector

    @property
    def algorithm(self) -> str:
        """``knn``, ``kmeans`` or ``svm``."""
        return self._metadata.algorithm

    @property
    def model_names(self) -> tuple[str, ...]:
        """Language models that can be picked."""
        return self._metadata.model_names

    @property
    def n_features_in_(self) -> int:
        """Width of a query."""
        return self._metadata.n_features_in

    @property
    def metadata(self) -> Metadata:
        """What the artifact says of itself."""
        return self._metadata

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session is None

    def select(self, features: npt.ArrayLike) -> str:
        """Pick the model for one query.

        Parameters
        ----------
        features
            Shape (d,): a list of numbers, or an array of any real type. Computed in float64.

        Raises
        ------
        FeatureError
            When the query is of another width, empty, not numeric, or holds NaN or infinity.
        ArtifactError
            When the selector is closed.
        """
        algorithm = self._algorithm
        outputs = self._run(self._query(features), algorithm.winner_outputs)
        return self._metadata.model_names[algorithm.winner(self, outputs)]

    def select_batch(self, matrix: npt.ArrayLike) -> list[str]:
        """Pick the model for each row of ``matrix``, shape (b, d); raises as `select` does."""
        queries = _numbers(matrix, f"rows of {self.n_features_in_} numbers")
        if queries.shape == (0,):
            return []
        if queries.ndim != 2 or queries.shape[1:] != self._shape:
            raise FeatureError(f"expected rows of {self.n_features_in_} numbers, got shape {queries.shape}")
        algorithm = self._algorithm
        picked: list[str] = []
        for start in range(0, len(queries), self._chunk):
            chunk = _finite(queries[start : start + self._chunk], start)
            outcome = algorithm.outcome(self, self._run(chunk, algorithm.score_outputs))
            picked += self._names[outcome.winners].tolist()
        return picked

    def scores(self, features: npt.ArrayLike) -> dict[str, float]:
        """Score every model for one query; the highest is picked. Raises as `select` does.

        KNN gives vote sums, KMeans minus the distance to the model's nearest centroid, SVM the
        highest score of the model's classifiers.
        """
        algorithm = self._algorithm
        outcome = algorithm.outcome(self, self._run(self._query(features), algorithm.score_outputs))
        return dict(zip(self.model_names, outcome.scores[0].tolist(), strict=True))

    def explain(self, features: npt.ArrayLike) -> dict[str, Any]:
        """Tell what is picked for one query and why. Raises as `select` does.

        Returns
        -------
        dict
            ``model`` and ``scores`` for every algorithm; for KNN ``neighbours``, nearest first, each with row,
            distance, model, quality, speed and vote; for KMeans ``cluster`` and ``distance``; for SVM
            ``classifiers``, each with model and score, and ``classifier``, the index of the best. All of it can
            be written as JSON.
        """
        algorithm = self._algorithm
        names = (*algorithm.score_outputs, *algorithm.detail_outputs)
        outputs = self._run(self._query(features), names)
        outcome = algorithm.outcome(self, outputs[: len(algorithm.score_outputs)])
        return {
            "model": self.model_names[outcome.winners[0]],
            "scores": dict(zip(self.model_names, outcome.scores[0].tolist(), strict=True)),
            **algorithm.explain(self, dict(zip(names, outputs, strict=True))),
        }

    def close(self) -> None:
        """Let go of the session; calls in flight finish, later ones raise `ArtifactError`."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _query(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        query = _numbers(features, f"{self._shape[0]} numbers")
        if query.shape != self._shape:
            raise FeatureError(f"expected {self._shape[0]} numbers, got shape {query.shape}")
        return _finite(query[None], None)

    def _run(self, queries: npt.NDArray[np.float64], outputs: tuple[str, ...]) -> list[Array]:
        session = self._session
        if session is None:
            raise ArtifactError("the selector is closed")
        found: list[Array] = session.run(outputs, {"features": queries})
        if outputs[0] == "certified" and not (self._complete or found[0].all()):
            for query in np.flatnonzero(~found[0][:, 0]):
                again = self._search_again(session, queries[query : query + 1])
                for name, values in zip(outputs[1:], found[1:], strict=True):
                    values[query] = again[name]
        return found

    def _search_again(self, session: onnxruntime.InferenceSession, query: npt.NDArray[np.float64]) -> dict[str, Array]:
        """Search among ever more candidates, block by block, until the answer is proven exact."""
        found: dict[str, Array] = {}
        certified, first, block = False, 0, self._metadata.candidates
        while not certified and first < self._metadata.distinct_rows:
            left = self._metadata.distinct_rows - first
            block = min(CANDIDATE_GROWTH * block, CANDIDATE_BLOCK)
            if left < block + self._metadata.candidates:  # so that a block always holds k rows
                block = left
            feeds = {"features": query, "first": np.array([first]), "candidates": np.array([first + block])}
            certified, *values = session.run(("certified", *_NEIGHBOUR_OUTPUTS), feeds)
            block_found = {name: value[0] for name, value in zip(_NEIGHBOUR_OUTPUTS, values, strict=True)}
            merged = {name: np.append(found.get(name, value[:0]), value) for name, value in block_found.items()}
            nearest = np.lexsort((merged["row"], merged["distance"]))[: self._metadata.k]
            found = {name: value[nearest] for name, value in merged.items()}
            first += block
        return found


def _numbers(values: npt.ArrayLike, expected: str) -> Array:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise FeatureError(f"expected {expected}, got ragged rows or what is no number") from None
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"expected {expected}, got dtype {array.dtype}")
    return array


def _finite(queries: Array, first_row: int | None) -> npt.NDArray[np.float64]:
    """Make contiguous float64 of queries, (b, d), and refuse NaN and infinity."""
    if queries.dtype != np.float64:
        with np.errstate(over="ignore"):  # long doubles may overflow
            queries = queries.astype(np.float64)
    queries = np.ascontiguousarray(queries)
    flat = queries.reshape(-1)
    # The dot product is finite only if every value is, and costs a fifth of looking at each.
    if not isfinite(flat.dot(flat)) and not np.isfinite(flat).all():
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(queries)))
        place = f"[{column}]" if first_row is None else f"[{first_row + row}][{column}]"
        raise FeatureError(f"expected finite numbers, got {queries[row, column]} at {place}")
    return queries


class _Algorithm(NamedTuple):
    """How the outputs of an algorithm's graph become a winner, scores and an explanation."""

    winner_outputs: tuple[str, ...]
    winner: Callable[[Selector, list[Array]], int]
    score_outputs: tuple[str, ...]
    outcome: Callable[[Selector, list[Array]], Outcome]
    detail_outputs: tuple[str, ...]
    explain: Callable[[Selector, dict[str, Array]], dict[str, Any]]


def _knn_winner(selector: Selector, outputs: list[Array]) -> int:
    _, models, qualities, speeds = outputs
    return vote_one(models[0].tolist(), qualities[0].tolist(), speeds[0].tolist())


def _knn_outcome(selector: Selector, outputs: list[Array]) -> Outcome:
    _, models, qualities, speeds = outputs
    return Outcome(*vote(models, vote_weights(qualities, speeds), len(selector.model_names)))


def _knn_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    columns = {
        "row": outputs["row"],
        "distance": outputs["distance"],
        "model": selector._names[outputs["model"]],
        "quality": outputs["quality"],
        "speed": outputs["speed"],
        "vote": vote_weights(outputs["quality"], outputs["speed"]),
    }
    rows = zip(*(values[0].tolist() for values in columns.values()), strict=True)
    return {"neighbours": [dict(zip(columns, row, strict=True)) for row in rows]}


def _choice_winner(selector: Selector, outputs: list[Array]) -> int:
    return int(selector._choices[outputs[0].item()])


def _kmeans_outcome(selector: Selector, outputs: list[Array]) -> Outcome:
    clusters, distances = outputs
    scores = best_per_model(-distances, selector._choices, len(selector.model_names))
    return Outcome(scores, selector._choices[clusters])


def _kmeans_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    cluster = outputs["cluster"].item()
    return {"cluster": cluster, "distance": float(outputs["distance"][0, cluster])}


def _svm_outcome(selector: Selector, outputs: list[Array]) -> Outcome:
    classifiers, scores = outputs
    best = best_per_model(scores, selector._choices, len(selector.model_names))
    return Outcome(best, selector._choices[classifiers])


def _svm_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    pairs = zip(selector.metadata.choices, outputs["score"][0].tolist(), strict=True)
    classifiers = [{"model": model, "score": score} for model, score in pairs]
    return {"classifier": outputs["classifier"].item(), "classifiers": classifiers}


_VOTE_OUTPUTS = ("certified", "model", "quality", "speed")
_NEIGHBOUR_OUTPUTS = ("row", "distance", "model", "quality", "speed")
_ALGORITHMS = {
    "knn": _Algorithm(_VOTE_OUTPUTS, _knn_winner, _VOTE_OUTPUTS, _knn_outcome, ("row", "distance"), _knn_explain),
    "kmeans": _Algorithm(("cluster",), _choice_winner, ("cluster", "distance"), _kmeans_outcome, (), _kmeans_explain),
    "svm": _Algorithm(("classifier",), _choice_winner, ("classifier", "score"), _svm_outcome, (), _svm_explain),
}
