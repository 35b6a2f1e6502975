"""Selector: loads an artifact and picks the language model for a query embedding."""

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from math import isnan
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Self, Unpack, cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from .algorithms.base import FAR, Algorithm, Predictor
from .artifact.metadata import Metadata
from .artifact.requirements import Requirements
from .artifact.seal import check_seal, read_sealed
from .deciding import Decision, Predicted, Prediction, new_id
from .decision.exploring import draw
from .decision.operating_points import OperatingPoint
from .decision.outcomes import KINDS
from .errors import ArtifactError, FeatureError, ModelpickError
from .events import UNKNOWN, Far, Observer, Selection, notify
from .features import FeatureBuilder
from .keywords import refuse_unknown, spelled_out
from .loading import Loading, Source, open_artifact
from .notebook import Explained
from .queries import FEATURES, BatchFeatures, Features, Query
from .request import BatchRequest, FarFrom, Given, Preferences, Request, UnknownCandidates, lasting
from .session import Providers, cannot_run

# A batch is split into runs that hold about this number of values at once, and that answer at least this number of
# queries.
CHUNK_VALUES, CHUNK_QUERIES = 2**23, 16


class Drift(NamedTuple):
    """How far a query is from the rows or centroids of a model."""

    distance: float
    """Distance to the nearest row or centroid."""
    rank: float
    """Share of the distances recorded at conversion that are smaller, from 0 to 1."""


class Selector:
    """Picks the language model for a query embedding by running an artifact in onnxruntime.

    A selector is immutable: any number of threads may call it at once. Make one with `Selector.load`. It keeps the
    artifact's bytes: a copy or an unpickled selector is loaded from these bytes with the same options.
    """

    def __init__(self, *_: object, **__: object) -> None:
        kind = type(self).__name__
        raise TypeError(f"expected {kind}.load(path): a {kind} is loaded from an artifact")

    @classmethod
    @spelled_out
    def load(
        cls,
        path: str | Path | bytes,
        *,
        providers: Providers | None = None,
        sess_options: onnxruntime.SessionOptions | None = None,
        unknown_candidates: UnknownCandidates | None = None,
        expect: Requirements | None = None,
        observer: Observer | None = None,
        **given: Unpack[Given],
    ) -> Self:
        """Load an artifact.

        Parameters
        ----------
        path
            Path of an artifact, or its bytes.
        providers
            Execution providers, as onnxruntime takes them; the CPU by default. A missing provider is an error. Where a
            provider is not known to be exact, the CPU answers, see `modelpick.runtime.session.EXACT`.
        sess_options
            Session options; by default one thread and sequential execution.
        unknown_candidates
            Whether a candidate that the artifact does not know is an error, or is ignored and logged once per name. By
            default HierShrink and KMeans with scores ignore it, as the original does, and it is an error for all other
            algorithms. If no candidate is left, that is an error; except that the algorithms whose default is the error
            answer a single unknown candidate with its name where it is to be ignored.
        expect
            Requirements that the artifact must meet.
        observer
            Called with an `events.Selection` for each call that picks. It must not block.
        **given
            ``candidates``, ``quality_weight``, ``objective``, ``keep``, ``at_least``, ``far``, ``costs``,
            ``seconds`` and ``evidence`` for all calls that do not give their own: see
            `modelpick.runtime.request.Given`.

        Raises
        ------
        ArtifactError
            When the artifact cannot be read, is cut, altered, not modelpick's or of a newer format version, or does not
            meet the requirements.
        FeatureError
            When a preference is invalid, or the algorithm does not take it.
        """
        refuse_unknown(given, tuple(Loading.__annotations__))
        name, data = read_sealed(path)
        return cls._open(
            Source(name, data, providers, sess_options, unknown_candidates, expect, observer, lasting(given))
        )

    @classmethod
    def _copied(cls, source: Source) -> Self:
        check_seal(source.name, source.data)  # a pickle may be cut or altered as a file may
        return cls._open(source)

    @classmethod
    def _open(cls, source: Source) -> Self:
        selector = cls.__new__(cls)
        selector._set_up(source)
        return selector

    def _set_up(self, source: Source) -> None:
        self._source, self._name, self._observer = source, Path(source.name).stem, source.observer
        opened = open_artifact(source)
        self._metadata, self._features, self._queries, self._preferences, algorithm = opened
        self._algorithm: Algorithm | None = algorithm
        self._names = np.array(self.model_names, dtype=object)
        self._chunk = max(CHUNK_QUERIES, CHUNK_VALUES // self._metadata.values_per_query)
        anyone = self._preferences.default._replace(allowed=None, order=None, only=None)
        try:
            found = self._explained(algorithm, Query(np.zeros((1, self.n_features_in_)), 0.0), anyone)
        except Exception as cause:  # an artifact that does not hold what its metadata say fails in any way
            raise cannot_run(source.name, cause) from None
        # A model without a classifier or cluster has no score: no query can be answered by it.
        self._pickable = tuple(found["scores"])

    @property
    def algorithm(self) -> str:
        """Name of the algorithm, as the JSON model has it: ``knn``, ``kmeans`` and so on."""
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
        """Makes the feature vectors that the selector expects from embeddings and categories."""
        return self._features

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """Operating points that training recorded, in the order of their weights; empty where it recorded none."""
        return self._metadata.points

    @property
    def default(self) -> str | None:
        """Model that is best on average over the training queries, if that was recorded."""
        return self._metadata.default

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._algorithm is None

    @spelled_out
    def select(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> str:
        """Pick the model for one query.

        Parameters
        ----------
        features
            Shape (d,): a list of numbers, or an array of any real type; computed in float64. Give either this, or
            ``embedding`` and ``category``.
        **request
            ``embedding``, ``category``, ``candidates``, ``quality_weight``, ``objective``, ``keep``, ``at_least``,
            ``far``, ``costs``, ``seconds`` and ``evidence``: see `modelpick.runtime.request.Request`.

        Raises
        ------
        FeatureError
            When the query has another width, is empty or not numeric, or holds NaN or infinity; when a candidate is
            unknown or there is none; when a preference is invalid, or the algorithm does not take it.
        ArtifactError
            When the selector is closed.
        """
        start = perf_counter() if self._observer else 0.0
        preferences = self._preferences.check(request)
        query = self._queries.one(features, request, may_be_single=True)
        model = self._picked(query, preferences)
        if self._observer:
            self._tell(self._observer, (model,), preferences, start)
        return model

    def _picked(self, query: Query, preferences: Preferences) -> str:
        algorithm = self._algorithm or self._opened()
        if preferences.only is not None:
            return preferences.only
        try:
            pick = algorithm.pick_one(query, preferences)
            if pick == FAR:
                self._tell_far(1)
                return self._default_of(algorithm, preferences)
            return self._metadata.model_names[pick]
        except Exception as cause:
            raise self._failure(cause) from None

    def _default_of(self, algorithm: Algorithm, preferences: Preferences) -> str:
        """Return the default model, which the picks of an algorithm that takes ``far`` have."""
        return self._metadata.model_names[cast(Predictor, algorithm).default(preferences)]

    def _tell_far(self, queries: int) -> None:
        if self._observer and queries:
            notify(self._observer, Far(self._name, queries))

    @spelled_out
    async def aselect(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> str:
        """Pick the model for one query in a thread, without blocking the event loop; see `select`.

        A small artifact answers sooner than a thread starts. Measure, and call `select` where it takes less time.
        """
        import asyncio  # takes as long as all other imports here

        return await asyncio.to_thread(self.select, features, **request)

    @spelled_out
    def select_batch(self, matrix: npt.ArrayLike | None = None, **request: Unpack[BatchRequest]) -> list[str]:
        """Pick the model for each row of ``matrix``, shape (b, d); see `select` for other arguments and errors.

        Give either a matrix, or ``embedding``, shape (b, e), and ``category``, one for each embedding.
        """
        preferences = self._preferences.check(request)
        vectors = self._queries.batch(matrix, request)
        start = perf_counter()
        picked = self._picked_batch(vectors, preferences)
        if self._observer:
            self._tell(self._observer, tuple(picked), preferences, start)
        return picked

    def _picked_batch(self, vectors: npt.NDArray[Any], preferences: Preferences) -> list[str]:
        algorithm = self._opened()
        picked: list[str] = []
        n_far = 0
        for first in range(0, len(vectors), self._chunk):
            queries = self._queries.many(vectors[first : first + self._chunk], first)
            count = len(queries.vectors)
            if preferences.only is not None:
                picked += [preferences.only] * count
                continue
            try:
                picks = algorithm.pick_many(queries, preferences)
                if picks.shape != (count,):
                    raise ValueError(f"expected {count} picks, got shape {picks.shape}")
                models, is_far = self._names[picks], picks == FAR
                if is_far.any():
                    models[is_far] = self._default_of(algorithm, preferences)
                    n_far += int(is_far.sum())
                picked += models.tolist()
            except Exception as cause:
                raise self._failure(cause) from None
        self._tell_far(n_far)
        return picked

    @spelled_out
    def decide(
        self,
        features: npt.ArrayLike | None = None,
        *,
        key: str | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[Request],
    ) -> Decision:
        """Pick the model for one query as `select` does, or explore, and return what learning from it needs.

        With the probability ``explore`` another candidate is drawn, each with equal probability. The propensity in the
        decision is exact: it is what an estimate from logs weighs the outcome by.

        Parameters
        ----------
        features
            See `select`.
        key
            What the draw is hashed from, such as the name of a conversation: equal keys draw the same, in this process
            or another. Without a key, each decision draws by its own id.
        explore
            Probability of exploring, from 0 to 1.
        margin
            Candidates are drawn only if their predicted utility is at most this much below that of the pick. By default
            all candidates may be drawn. A margin needs the predictions at once, which takes the time of `explain`.
        **request
            See `select`.

        Raises
        ------
        FeatureError
            See `select`; and when ``explore`` is not a probability, the margin is negative, or the algorithm predicts
            no utilities to which a margin applies.
        ArtifactError
            When the selector is closed.
        """
        start = perf_counter() if self._observer else 0.0
        preferences = self._preferences.check(request)
        # The usual call has nothing to check, and each call of Python counts here.
        if explore.__class__ is not float or explore or margin is not None or key.__class__ is not str:
            self._preferences.check_exploring(key, explore, margin)
        query = self._queries.one(features, request, may_be_single=True)
        decision = self._decided(query.vector[0], self._picked(query, preferences), preferences, key, explore, margin)
        if self._observer:
            self._tell(self._observer, (decision.model,), preferences, start, (decision,))
        return decision

    @spelled_out
    async def adecide(
        self,
        features: npt.ArrayLike | None = None,
        *,
        key: str | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[Request],
    ) -> Decision:
        """Decide in a thread, without blocking the event loop; see `decide` and `aselect`."""
        import asyncio  # takes as long as all other imports here

        return await asyncio.to_thread(self.decide, features, key=key, explore=explore, margin=margin, **request)

    @spelled_out
    def decide_batch(
        self,
        matrix: npt.ArrayLike | None = None,
        *,
        keys: Sequence[str | None] | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[BatchRequest],
    ) -> list[Decision]:
        """Decide on each row of ``matrix``, shape (b, d); see `decide`, and `select_batch` for other arguments.

        ``keys`` has a key for each row; a row without a key draws by the id of its decision.
        """
        preferences = self._preferences.check(request)
        vectors, start = self._queries.batch(matrix, request), perf_counter()
        keys = [None] * len(vectors) if keys is None else keys
        if isinstance(keys, str) or len(keys) != len(vectors):
            raise FeatureError(f"keys: expected {len(vectors)}, one for each query, got {len(keys)}")
        for key in keys:
            self.check_exploring(key, explore, margin)
        picked = self._picked_batch(vectors, preferences)
        decisions = [
            self._decided(vector, model, preferences, key, explore, margin)
            for vector, model, key in zip(vectors, picked, keys, strict=True)
        ]
        if self._observer:
            models = tuple(decision.model for decision in decisions)
            self._tell(self._observer, models, preferences, start, tuple(decisions))
        return decisions

    def check_exploring(self, key: str | None, explore: float, margin: float | None) -> None:
        """Check the keywords of `decide` that are not those of `select`, with its errors."""
        self._preferences.check_exploring(key, explore, margin)

    def _decided(
        self,
        vector: npt.NDArray[Any],
        default: str,
        preferences: Preferences,
        key: str | None,
        explore: float,
        margin: float | None,
    ) -> Decision:
        """Return the decision on a query whose pick is known."""
        # The caller may change the vector before the predictions are asked for.
        prediction = Prediction(self._predicted, self._algorithm or self._opened(), vector.copy(), preferences)
        stamp, model, propensity = new_id.stamp(), default, 1.0
        if explore:
            candidates = self._candidates(preferences)
            if margin is not None:
                utility = prediction().utility
                candidates = [name for name in candidates if utility[name] >= utility[default] - margin]
            model, propensity = draw(candidates, default, explore, str(stamp) if key is None else key)
        return Decision(model, default, propensity, stamp, key, self._metadata.source_sha256, prediction)

    def _candidates(self, preferences: Preferences) -> Sequence[str]:
        """Return the models that may be drawn."""
        if preferences.only is not None:
            return (preferences.only,)
        if preferences.order is None:
            return self._pickable
        return [name for name in map(self.model_names.__getitem__, preferences.order) if name in self._pickable]

    def _predicted(self, algorithm: Algorithm, vector: npt.NDArray[Any], preferences: Preferences) -> Predicted:
        explained = (
            {} if preferences.order == () else self._explained(algorithm, self._queries.one(vector, {}), preferences)
        )
        return Predicted(explained["outcomes"], explained["scores"]) if "outcomes" in explained else Predicted({}, {})

    def _tell(
        self,
        observer: Observer,
        picked: tuple[str, ...],
        preferences: Preferences,
        start: float,
        decisions: tuple[Decision, ...] = (),
    ) -> None:
        """Tell the observer what was picked. A name that the artifact does not know may be any text of any user."""
        seconds = perf_counter() - start
        models = picked if preferences.order != () else (UNKNOWN,) * len(picked)
        notify(observer, Selection(self._name, models, seconds, decisions))

    @spelled_out
    def scores(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> dict[str, float]:
        """Score each candidate for one query; the highest score is picked. See `select` for arguments and errors.

        A model's score is

        - for KNN the sum of its votes; by ``queries/1`` its mean weight; from ``queries/2`` on its predicted utility;
        - for kernel ridge its predicted utility;
        - for KMeans minus the distance to its nearest centroid; by ``native/2`` its score in the nearest cluster;
        - for HierShrink its shrunken mean minus its weighted relative latency;
        - for SVM the highest score of its classifiers; one against one, the number of comparisons it won;
        - for MLP its softmax probability.
        """
        scores: dict[str, float] = self.explain(features, **request)["scores"]
        return scores

    @spelled_out
    def explain(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> dict[str, Any]:
        """Explain which model is picked for one query and why. See `select` for arguments and errors.

        Returns
        -------
        dict
            ``model`` and ``scores``, and by algorithm, all of which can be written as JSON:

            - KNN: ``neighbours``, nearest first, each with row, distance, model, quality, speed and vote; by the
              ``queries`` semantics each with row, distance and the outcomes of each model;
            - KMeans: ``cluster`` and ``distance``; by ``native/2`` also ``support``, the records behind each score;
            - HierShrink: ``cluster``, ``distance`` and ``coarse_cluster``;
            - SVM, MLP: ``classifiers``, each with model and score, and ``classifier``, the index of the best one;
            - where outcomes are predicted: each model's ``outcomes``, the ``default`` model, and the ``reason`` why
              another model was picked or was not;
            - with ``far``: the ``distance`` and ``rank`` of `drift`, and whether the query is ``far``.
        """
        preferences = self._preferences.check(request)
        query = self._queries.one(features, request)
        if preferences.only is not None and not preferences.order:
            raise FeatureError(f"candidates: expected one that the artifact knows, got {preferences.only!r}")
        return self._explained(self._opened(), query, preferences)

    def _explained(self, algorithm: Algorithm, query: Query, preferences: Preferences) -> dict[str, Any]:
        try:
            explanation = algorithm.explain(query, preferences)
        except Exception as cause:
            raise self._failure(cause) from None
        scores = dict(zip(self.model_names, explanation.scores.tolist(), strict=True))
        if preferences.allowed is not None:
            scores = {model: scores[model] for model, may in zip(scores, preferences.allowed, strict=True) if may}
        scores = {model: score for model, score in scores.items() if not isnan(score)}
        found = Explained({"model": self.model_names[explanation.pick], "scores": scores, **explanation.details})
        if preferences.far is not None:
            found.update(self._distant(algorithm, query, preferences.far, preferences))
        return found

    def _distant(self, algorithm: Algorithm, query: Query, far: FarFrom, preferences: Preferences) -> dict[str, Any]:
        """Return what an explanation says of a query's distance."""
        drift = self._drift(algorithm, query)
        is_far = drift.distance > far.distance
        told: dict[str, Any] = {"distance": drift.distance, "rank": drift.rank, "far": is_far}
        if is_far:
            default = self._default_of(algorithm, preferences)
            why = f"the query is farther from the training questions than {far.share:.4g} of them are from one another"
            told |= {"model": default, "reason": f"{why}: {default} is best on average"}
        return told

    @spelled_out
    def predict_outcomes(
        self, matrix: npt.ArrayLike | None = None, **given: Unpack[BatchFeatures]
    ) -> npt.NDArray[np.float64]:
        """Predict the outcomes of each model's answer to the query of each row; given and checked as in `select_batch`.

        Returns
        -------
        ndarray of float64, shape (b, n_kinds, n_models)
            The kinds in the order of `modelpick.runtime.decision.outcomes.KINDS`: quality, cost, seconds; NaN for kinds
            that are not predicted.

        Raises
        ------
        ArtifactError
            When the artifact predicts no outcomes.
        """
        refuse_unknown(given, (*BatchFeatures.__annotations__, "matrix"))
        if not self._metadata.outcomes:
            raise ArtifactError(f"{self._source.name}: expected an artifact that predicts outcomes")
        vectors = self._queries.batch(matrix, given)
        algorithm = cast(Predictor, self._opened())
        parts = []
        for first in range(0, len(vectors), self._chunk):
            try:
                parts.append(algorithm.predict(self._queries.many(vectors[first : first + self._chunk], first)))
            except Exception as cause:
                raise self._failure(cause) from None
        return np.concatenate(parts) if parts else np.empty((0, len(KINDS), len(self.model_names)))

    def only_candidate(self, given: Given) -> str | None:
        """Return the only candidate, which `select` picks for any query; None where there are several."""
        return self._preferences.check(given).only

    @spelled_out
    def checked(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> npt.NDArray[np.float64]:
        """Check the arguments of `select`, with its errors, and return the features, float64, (d,)."""
        self._preferences.check(request)
        checked: npt.NDArray[np.float64] = self._queries.one(features, request).vector[0]
        return checked

    @spelled_out
    def drift(self, features: npt.ArrayLike | None = None, **given: Unpack[Features]) -> Drift:
        """Measure how far one query is from the rows or centroids of the model; it is given and checked as in `select`.

        KNN measures the distance to the nearest row, by the search in float32 alone; KMeans to the nearest centroid;
        HierShrink to the nearest fine centroid; kernel ridge to the nearest support vector, in float32. The
        distance is ranked among the distances recorded at conversion, which are those from each of them to its nearest
        neighbour.

        Raises
        ------
        ArtifactError
            When the artifact records no distances.
        """
        refuse_unknown(given, (*Features.__annotations__, FEATURES))
        query = self._queries.one(features, given)
        if not self._metadata.distances:
            raise ArtifactError("expected an artifact that records distances: at least two rows or centroids")
        return self._drift(self._opened(), query)

    def _drift(self, algorithm: Algorithm, query: Query) -> Drift:
        try:
            distance = algorithm.distance(query)
        except Exception as cause:
            raise self._failure(cause) from None
        distances = self._metadata.distances
        return Drift(distance, bisect_left(distances, distance) / len(distances))

    def close(self) -> None:
        """Release the session and the artifact. Calls in flight finish; later calls raise `ArtifactError`."""
        self._algorithm = None
        self._source = self._source._replace(data=b"")

    def __repr__(self) -> str:
        metadata, wide = self._metadata, f"{self.n_features_in_:,} wide"
        rows = [f"{metadata.rows:,} rows"] if metadata.rows else []
        facts = ", ".join([f"{len(self.model_names)} models", *rows, wide, *(["closed"] if self.closed else [])])
        return f"<{type(self).__name__} {metadata.algorithm} {metadata.semantics}: {facts}>"

    def __reduce__(self) -> tuple[Any, ...]:
        self._opened()  # a closed selector has no copies
        return type(self)._copied, (self._source,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy(self)  # options that cannot be copied, such as an observer, are shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, cause: Exception) -> ModelpickError:
        """Return the error for a query on which the graph fails, which cannot be known at load."""
        return cause if isinstance(cause, ModelpickError) else cannot_run(self._source.name, cause)

    def _opened(self) -> Algorithm:
        algorithm = self._algorithm
        if algorithm is None:
            raise ArtifactError("the selector is closed")
        return algorithm
