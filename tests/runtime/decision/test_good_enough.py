"""Good enough: the cheapest model whose predicted quality reaches a number, held against plain numpy."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpick.runtime import FeatureError, Objective, Selector
from support import reference
from support.artifacts import converted, loaded
from support.catalogue import MODELS, knn

NAMES, K = ["a", "b", "c"], 6
RNG = np.random.default_rng(5)
QUERIES = RNG.normal(size=(24, 12))
VECTORS = RNG.normal(size=(60, 12))
RECORDED = {"quality": RNG.normal(VECTORS[:, :3], 0.3), "cost": np.abs(RNG.normal([3.0, 1.0, 2.0], 0.6, (60, 3)))}


def predicted_by_knn(kind):
    return np.array([reference.knn_predicted(VECTORS, RECORDED[kind], query, K, 3.0) for query in QUERIES])


def predicted_by_kernel_ridge(kind):
    model = MODELS["kernel_ridge", "native/2"]
    unit, vectors = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True), np.array(model["support_vectors"])
    kernels = np.exp(-model["gamma"] * ((unit[:, None] - vectors) ** 2).sum(axis=2))
    return kernels @ np.array(model["outcomes"][kind]["dual_coef"]) + model["outcomes"][kind]["intercept"]


@cache
def selector_of(family):
    """A selector, and the quality and the cost that plain numpy predicts."""
    if family == "kernel_ridge":
        selector, predicted = loaded(MODELS["kernel_ridge", "native/2"], "native"), predicted_by_kernel_ridge
    else:
        fields = {"qualities": RECORDED["quality"].ravel(), "costs": RECORDED["cost"].ravel()}
        document = knn(np.repeat(VECTORS, 3, axis=0), NAMES, K, format_version=2, **fields)
        selector, predicted = loaded(document, "queries"), predicted_by_knn
    return selector, predicted("quality"), np.maximum(predicted("cost"), 0.0)


@pytest.mark.parametrize("family", ["kernel_ridge", "knn"])
@settings(deadline=None, max_examples=20)
@given(
    st.floats(0.0, 2.0),
    st.sampled_from([None, ["b", "c"], ["c", "a"]]),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.5, 1.5, 9.0])),
)
def test_the_cheapest_that_reaches_it_is_picked_else_the_best(family, at_least, candidates, costs):
    selector, quality, cost = selector_of(family)
    cost = cost.copy()
    cost[:, [NAMES.index(name) for name in costs]] = [*costs.values()]
    among = [NAMES.index(name) for name in candidates or NAMES]
    expected = []
    for of_quality, of_cost in zip(quality, cost, strict=True):
        enough = [model for model in sorted(among) if of_quality[model] >= at_least]
        best = max(sorted(among), key=lambda model: of_quality[model])
        expected.append(NAMES[min(enough, key=lambda model: (of_cost[model], -of_quality[model]), default=best)])
    asked = {"at_least": at_least, "candidates": candidates, "costs": costs}
    assert selector.select_batch(QUERIES, **asked) == expected
    assert [selector.select(query, **asked) for query in QUERIES] == expected
    why = selector.explain(QUERIES[0], **asked)
    reaches = why["outcomes"][why["model"]]["quality"] >= at_least
    said = f"{why['model']} is the cheapest model whose predicted quality reaches {at_least:g}"
    assert why["model"] == expected[0]
    assert (why["reason"] == said) == reaches
    assert why["reason"].startswith(f"no model's predicted quality reaches {at_least:g}: ") != reaches


def test_evidence_counts_where_no_model_reaches_it():
    selector, quality, _ = selector_of("knn")
    lowest = float(quality.min(axis=1).max())
    everything = {"at_least": lowest, "evidence": 1e9}
    reached = (quality >= lowest).any(axis=1)
    cheapest, picks = selector.select_batch(QUERIES, at_least=lowest), selector.select_batch(QUERIES, **everything)
    default = selector.explain(QUERIES[0])["default"]
    assert 0 < reached.sum() < len(QUERIES)
    assert picks == [one if enough else default for one, enough in zip(cheapest, reached, strict=True)]


def test_a_call_replaces_what_was_given_at_load():
    data, weighed = converted(MODELS["kernel_ridge", "native/2"]), Objective(cost_weight=1.0)
    with Selector.load(data, at_least=0.5) as enough, Selector.load(data, objective=weighed) as worth:
        assert enough.select_batch(QUERIES) == worth.select_batch(QUERIES, at_least=0.5)
        assert enough.select_batch(QUERIES, objective=weighed) == worth.select_batch(QUERIES)
        assert enough.select_batch(QUERIES) != worth.select_batch(QUERIES)


@pytest.mark.parametrize("at_least", [-0.1, np.nan, np.inf, "0.8", True])
def test_refuses_what_is_no_quality(at_least):
    with pytest.raises(FeatureError, match=r"^at_least: expected a number, 0 or more, got "):
        selector_of("kernel_ridge")[0].select(QUERIES[0], at_least=at_least)


def test_refuses_two_ways_to_pick():
    selector = selector_of("kernel_ridge")[0]
    with pytest.raises(FeatureError, match=r"^at_least: expected it without objective: each says by what to pick$"):
        selector.select(QUERIES[0], at_least=0.5, objective=Objective())


def test_costs_are_given_where_none_are_predicted():
    qualities = RECORDED["quality"].ravel()
    document = knn(np.repeat(VECTORS, 3, axis=0), NAMES, K, format_version=2, qualities=qualities)
    with loaded(document, "queries") as selector:
        with pytest.raises(FeatureError, match=r"^at_least: expected costs of a: the artifact predicts no cost$"):
            selector.select(QUERIES[0], at_least=0.0)
        costs = {"a": 2.0, "b": 1.0, "c": 1.0}
        reached = (selector_of("knn")[1] >= 0.0)[:, 1:]
        picks = selector.select_batch(QUERIES, at_least=0.0, costs=costs)
        assert all(pick in "bc" for pick, known in zip(picks, reached, strict=True) if known.any())
        unpriced = {"candidates": ["b", "c"], "costs": {"b": 1.0, "c": 1.0}}
        assert selector.select(QUERIES[0], at_least=0.0, **unpriced) in ("b", "c")


def test_what_predicts_no_outcomes_refuses_it():
    with (
        loaded(MODELS["svm", "native/1"], "native") as selector,
        pytest.raises(FeatureError, match="at_least: expected an algorithm"),
    ):
        selector.select(np.zeros(selector.n_features_in_), at_least=0.5)
