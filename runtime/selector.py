"""Selector: loads an artifact and picks the language model for a query embedding."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from .artifact import Metadata, parse_metadata, read_artifact
from .errors import ArtifactError, FeatureError
from .voting import vote, vote_weights

Array = npt.NDArray[Any]
# Float64 values that one run of the session may hold per intermediate tensor: 64 MiB.
CHUNK_VALUES = 8 * 2**20
CANDIDATE_GROWTH = 8


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
        self._choices = np.array([index[name] for name in metadata.choices], dtype=np.int64)
        shapes = {node.name: node.shape for node in session.get_overridable_initializers()}
        self._candidates = "candidates" in shapes
        held = metadata.n_features_in * (2 * metadata.k + 32 if self._candidates else max(metadata.rows, 1))
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
        if sess_options is None:
            sess_options = onnxruntime.SessionOptions()
            sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
            sess_options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                data, sess_options, providers=list(providers or ["CPUExecutionProvider"])
            )
        except Exception as cause:  # onnxruntime's errors have no common base
            raise ArtifactError(f"{name}: onnxruntime refuses it: {str(cause).splitlines()[0]}") from None
        metadata = parse_metadata(name, session.get_modelmeta().custom_metadata_map)
        if metadata.algorithm not in _ALGORITHMS:
            raise ArtifactError(
                f"{name}: expected one of {', '.join(_ALGORITHMS)}, got {metadata.algorithm!r}"
            )
        return cls(session, metadata)

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
        outputs = self._run(self._query(features), self._algorithm.outputs)
        winner = int(self._algorithm.outcome(self, outputs).winners[0])
        return self.model_names[winner]

    def select_batch(self, matrix: npt.ArrayLike) -> list[str]:
        """Pick the model for each row of ``matrix``, shape (b, d); raises as `select` does."""
        names = self.model_names
        queries = self._check(matrix, 2)
        picked: list[str] = []
        for start in range(0, len(queries), self._chunk):
            outputs = self._run(queries[start : start + self._chunk], self._algorithm.outputs)
            picked += [names[winner] for winner in self._algorithm.outcome(self, outputs).winners]
        return picked

    def scores(self, features: npt.ArrayLike) -> dict[str, float]:
        """Score every model for one query; the highest is picked. Raises as `select` does.

        KNN gives vote sums, KMeans minus the distance to the model's nearest centroid, SVM the
        highest score of the model's classifiers.
        """
        outputs = self._run(self._query(features), self._algorithm.outputs)
        scores = self._algorithm.outcome(self, outputs).scores[0]
        return dict(zip(self.model_names, scores.tolist(), strict=True))

    def explain(self, features: npt.ArrayLike) -> dict[str, Any]:
        """Tell what is picked for one query and why. Raises as `select` does.

        Returns
        -------
        dict
            ``model`` and ``scores`` for every algorithm; for KNN ``neighbours``, nearest first, each
            with row, distance, model, quality, speed and vote; for KMeans ``cluster`` and ``distance``;
            for SVM ``classifiers``, each with model and score. All of it can be written as JSON.
        """
        algorithm = self._algorithm
        outputs = self._run(self._query(features), (*algorithm.outputs, *algorithm.details))
        outcome = algorithm.outcome(self, outputs)
        return {
            "model": self.model_names[outcome.winners[0]],
            "scores": dict(zip(self.model_names, outcome.scores[0].tolist(), strict=True)),
            **algorithm.explain(self, outputs),
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
        return self._check(features, 1)[None, :]

    def _check(self, features: npt.ArrayLike, dimensions: int) -> npt.NDArray[np.float64]:
        width = self._metadata.n_features_in
        expected = f"expected {width} numbers" if dimensions == 1 else f"expected rows of {width} numbers"
        try:
            given = np.asarray(features)
        except ValueError:
            raise FeatureError(f"{expected}, got ragged rows") from None
        if given.dtype.kind not in "fiu":
            raise FeatureError(f"{expected}, got dtype {given.dtype}")
        if given.ndim != dimensions or given.shape[-1] != width:
            raise FeatureError(f"{expected}, got shape {given.shape}")
        checked = np.ascontiguousarray(given, dtype=np.float64)
        if not np.isfinite(checked).all():
            place = [int(i) for i in np.argwhere(~np.isfinite(checked))[0]]
            raise FeatureError(f"{expected}, got NaN or infinity at {place}")
        return checked

    def _run(self, queries: npt.NDArray[np.float64], outputs: Sequence[str]) -> dict[str, Array]:
        session = self._session
        if session is None:
            raise ArtifactError("the selector is closed")
        found = dict(zip(outputs, session.run(outputs, {"features": queries}), strict=True))
        if self._candidates:
            self._certify(session, queries, outputs, found)
        return found

    def _certify(
        self,
        session: onnxruntime.InferenceSession,
        queries: npt.NDArray[np.float64],
        outputs: Sequence[str],
        found: dict[str, Array],
    ) -> None:
        """Search again, among ever more candidates, where the answer is not proven exact."""
        candidates = self._metadata.k
        while not found["certified"].all():
            candidates = min(CANDIDATE_GROWTH * (candidates + 2), int(self._metadata.raw["distinct_rows"]))
            for query in np.flatnonzero(~found["certified"][:, 0]):
                feeds = {"features": queries[query : query + 1], "candidates": np.array([candidates])}
                for name, value in zip(outputs, session.run(outputs, feeds), strict=True):
                    found[name][query] = value[0]


class _Algorithm(NamedTuple):
    """How the outputs of an algorithm's graph become scores."""

    outputs: tuple[str, ...]
    details: tuple[str, ...]
    outcome: Callable[[Selector, dict[str, Array]], Outcome]
    explain: Callable[[Selector, dict[str, Array]], dict[str, Any]]


def _best(values: Array, choices: Array, n_models: int) -> npt.NDArray[np.float64]:
    """Highest value among each model's choices: (b, n_choices) -> (b, n_models)."""
    best = np.full((len(values), n_models), -np.inf)
    for column, model in enumerate(choices):
        np.maximum(best[:, model], values[:, column], out=best[:, model])
    return best


def _knn_outcome(selector: Selector, outputs: dict[str, Array]) -> Outcome:
    weights = vote_weights(outputs["quality"], outputs["speed"])
    return Outcome(*vote(outputs["model"], weights, len(selector.model_names)))


def _knn_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    weights = vote_weights(outputs["quality"], outputs["speed"])
    columns = ("row", "distance", "model", "quality", "speed", "vote")
    rows = zip(*({**outputs, "vote": weights}[name][0].tolist() for name in columns), strict=True)
    neighbours = [dict(zip(columns, row, strict=True)) for row in rows]
    for neighbour in neighbours:
        neighbour["model"] = selector.model_names[neighbour["model"]]
    return {"neighbours": neighbours}


def _kmeans_outcome(selector: Selector, outputs: dict[str, Array]) -> Outcome:
    scores = _best(-outputs["distance"], selector._choices, len(selector.model_names))
    return Outcome(scores, selector._choices[outputs["cluster"]])


def _kmeans_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    cluster = int(outputs["cluster"][0])
    return {"cluster": cluster, "distance": float(outputs["distance"][0, cluster])}


def _svm_outcome(selector: Selector, outputs: dict[str, Array]) -> Outcome:
    scores = outputs["score"]
    best = _best(scores, selector._choices, len(selector.model_names))
    return Outcome(best, selector._choices[scores.argmax(axis=1)])


def _svm_explain(selector: Selector, outputs: dict[str, Array]) -> dict[str, Any]:
    pairs = zip(selector.metadata.choices, outputs["score"][0].tolist(), strict=True)
    return {"classifiers": [{"model": model, "score": score} for model, score in pairs]}


_ALGORITHMS = {
    "knn": _Algorithm(
        ("model", "quality", "speed", "certified"), ("row", "distance"), _knn_outcome, _knn_explain
    ),
    "kmeans": _Algorithm(("distance", "cluster"), (), _kmeans_outcome, _kmeans_explain),
    "svm": _Algorithm(("score",), (), _svm_outcome, _svm_explain),
}
