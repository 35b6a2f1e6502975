"""Policies: ways of picking a model for each query, of artifacts and of what they are compared with."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ArtifactError, DocumentError, FeatureError, Objective, OperatingPoint, Selector
from modelpick.runtime.decision.operating_points import cheapest
from modelpick.runtime.decision.outcomes import QUALITY
from modelpick.runtime.decision.shrinkage import model_means
from modelpick.runtime.text.categories import CategoryPredictor

from ..formats.outcomes import Benchmark, Matrix
from ..statistics.equals import first_highest
from ..training.records import fitting_embeddings
from .drift import Drift, drift

Indices = npt.NDArray[np.int64]
# A weight of cost at which only the cost counts.
PROHIBITIVE = 1e15
# Shares of the best single model's quality at which artifacts with operating points are evaluated.
KEEPS = (0.9, 0.95, 1.0)


class Policy(NamedTuple):
    """The probability with which each model is called for each query."""

    label: str
    chances: Matrix
    """Float64, shape (n_queries, n_models), over the models of the records; rows sum to 1, or less where a model
    without records is picked."""
    picks: Sequence[str] = ()
    """For an artifact, the name picked for each query."""
    artifact: str = ""
    """For an artifact, its label; the policies of an artifact differ in their operating points."""
    keep: float | None = None
    """Operating point of the artifact; None is what it does by the objective, or by default where it takes none."""
    recorded: Mapping[str, str] = MappingProxyType({})
    """For an artifact, the roles in its metadata, see `roles`."""
    drift: Drift | None = None
    """For an artifact that records distances, how far the queries lie from its rows."""


def best_models(benchmark: Benchmark, utility: Matrix) -> Indices:
    """Return each query's model of the highest known utility, shape (n_queries,); -1 where none is known.

    Of equal utilities, a model that did not fail is preferred, then the one of the lower prices, in the order of the
    kinds, then the first. Unknown prices count as the highest.
    """
    known = np.where(np.isnan(utility), -np.inf, utility)
    best = known == known.max(axis=1, keepdims=True)
    prices = benchmark.answered[:, QUALITY + 1 :]
    for price in (benchmark.failed.astype(np.float64), *np.moveaxis(prices, 1, 0)):
        paid = np.where(best, np.nan_to_num(price, nan=np.finfo(np.float64).max), np.inf)
        best &= paid == paid.min(axis=1, keepdims=True)
    return np.where(np.isnan(utility).all(axis=1), -1, best.argmax(axis=1))


def chosen(models: Indices, n_models: int) -> Matrix:
    """Make the chances of picks, shape (n_queries, n_models); all are 0 for the pick -1."""
    return np.vstack([np.eye(n_models), np.zeros(n_models)])[models]


def labels(artifacts: Sequence[str | Path]) -> dict[str | Path, str]:
    """Name artifacts by the stem of their file, or by its path where the stem is ambiguous."""
    stems = Counter(Path(artifact).stem for artifact in artifacts)
    return {one: Path(one).stem if stems[Path(one).stem] == 1 else str(one) for one in artifacts}


@contextmanager
def loaded_for(
    artifact: str | Path, benchmark: Benchmark, *, predict_category: bool = False
) -> Iterator[tuple[Selector, Matrix]]:
    """Load an artifact, and make the feature vectors of the records for it; see `artifact_policies`."""
    with Selector.load(artifact) as selector:
        embeddings = fitting_embeddings(benchmark, str(artifact), selector.metadata)
        categories: Sequence[str] = benchmark.categories
        if predict_category and selector.n_features_in_ > embeddings.shape[1]:
            categories = _predicted(str(artifact), selector, embeddings)
        yield selector, selector.features.build_batch(embeddings, categories)


class Request(TypedDict, total=False):
    """Preferences that artifacts pick by, see `artifact_policies`."""

    objective: Objective
    keeps: Sequence[float] | None
    candidates: Sequence[str] | None
    predict_category: bool


def routed(artifacts: Sequence[str | Path], benchmark: Benchmark, **request: Unpack[Request]) -> list[Policy]:
    """Return the policies of several artifacts, each named by its file's stem, or its path where the stem is ambiguous.

    For other arguments and errors see `artifact_policies`.
    """
    policies: list[Policy] = []
    for artifact, label in labels(artifacts).items():
        try:
            policies += artifact_policies(artifact, benchmark, label=label, **request)
        except FeatureError as error:
            raise FeatureError(f"{artifact}: {error}") from None
    return policies


def artifact_policies(
    artifact: str | Path,
    benchmark: Benchmark,
    *,
    label: str,
    objective: Objective = Objective(),  # noqa: B008 (immutable)
    keeps: Sequence[float] | None = (),
    candidates: Sequence[str] | None = None,
    predict_category: bool = False,
) -> list[Policy]:
    """Pick for each query by an artifact: by the objective, and at each operating point.

    Parameters
    ----------
    objective
        What artifacts pick by that predict all that it weighs; the others pick as they do by default.
    keeps
        Operating points: shares of the best single model's quality to keep; None for those of `KEEPS` that the artifact
        promises.
    candidates
        Models that may win. By default these are the models that a query has records of, as a service picks from its
        pool; in a log, where most queries have one record, all models may win.
    predict_category
        Whether queries have the category that the artifact predicts, instead of the records'; ignored where the
        artifact takes the embedding alone.

    Raises
    ------
    DocumentError
        When a query has no embedding, or no pick is a model with records.
    ArtifactError, FeatureError
        When the artifact is refused, was trained with another encoder, has no operating points, predicts no category,
        or expects features of another width.
    """
    names = {name: model for model, name in enumerate(benchmark.model_names)}
    policies = []
    with loaded_for(artifact, benchmark, predict_category=predict_category) as (selector, features):
        recorded = recorded_roles(selector, objective)
        weighed = {"objective": objective} if _predicts(selector, objective) else {}
        drifted = drift(selector, features)
        for keep in (None, *(_promised(selector) if keeps is None else keeps)):
            given: dict[str, Any] = weighed if keep is None else {"keep": keep}
            picks = picks_among(selector, features, benchmark, candidates, given)
            models = np.array([names.get(pick, -1) for pick in picks], dtype=np.int64)
            if (models < 0).all():
                raise DocumentError(
                    f"{artifact}: expected picks among {', '.join(names)}, got {', '.join(sorted(set(picks)))}"
                )
            point = label if keep is None else f"{label} keep={keep:g}"
            policies.append(Policy(point, chosen(models, len(names)), picks, label, keep, recorded, drifted))
    return policies


def _promised(selector: Selector) -> list[float]:
    return [keep for keep in KEEPS if _is_promised(selector.points, keep)]


def _is_promised(points: Sequence[OperatingPoint], keep: float) -> bool:
    try:
        cheapest(points, keep)
    except FeatureError:
        return False
    return True


def picks_among(
    selector: Selector, features: Matrix, benchmark: Benchmark, candidates: Sequence[str] | None, given: dict[str, Any]
) -> list[str]:
    """Pick among the models that may win; the pick is "" where no model of the artifact has records of the query."""
    known = ~np.isnan(benchmark.quality)
    if candidates is not None or benchmark.is_log:
        return selector.select_batch(features, candidates=candidates, **given)
    ours = [column for column, name in enumerate(benchmark.model_names) if name in selector.model_names]
    pools, pool_of = np.unique(known[:, ours], axis=0, return_inverse=True)
    picks = np.full(len(features), "", dtype=object)
    for number, pool in enumerate(pools):
        queries = np.flatnonzero(pool_of.ravel() == number)
        names = [benchmark.model_names[ours[place]] for place in np.flatnonzero(pool)]
        if names:
            among = None if len(names) == len(selector.model_names) else names
            picks[queries] = selector.select_batch(features[queries], candidates=among, **given)
    return picks.tolist()


def quality_of(picks: Sequence[str], benchmark: Benchmark) -> npt.NDArray[np.float64]:
    """Return the recorded quality of the pick of each query, (n_queries,); NaN where there is none."""
    names = {name: model for model, name in enumerate(benchmark.model_names)}
    models = np.array([names.get(pick, -1) for pick in picks], dtype=np.int64)
    found: npt.NDArray[np.float64] = benchmark.quality[np.arange(len(models)), models]
    return np.where(models < 0, np.nan, found)


def _predicted(name: str, selector: Selector, embeddings: Matrix) -> Sequence[str]:
    """Return the categories that an artifact predicts."""
    classifier = selector.metadata.category_classifier
    if classifier is None:
        raise ArtifactError(f"{name}: expected an artifact that predicts categories")
    return CategoryPredictor(name, classifier, embeddings.shape[1]).predict(embeddings)


def _predicts(selector: Selector, objective: Objective) -> bool:
    return {"quality", *dict(objective.weights)} <= set(selector.metadata.outcomes)


def recorded_roles(selector: Selector, objective: Objective) -> dict[str, str]:
    """Return the `roles` by the means in an artifact's metadata."""
    objectives = {"strongest": Objective(), "cheapest": Objective(cost_weight=PROHIBITIVE), "best": objective}
    anything = np.zeros(selector.n_features_in_)  # the default model is that of all queries
    return {
        role: selector.explain(anything, objective=by)["default"]
        for role, by in objectives.items()
        if _predicts(selector, by)
    }


def single_models(benchmark: Benchmark) -> list[Policy]:
    """Return the policies that always call one model, for each model with an outcome."""
    n, m = benchmark.quality.shape
    return [
        Policy(name, chosen(np.full(n, model), m))
        for model, name in enumerate(benchmark.model_names)
        if not np.isnan(benchmark.quality[:, model]).all()
    ]


def mixed(label: str, shares: npt.NDArray[np.float64], n_queries: int) -> Policy:
    """Make the policy that calls each model for a share of the queries, independent of the query."""
    return Policy(label, np.tile(shares, (n_queries, 1)))


def roles(benchmark: Benchmark, objective: Objective) -> dict[str, str]:
    """Name the strongest and the cheapest model of records, and the best model by an objective, by `model_means`.

    There is no cheapest where no cost is recorded.
    """
    means = {
        "strongest": model_means(benchmark.quality),
        "cheapest": -model_means(benchmark.cost),
        "best": model_means(benchmark.utilities(objective)),
    }
    names = benchmark.model_names
    return {role: names[first_highest(values)] for role, values in means.items() if not np.isnan(values).all()}
