"""Selector: loads an artifact and picks the language model for a query embedding."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from .algorithms.argmax import CLASSIFIERS, CLUSTERS, Choices, Kind
from .algorithms.base import Algorithm, Ballot, Run
from .algorithms.knn_regression import Neighbourhoods
from .algorithms.knn_vote import Neighbours
from .artifact.metadata import Metadata, read_artifact, read_contents
from .artifact.onnx_reader import Tensor
from .artifact.requirements import Contract
from .decision.voting import QUALITY_WEIGHT
from .errors import ArtifactError, FeatureError
from .events import Observer, Selection, tell
from .features import FeatureBuilder

Array = npt.NDArray[Any]
# A batch is split into runs that hold about so many values at once, but answer so many queries at least.
CHUNK_VALUES, CHUNK_QUERIES = 2**23, 16
_Make = Callable[[Metadata, Mapping[str, Tensor], float], Algorithm]


def _choices(kind: Kind) -> _Make:
    return lambda metadata, tables, quality_weight: Choices(kind, metadata, tables)


_ALGORITHMS: Mapping[tuple[str, str], _Make] = {
    ("knn", "native/1"): Neighbours,
    ("knn", "trainer/1"): Neighbours,
    ("knn", "queries/1"): Neighbourhoods,
    ("kmeans", "native/1"): _choices(CLUSTERS),
    ("svm", "native/1"): _choices(CLASSIFIERS),
    ("svm", "trainer/1"): _choices(CLASSIFIERS),
    ("mlp", "native/1"): _choices(CLASSIFIERS),
}


class Drift(NamedTuple):
    """How far a query is from what a model knows."""

    distance: float
    """Distance to the nearest row or centroid."""
    rank: float
    """Share of the distances recorded at conversion that are smaller, from 0 to 1."""


class Selector:
    """Picks the language model for a query embedding by running an artifact in onnxruntime.

    A selector is immutable: any number of threads may call it at once. Make one with `Selector.load`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: Metadata,
        tables: Mapping[str, Tensor],
        quality_weight: float = QUALITY_WEIGHT,
        name: str = "",
        observer: Observer | None = None,
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata = metadata
        self._name, self._observer = name, observer
        self._ballot = Ballot(quality_weight)
        self._features = FeatureBuilder(metadata.n_features_in, metadata.embedding_dim)
        self._algorithm = _ALGORITHMS[metadata.algorithm, metadata.semantics](metadata, tables, quality_weight)
        self._index = {model: index for index, model in enumerate(metadata.model_names)}
        self._names = np.array(metadata.model_names, dtype=object)
        self._shape = (metadata.n_features_in,)
        self._chunk = max(CHUNK_QUERIES, CHUNK_VALUES // metadata.values_per_query)

    @classmethod
    def load(
        cls,
        path: str | Path | bytes,
        *,
        providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
        sess_options: onnxruntime.SessionOptions | None = None,
        quality_weight: float | None = None,
        expect: Contract | None = None,
        observer: Observer | None = None,
    ) -> Self:
        """Load an artifact.

        Parameters
        ----------
        path
            Path of an artifact, or its bytes.
        providers
            Execution providers, as onnxruntime takes them; the CPU by default. Others never stand in for them.
        sess_options
            Session options; by default one thread and sequential execution.
        quality_weight
            Share of the quality in the vote of KNN's neighbours, from 0 to 1; the rest is speed's. 0.9 by default.
        expect
            What the artifact must be.
        observer
            Called with an `events.Selection` for each call that picks. It must not block.

        Raises
        ------
        ArtifactError
            When the artifact cannot be read, is cut, altered, not modelpick's, of a newer contract, or not what is
            expected.
        FeatureError
            When the quality weight is none.
        """
        name, data = read_artifact(path)
        metadata, tables = read_contents(name, data)
        if (metadata.algorithm, metadata.semantics) not in _ALGORITHMS:
            known = ", ".join(f"{algorithm} of {semantics}" for algorithm, semantics in _ALGORITHMS)
            raise ArtifactError(f"{name}: expected {known}, got {metadata.algorithm} of {metadata.semantics}")
        if expect is not None:
            expect.check(name, metadata)
        weight = QUALITY_WEIGHT if quality_weight is None else _checked_weight(quality_weight, metadata.algorithm)
        if sess_options is None:
            sess_options = onnxruntime.SessionOptions()
            sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
            sess_options.log_severity_level = 4
        try:
            asked = list(providers or ["CPUExecutionProvider"])
            session = onnxruntime.InferenceSession(data, sess_options, providers=asked, enable_fallback=0)
            session.disable_fallback()  # older onnxruntime ignores enable_fallback
            missing = {entry if isinstance(entry, str) else entry[0] for entry in asked} - set(session.get_providers())
            if missing:
                raise RuntimeError(f"no execution provider {', '.join(sorted(missing))}")
            selector = cls(session, metadata, tables, weight, Path(name).stem, observer)
            selector.explain(np.zeros(metadata.n_features_in))
        except Exception as cause:  # onnxruntime's errors have no common base
            raise ArtifactError(f"{name}: cannot be run: {str(cause).splitlines()[0]}") from None
        return selector

    @property
    def algorithm(self) -> str:
        """``knn``, ``kmeans``, ``svm`` or ``mlp``."""
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
    def features(self) -> FeatureBuilder:
        """Makes the feature vectors that it expects, of embeddings and categories."""
        return self._features

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session is None

    def select(
        self,
        features: npt.ArrayLike | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        category: str | None = None,
        candidates: Collection[str] | None = None,
        quality_weight: float | None = None,
    ) -> str:
        """Pick the model for one query.

        Parameters
        ----------
        features
            Shape (d,): a list of numbers, or an array of any real type. Computed in float64.
        embedding, category
            Instead of the features: an embedding, shape (e,), and the category whose one-hot stands behind it, see
            `FeatureBuilder.build`.
        candidates
            Models that may win; all by default. Votes and scores of others do not count: KMeans falls to the nearest
            cluster whose model is a candidate, and KNN, where no neighbour's model is one, to the nearest row whose is.
        quality_weight
            Share of the quality in KNN's votes for this call, see `load`.

        Raises
        ------
        FeatureError
            When the query is of another width, empty, not numeric, or holds NaN or infinity; when a candidate is
            unknown or there is none; when the quality weight is none.
        ArtifactError
            When the selector is closed.
        """
        start = perf_counter() if self._observer else 0.0
        ballot = self._asked(candidates, quality_weight)
        query, q2 = self._query(features, embedding, category)
        model = self._metadata.model_names[self._algorithm.winner(self._run(), query, q2, ballot)]
        if self._observer:
            tell(self._observer, Selection(self._name, (model,), perf_counter() - start))
        return model

    async def aselect(self, features: npt.ArrayLike | None = None, **asked: Any) -> str:
        """Pick the model for one query in a thread, so that the event loop goes on; takes what `select` does.

        A small artifact answers sooner than a thread starts: measure, and call `select` instead where that is so.
        """
        import asyncio  # takes as long as all other imports here

        return await asyncio.to_thread(self.select, features, **asked)

    def select_batch(
        self,
        matrix: npt.ArrayLike,
        *,
        candidates: Collection[str] | None = None,
        quality_weight: float | None = None,
    ) -> list[str]:
        """Pick the model for each row of ``matrix``, shape (b, d); takes and raises what `select` does."""
        ballot = self._asked(candidates, quality_weight)
        queries = _numbers(matrix, f"rows of {self.n_features_in_} numbers")
        if queries.shape == (0,):
            return []
        if queries.ndim != 2 or queries.shape[1:] != self._shape:
            raise FeatureError(f"expected rows of {self.n_features_in_} numbers, got shape {queries.shape}")
        start = perf_counter()
        picked: list[str] = []
        for first in range(0, len(queries), self._chunk):
            chunk, _ = _finite(queries[first : first + self._chunk], first)
            picked += self._names[self._algorithm.winners(self._run(), chunk, ballot)].tolist()
        if self._observer:
            tell(self._observer, Selection(self._name, tuple(picked), perf_counter() - start))
        return picked

    def scores(
        self,
        features: npt.ArrayLike | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        category: str | None = None,
        candidates: Collection[str] | None = None,
        quality_weight: float | None = None,
    ) -> dict[str, float]:
        """Score every candidate for one query; the highest is picked. Takes and raises what `select` does.

        KNN gives vote sums, or mean weights by its ``queries`` semantics; KMeans minus the distance to the model's
        nearest centroid, SVM the highest score of the model's classifiers, or votes by its ``trainer`` semantics, MLP
        its softmax probability.
        """
        explained = self.explain(
            features, embedding=embedding, category=category, candidates=candidates, quality_weight=quality_weight
        )
        scores: dict[str, float] = explained["scores"]
        return scores

    def explain(
        self,
        features: npt.ArrayLike | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        category: str | None = None,
        candidates: Collection[str] | None = None,
        quality_weight: float | None = None,
    ) -> dict[str, Any]:
        """Tell what is picked for one query and why. Takes and raises what `select` does.

        Returns
        -------
        dict
            ``model`` and ``scores`` for every algorithm; for KNN ``neighbours``, nearest first, each with row,
            distance, model, quality, speed and vote, or by its ``queries`` semantics with row, distance and the outcome
            of each model; for KMeans ``cluster`` and ``distance``; for SVM and MLP ``classifiers``, each with model and
            score, and ``classifier``, the index of the best. All of it can be written as JSON.
        """
        ballot = self._asked(candidates, quality_weight)
        query, _ = self._query(features, embedding, category)
        explanation = self._algorithm.explain(self._run(), query, ballot)
        scores = dict(zip(self.model_names, explanation.scores.tolist(), strict=True))
        if ballot.allowed is not None:
            scores = {model: scores[model] for model, allowed in zip(scores, ballot.allowed, strict=True) if allowed}
        return {"model": self.model_names[explanation.winner], "scores": scores, **explanation.details}

    def checked(
        self,
        features: npt.ArrayLike | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        category: str | None = None,
        candidates: Collection[str] | None = None,
        quality_weight: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """Check what `select` takes, and raise what it raises, but pick nothing: gives the features, float64, (d,)."""
        self._asked(candidates, quality_weight)
        query, _ = self._query(features, embedding, category)
        checked: npt.NDArray[np.float64] = query[0]
        return checked

    def drift(self, features: npt.ArrayLike | None = None, **query: Any) -> Drift:
        """Tell how far one query is from what the model knows; takes and raises what `select` does of the query.

        A KNN query is measured to its nearest row, by the float32 search alone, a KMeans query to its nearest centroid.
        It is ranked among the distances recorded at conversion: from each row, or centroid, to the nearest other.

        Raises
        ------
        ArtifactError
            When the artifact records no distances.
        """
        vector, q2 = self._query(features, **query)
        if not self._metadata.distances:
            raise ArtifactError("expected an artifact that records distances: KNN or KMeans, of two rows or more")
        distance = self._algorithm.distance(self._run(), vector, q2)
        return Drift(distance, bisect_left(self._metadata.distances, distance) / len(self._metadata.distances))

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

    def _asked(self, candidates: Collection[str] | None, quality_weight: float | None) -> Ballot:
        ballot = self._ballot
        if quality_weight is not None:
            ballot = Ballot(_checked_weight(quality_weight, self.algorithm))
        if candidates is None:
            return ballot
        if isinstance(candidates, str) or len(candidates) == 0:
            raise FeatureError(f"candidates: expected at least one of {', '.join(self.model_names)}")
        allowed = np.zeros(len(self.model_names), dtype=np.bool_)
        for candidate in candidates:
            index = self._index.get(candidate) if isinstance(candidate, str) else None
            if index is None:
                raise FeatureError(f"candidates: expected some of {', '.join(self.model_names)}, got {candidate!r}")
            allowed[index] = True
        return ballot._replace(allowed=allowed)

    def _query(
        self,
        features: npt.ArrayLike | None,
        embedding: npt.ArrayLike | None = None,
        category: str | None = None,
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Check one query: the query, (1, d), and its squared norm."""
        if embedding is not None or category is not None:
            if features is not None or embedding is None:
                raise FeatureError("expected features, or an embedding and its category")
            features = self._features.build(embedding, category)
        query = _numbers(features, f"{self._shape[0]} numbers")
        if query.shape != self._shape:
            raise FeatureError(f"expected {self._shape[0]} numbers, got shape {query.shape}")
        return _finite(query[None], None)

    def _run(self) -> Run:
        session = self._session
        if session is None:
            raise ArtifactError("the selector is closed")
        run: Run = session.run
        return run


def _checked_weight(quality_weight: float, algorithm: str) -> float:
    if algorithm != "knn":
        raise FeatureError(f"quality_weight: expected a KNN selector, whose rows vote, got {algorithm}")
    if not isinstance(quality_weight, (int, float)) or not 0.0 <= quality_weight <= 1.0:
        raise FeatureError(f"quality_weight: expected a number from 0 to 1, got {quality_weight!r}")
    return float(quality_weight)


def _numbers(values: npt.ArrayLike | None, expected: str) -> Array:
    try:
        array: Array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise FeatureError(f"expected {expected}, got ragged rows or what is no number") from None
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"expected {expected}, got dtype {array.dtype}")
    return array


def _finite(queries: Array, first_row: int | None) -> tuple[npt.NDArray[np.float64], float]:
    """Make contiguous float64 of queries, (b, d), and refuse NaN and infinity; also gives the sum of squares."""
    if queries.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # long doubles may overflow
            queries = queries.astype(np.float64)
    queries = np.ascontiguousarray(queries, dtype=np.float64)
    # The sum is finite only if every value is, costs half of looking at each, and warns of no overflow. For many values
    # BLAS would start threads.
    squares = np.vdot(queries, queries) if first_row is None else np.einsum("ij,ij", queries, queries)
    if not isfinite(squares) and not np.isfinite(queries).all():
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(queries)))
        place = f"[{column}]" if first_row is None else f"[{first_row + row}][{column}]"
        raise FeatureError(f"expected finite numbers, got {queries[row, column]} at {place}")
    return queries, float(squares)
