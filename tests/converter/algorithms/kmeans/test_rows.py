"""KMeans files of version 2: what is refused, how they pick, and that they come back."""

import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError

from modelpick.converter import DocumentWarning, load_estimator, to_json, verify
from modelpick.converter.algorithms.kmeans.estimators import ClusterScoreSelector
from modelpick.converter.formats.digests import digest
from modelpick.runtime import DocumentError, FeatureError, Selector
from support import reference
from support.artifacts import MISSING, built, converted, edited, encoded, loaded
from support.catalogue import scored_kmeans

RNG = np.random.default_rng(5)
C, D, NAMES = 6, 7, ["a", "b", "c", "d"]
MIN_SUPPORT = 3


def model(scores=None):
    """A file of the version, whose cells of little support hold the global scores."""
    overall, support = RNG.uniform(size=4).tolist(), RNG.integers(0, 9, (C, 4))
    scores = RNG.uniform(size=(C, 4)) if scores is None else scores
    centroids = RNG.normal(size=(C, D))
    return scored_kmeans(centroids, scores, support, overall=overall, min_support=MIN_SUPPORT, names=NAMES)


MODEL = model()
QUERIES = np.vstack([RNG.normal(size=(60, D)), MODEL["centroids"], np.zeros((1, D))])


FEW = next((c, m) for c, row in enumerate(MODEL["support"]) for m, n in enumerate(row) if n < MIN_SUPPORT)
GLOBAL = MODEL["fallback"]["global_scores"][FEW[1]]
BEST = MODEL["cluster_models"][2]
OTHER = next(name for name in NAMES if name != BEST)
AT_LEAST_ONE = "expected `int` >= 1"
PER_ROW, PER_MODEL = "one per row of $.centroids", "one per model of $.candidate_set"
REFUSED = [
    ("trained", False, "$.trained: expected true: the model is not trained"),
    ("target_contract", "v1", "$.target_contract: expected 'selector.model-choice/v1', got 'v1'"),
    ("objective.version", 2, "$.objective.version: expected 1, got 2"),
    ("distance", "cosine", "$.distance: expected 'squared_l2', got 'cosine'"),
    ("tie_break", "random", "$.tie_break: expected 'lowest_index', got 'random'"),
    ("feature.normalization", "l2", "$.feature.normalization: expected 'none', got 'l2'"),
    ("objective.id", "0", "$.objective.id: expected '937e3622d5660e22', got '0'"),
    ("objective.weights.cost", MISSING, "$.objective.weights: object missing required field `cost`"),
    ("objective.weights.cost", -0.5, "$.objective.weights.cost: expected `float` >= 0"),
    (
        "objective.weights",
        {"quality": 0, "latency": 0, "cost": 0},
        "$.objective.weights: expected at least one above",
    ),
    ("objective.latency_scale_ms", 0, "$.objective.latency_scale_ms: expected `float` > 0"),
    ("objective.cost_scale", -1, "$.objective.cost_scale: expected `float` > 0"),
    ("clustering.n_init", 0, f"$.clustering.n_init: {AT_LEAST_ONE}"),
    ("clustering.max_iter", 0, f"$.clustering.max_iter: {AT_LEAST_ONE}"),
    ("clustering.tol", -1e-4, "$.clustering.tol: expected `float` >= 0"),
    ("candidate_set.id", "0", f"$.candidate_set.id: expected '{digest(NAMES)}', got '0'"),
    ("candidate_set.models", ["b", "a", "c", "d"], "$.candidate_set.models: expected each name once, in ascending"),
    ("candidate_set.models", ["a", "a", "c", "d"], "$.candidate_set.models: expected each name once, in ascending"),
    ("candidate_set.models", [], "$.candidate_set.models: expected `array` of length >= 1"),
    ("model_names", ["a", "b"], "$.model_names: expected the names in $.candidate_set.models"),
    ("num_clusters", C + 1, f"$.num_clusters: expected {C}, got {C + 1}"),
    ("clustering.effective_k", C - 1, f"$.clustering.effective_k: expected {C}, got {C - 1}"),
    ("clustering.requested_k", C - 1, f"$.clustering.requested_k: expected {C} or more, got {C - 1}"),
    ("feature.dim", D + 1, f"$.feature.dim: expected {D}, got {D + 1}"),
    ("feature_dim", D + 1, f"$.feature_dim: expected {D}, the columns of $.centroids, got {D + 1}"),
    ("centroids.1", [1.0], f"$.centroids[1]: expected {D} numbers, got 1"),
    ("cluster_sizes", [1], f"$.cluster_sizes: expected {C} values, {PER_ROW}, got 1"),
    ("cluster_sizes.2", 0, f"$.cluster_sizes[2]: {AT_LEAST_ONE}"),
    ("scores", [], f"$.scores: expected {C} values, {PER_ROW}, got 0"),
    ("scores.3", [1.0], f"$.scores[3]: expected 4 values, {PER_MODEL}, got 1"),
    ("scores.3.1", None, "$.scores[3][1]: expected `float`, got `null`"),
    ("support", [], f"$.support: expected {C} values, {PER_ROW}, got 0"),
    ("support.3", [1], f"$.support[3]: expected 4 values, {PER_MODEL}, got 1"),
    ("support.3.1", -1, "$.support[3][1]: expected `int` >= 0"),
    ("fallback.min_support", 0, f"$.fallback.min_support: {AT_LEAST_ONE}"),
    ("fallback.global_scores", [1.0], f"$.fallback.global_scores: expected 4 values, {PER_MODEL}, got 1"),
    ("fallback.global_support", [1], f"$.fallback.global_support: expected 4 values, {PER_MODEL}, got 1"),
    ("fallback.global_support.0", 0, f"$.fallback.global_support[0]: {AT_LEAST_ONE}"),
    (
        f"scores.{FEW[0]}.{FEW[1]}",
        -1.0,
        f"$.scores[{FEW[0]}][{FEW[1]}]: expected {GLOBAL}, the global score, for a support below min_support, got -1",
    ),
    ("cluster_models", ["a"], f"$.cluster_models: expected {C} values, {PER_ROW}, got 1"),
    ("cluster_models.2", OTHER, f"$.cluster_models[2]: expected '{BEST}', got '{OTHER}'"),
    ("training_snapshot_id", "\0", "$.training_snapshot_id: expected `str` matching"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_refuses(path, value, message):
    with pytest.raises(DocumentError) as caught:
        built(edited(MODEL, (path, value)))
    assert str(caught.value).startswith(f"<bytes>: {message}")


def test_refuses_infinite_scores():
    with pytest.raises(DocumentError, match=r"\$\.scores\[0\]\[0\]: expected a finite number"):
        load_estimator(json.dumps(edited(MODEL, ("scores.0.0", "?"))).replace('"?"', "1e999").encode())


def test_files_of_version_1_keep_their_rules():
    raw = json.dumps(edited(MODEL, ("format_version", 1))).encode()
    with pytest.warns(DocumentWarning, match="picks by native/1"):
        assert load_estimator(raw, semantics="native/2").semantics == "native/1"


def test_picks_the_best_of_the_nearest_cluster_among_the_candidates():
    with Selector.load(converted(MODEL), unknown_candidates="ignore") as selector:
        for candidates in (None, ["d", "b"], ["c", "unknown"], NAMES[::-1]):
            batch = selector.select_batch(QUERIES, candidates=candidates)
            for query, pick in zip(QUERIES, batch, strict=True):
                scores = reference.cluster_scores(MODEL, query, candidates)
                cluster = reference.nearest_centroid(MODEL["centroids"], query)
                explained = selector.explain(query, candidates=candidates)
                assert explained["scores"] == scores
                assert selector.select(query, candidates=candidates) == explained["model"] == pick
                assert pick == max(scores, key=scores.get)
                assert explained["cluster"] == cluster
                assert explained["support"] == dict(zip(NAMES, MODEL["support"][cluster], strict=True))
                distance = np.linalg.norm(query - MODEL["centroids"][cluster])
                assert explained["distance"] == pytest.approx(distance, rel=1e-12)
        for candidates in ([], ["unknown"]):
            with pytest.raises(FeatureError, match="candidates: expected at least one of a, b, c, d"):
                selector.select(QUERIES[0], candidates=candidates)


def test_equal_scores_go_to_the_first_model_and_equal_distances_to_the_first_cluster():
    tied = model(np.full((C, 4), 7.0))
    tied["centroids"] = [[1.0] * D, [-1.0] * D, [1.0] * D, *tied["centroids"][3:]]
    with loaded(tied) as selector:
        assert selector.select_batch([[1.0] * D, [-1.0] * D]) == tied["cluster_models"][:2]
        assert [selector.explain([value] * D)["cluster"] for value in (1.0, -1.0)] == [0, 1]
    equal = edited(
        MODEL, ("scores", [[0.5] * 4] * C), ("fallback.global_scores", [0.5] * 4), ("cluster_models", ["a"] * C)
    )
    with loaded(equal) as selector:
        assert set(selector.select_batch(QUERIES)) == {"a"}
        assert set(selector.select_batch(QUERIES, candidates=["d", "c"])) == {"c"}


def test_the_estimator_is_a_fitted_kmeans():
    estimator = built(MODEL)
    assert isinstance(estimator, KMeans)
    scores = [list(reference.cluster_scores(MODEL, query).values()) for query in QUERIES]
    np.testing.assert_array_equal(estimator.decision_function(QUERIES), scores)
    assert list(estimator.predict(QUERIES)) == [NAMES[best] for best in np.argmax(scores, axis=1)]
    with pytest.raises(NotFittedError):
        ClusterScoreSelector().predict(QUERIES)


@pytest.mark.parametrize("absent", [(), ("model_names", "feature_dim", "clustering.seed", "feature.snapshot_id")])
def test_is_verified_and_restored(absent):
    fields = edited(MODEL, *((path, MISSING) for path in absent))
    data = converted(fields)
    assert json.loads(to_json(data)) == fields
    assert verify(data, encoded(fields)).passed


def test_drift_is_the_distance_to_the_nearest_centroid():
    with loaded(MODEL) as selector:
        for query in QUERIES[:10]:
            distances = np.linalg.norm(np.array(MODEL["centroids"]) - query, axis=1)
            assert selector.drift(query).distance == pytest.approx(distances.min(), rel=1e-12)
        assert selector.drift(np.full(D, 1e3)).rank == 1.0
        assert selector.drift(MODEL["centroids"][0]).rank == 0.0
