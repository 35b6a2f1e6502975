"""Selector: loads an artifact and picks the language model for a query embedding."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from .algorithm import Algorithm, Run
from .artifact import Metadata, read_artifact, read_contents
from .choices import CLASSIFIERS, CLUSTERS, Choices
from .errors import ArtifactError, FeatureError
from .neighbours import Neighbours
from .onnx_file import Tensor

Array = npt.NDArray[Any]
# A batch is split into runs that hold about so many values at once, which fit the processor's caches, but answer so
# many queries at least.
CHUNK_VALUES, CHUNK_QUERIES = 2**21, 16
_ALGORITHMS: Mapping[str, Callable[[Metadata, Mapping[str, Tensor]], Algorithm]] = {
    "knn": Neighbours,
    "kmeans": partial(Choices, CLUSTERS),
    "svm": partial(Choices, CLASSIFIERS),
    "mlp": partial(Choices, CLASSIFIERS),
}


class Selector:
    """Picks the language model for a query embedding by running an artifact in onnxruntime.

    A selector is immutable: any number of threads may call it at once. Make one with `Selector.load`.
    """

    def __init__(self, session: onnxruntime.InferenceSession, metadata: Metadata, tables: Mapping[str, Tensor]) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata = metadata
        self._algorithm = _ALGORITHMS[metadata.algorithm](metadata, tables)
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

        Raises
        ------
        ArtifactError
            When the artifact cannot be read, is cut, altered, not modelpick's, or of a newer contract.
        """
        name, data = read_artifact(path)
        metadata, tables = read_contents(name, data)
        if metadata.algorithm not in _ALGORITHMS:
            raise ArtifactError(f"{name}: expected one of {', '.join(_ALGORITHMS)}, got {metadata.algorithm!r}")
        if sess_options is None:
            sess_options = onnxruntime.SessionOptions()
            sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
            sess_options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                data, sess_options, providers=list(providers or ["CPUExecutionProvider"]), enable_fallback=0
            )
            selector = cls(session, metadata, tables)
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
        query, q2 = self._query(features)
        return self._metadata.model_names[self._algorithm.winner(self._run(), query, q2)]

    def select_batch(self, matrix: npt.ArrayLike) -> list[str]:
        """Pick the model for each row of ``matrix``, shape (b, d); raises as `select` does."""
        queries = _numbers(matrix, f"rows of {self.n_features_in_} numbers")
        if queries.shape == (0,):
            return []
        if queries.ndim != 2 or queries.shape[1:] != self._shape:
            raise FeatureError(f"expected rows of {self.n_features_in_} numbers, got shape {queries.shape}")
        picked: list[str] = []
        for start in range(0, len(queries), self._chunk):
            chunk, _ = _finite(queries[start : start + self._chunk], start)
            picked += self._names[self._algorithm.winners(self._run(), chunk)].tolist()
        return picked

    def scores(self, features: npt.ArrayLike) -> dict[str, float]:
        """Score every model for one query; the highest is picked. Raises as `select` does.

        KNN gives vote sums, KMeans minus the distance to the model's nearest centroid, SVM the
        highest score of the model's classifiers, MLP its softmax probability.
        """
        query, _ = self._query(features)
        scores = self._algorithm.explain(self._run(), query).scores
        return dict(zip(self.model_names, scores.tolist(), strict=True))

    def explain(self, features: npt.ArrayLike) -> dict[str, Any]:
        """Tell what is picked for one query and why. Raises as `select` does.

        Returns
        -------
        dict
            ``model`` and ``scores`` for every algorithm; for KNN ``neighbours``, nearest first, each with row,
            distance, model, quality, speed and vote; for KMeans ``cluster`` and ``distance``; for SVM and MLP
            ``classifiers``, each with model and score, and ``classifier``, the index of the best. All of it can
            be written as JSON.
        """
        query, _ = self._query(features)
        explanation = self._algorithm.explain(self._run(), query)
        return {
            "model": self.model_names[explanation.winner],
            "scores": dict(zip(self.model_names, explanation.scores.tolist(), strict=True)),
            **explanation.details,
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

    def _query(self, features: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], float]:
        """Check one query: the query, (1, d), and its squared norm."""
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


def _numbers(values: npt.ArrayLike, expected: str) -> Array:
    try:
        array = np.asarray(values)
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
