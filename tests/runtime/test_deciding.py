"""Decisions: the pick with its propensity, drawn by a key among candidates, and predictions on demand."""

import asyncio
import json
import os
import pickle
from collections import Counter

import numpy as np
import pytest

from modelpick.runtime import BatchingSelector, FeatureError, Objective, Selector, SelectorStore
from modelpick.runtime.deciding import Ids
from modelpick.runtime.decision.exploring import draw
from support.artifacts import converted
from support.catalogue import MODELS, NAMES, WIDTH, kernel_ridge, knn

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(300, WIDTH))
# Utilities of three models that do not depend on the query.
FLAT = kernel_ridge(np.eye(2), {"quality": (np.zeros((2, 3)), [0.9, 0.88, 0.2]), "cost": (np.zeros((2, 3)), [3, 2, 1])})


@pytest.fixture(scope="module", params=sorted(MODELS), ids="-".join)
def of_each_row(request):
    semantics = request.param[1].partition("/")[0]
    with Selector.load(converted(MODELS[request.param], semantics)) as selector:
        yield selector


@pytest.fixture(scope="module")
def flat():
    with Selector.load(converted(FLAT)) as selector:
        yield selector


def test_it_decides_as_select_picks_and_predicts_as_explain_does(of_each_row):
    selector = of_each_row
    for query in QUERIES[:20]:
        decision, explained = selector.decide(query), selector.explain(query)
        assert decision.model == decision.default == selector.select(query)
        assert (decision.propensity, decision.explored) == (1.0, False)
        assert decision.artifact == selector.metadata.source_sha256
        assert decision.outcomes == explained.get("outcomes", {})
        assert decision.utility == (explained["scores"] if "outcomes" in explained else {})
    assert [one.model for one in selector.decide_batch(QUERIES)] == selector.select_batch(QUERIES)


def test_shares_of_the_drawn_are_the_propensities(flat):
    n, explore = 2_000, 0.3
    keys = [f"user {number}" for number in range(n)]
    decisions = flat.decide_batch(np.ones((n, 2)), keys=keys, explore=explore)
    shares, stated = Counter(one.model for one in decisions), {one.model: one.propensity for one in decisions}
    assert stated == {"a": 0.7, "b": 0.15, "c": 0.15}
    for model, propensity in stated.items():
        assert abs(shares[model] / n - propensity) <= 5 * (propensity * (1 - propensity) / n) ** 0.5


def test_of_200_000_keys_each_model_gets_its_share():
    n, explore, names = 200_000, 0.1, [f"model {number}" for number in range(4)]
    drawn = Counter(draw(names, "model 2", explore, f"key {number}") for number in range(n))
    for (model, propensity), count in drawn.items():
        assert propensity == pytest.approx(0.9 if model == "model 2" else 0.1 / 3)
        assert abs(count / n - propensity) <= 4 * (propensity * (1 - propensity) / n) ** 0.5
    assert len(drawn) == 4


def test_equal_keys_decide_alike_in_every_form(of_each_row):
    selector = of_each_row
    keys = [f"conversation {number % 7}" for number in range(60)]
    one_by_one = [selector.decide(query, key=key, explore=0.5) for query, key in zip(QUERIES[:60], keys, strict=True)]
    batch = selector.decide_batch(QUERIES[:60], keys=keys, explore=0.5)

    async def merged():
        async with BatchingSelector(selector) as batching:
            asked = (batching.decide(query, key=key, explore=0.5) for query, key in zip(QUERIES, keys, strict=False))
            return await asyncio.gather(*asked, selector.adecide(QUERIES[0], key=keys[0], explore=0.5))

    *of_batching, alone = asyncio.run(merged())
    for form in (batch, of_batching):
        assert [(one.model, one.default, one.propensity, one.key) for one in form] == [
            (one.model, one.default, one.propensity, one.key) for one in one_by_one
        ]
    assert alone.model == one_by_one[0].model
    assert len({one.decision_id for one in (*one_by_one, *batch, *of_batching)}) == 180


def test_without_a_key_each_decision_draws_anew(flat):
    decisions = [flat.decide([1.0, 0.0], explore=0.5) for _ in range(100)]
    assert {one.model for one in decisions} == set(NAMES)
    assert {one.key for one in decisions} == {None}


def test_candidates_that_are_ruled_out_are_not_drawn(flat):
    def drawn(**asked):
        decisions = [flat.decide([1.0, 0.0], key=str(key), explore=0.6, **asked) for key in range(60)]
        return {one.model: round(one.propensity, 9) for one in decisions}

    assert drawn() == {"a": 0.4, "b": 0.3, "c": 0.3}
    assert drawn(margin=0.05) == {"a": 0.4, "b": 0.6}
    assert drawn(margin=0.0) == {"a": 1.0}
    assert drawn(candidates=["c", "a"]) == {"a": 0.4, "c": 0.6}
    assert drawn(candidates=["c"]) == {"c": 1.0}
    assert drawn(margin=0.3, objective=Objective(cost_weight=0.4)) == {"b": 0.4, "c": 0.6}
    assert flat.decide([1.0, 0.0], candidates=["c", "b"]).utility.keys() == {"b", "c"}


def test_a_model_that_no_query_can_be_answered_by_is_not_drawn():
    with Selector.load(converted(MODELS["kmeans", "native/1"] | {"cluster_models": ["a"] * 5 + ["b"]})) as selector:
        assert {selector.decide(QUERIES[0], key=str(key), explore=0.9).model for key in range(50)} == {"a", "b"}


def test_a_candidate_that_the_artifact_does_not_know():
    with Selector.load(converted(MODELS["svm", "native/1"]), unknown_candidates="ignore") as selector:
        decision = selector.decide(QUERIES[0], candidates=["gpt-9"], explore=0.5)
        assert decision[:3] == ("gpt-9", "gpt-9", 1.0)
        assert decision.outcomes == decision.utility == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"explore": 1.5}, "explore: expected a number from 0 to 1, got 1.5"),
        ({"explore": -0.1}, "explore: expected a number from 0 to 1"),
        ({"explore": float("nan")}, "explore: expected a number from 0 to 1, got nan"),
        ({"explore": "0.5"}, "explore: expected a number from 0 to 1, got '0.5'"),
        ({"explore": True}, "explore: expected a number"),
        ({"margin": -1.0}, "margin: expected a number, 0 or more, got -1.0"),
        ({"key": 7}, "key: expected a text, got 7"),
    ],
)
def test_what_makes_no_sense_is_refused(flat, asked, message):
    async def merged():
        async with BatchingSelector(flat) as batching:
            await batching.decide([1.0, 0.0], **asked)

    keys = {"keys": [asked["key"]]} if "key" in asked else {}
    batch = {name: value for name, value in asked.items() if name != "key"} | keys
    for decide in (
        lambda: flat.decide([1.0, 0.0], **asked),
        lambda: flat.decide_batch([[1.0, 0.0]], **batch),
        lambda: asyncio.run(merged()),
    ):
        with pytest.raises(FeatureError, match=message):
            decide()


def test_more_that_is_refused(flat):
    with pytest.raises(FeatureError, match="keys: expected 2, one for each query, got 1"):
        flat.decide_batch(np.eye(2), keys=["k"])
    with Selector.load(converted(knn(np.eye(3)))) as vote, pytest.raises(FeatureError, match="margin: expected an alg"):
        vote.decide([1.0, 0.0, 0.0], margin=0.1)
    with pytest.raises(TypeError, match=r"'explroe': did you mean decide\(..., explore=...\)"):
        flat.decide([1.0, 0.0], explroe=0.1)


def test_predictions_are_those_of_the_query_as_it_was():
    with Selector.load(converted(MODELS["kernel_ridge", "native/2"])) as selector:
        query = QUERIES[0].astype(np.float32)
        expected = selector.explain(query)["outcomes"]
        decision = selector.decide(query)
        query[:] = 0.0
    assert decision.outcomes == expected  # also after the selector was closed


def test_a_decision_is_json_and_a_pickle(flat):
    decision = flat.decide([1.0, 0.0], key="k", explore=1.0)
    written = json.loads(json.dumps(decision.as_dict()))
    assert written == {
        "decision_id": decision.decision_id,
        "timestamp": decision.timestamp,
        "model_name": decision.model,
        "default": "a",
        "propensity": 0.5,
        "policy": flat.metadata.source_sha256,
        "session": "k",
        "outcomes": {
            name: {"quality": quality, "cost": cost}
            for name, quality, cost in zip(NAMES, (0.9, 0.88, 0.2), (3, 2, 1), strict=True)
        },
        "utility": {"a": 0.9, "b": 0.88, "c": 0.2},
    }
    assert written.keys() - {"outcomes", "utility"} == decision.as_record().keys()
    assert pickle.loads(pickle.dumps(decision)) == decision


def test_observers_and_stores_have_them(tmp_path):
    (tmp_path / "flat.onnx").write_bytes(converted(FLAT))
    events = []
    with SelectorStore(tmp_path, observer=events.append) as store:
        decisions = [store["flat"].decide([1.0, 0.0], explore=0.5), *store["flat"].decide_batch(np.eye(2), explore=0.5)]
        store["flat"].select([1.0, 0.0])
    *_, one, two, selected = events
    assert (*one.decisions, *two.decisions) == tuple(decisions)
    assert (*one.models, *two.models) == tuple(decision.model for decision in decisions)
    assert selected.decisions == ()


def test_ids_are_unique_sorted_and_counted_also_after_a_fork():
    make = Ids()
    ids = [make() for _ in range(1_000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {32}
    assert [int(one[24:], 16) for one in ids] == list(range(1_000))
    assert {one[16:24] for one in ids} == {make.maker}
    assert Ids().maker != make.maker


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_other_ids(flat):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, flat.decide([1.0, 0.0]).decision_id.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 32).decode()[16:] != flat.decide([1.0, 0.0]).decision_id[16:]
    os.close(reading)
    os.close(writing)
