"""How picks by predicted outcomes are explained, and what candidates and evidence leave to be picked."""

from pathlib import Path

import numpy as np
import pytest

from modelpick.runtime import Objective, Selector

KEPT = Path(__file__).parents[2] / "data/format-2"
RNG = np.random.default_rng(0)


@pytest.fixture(params=["knn_queries_3", "kernel_ridge_2"])
def selector(request):
    with Selector.load(KEPT / f"{request.param}.onnx") as selector:
        yield selector


def queries(selector, count=40):
    return RNG.normal(size=(count, selector.n_features_in_))


def test_the_reason_names_the_default_model_and_by_how_much_the_pick_exceeds_it(selector):
    reasons = set()
    for query in queries(selector):
        found = selector.explain(query)
        pick, default, scores = found["model"], found["default"], found["scores"]
        margin = scores[pick] - scores[default]
        expected = f"{pick} exceeds {default}, which is best on average, by {margin:.4f} in utility"
        if pick == default:
            expected = f"no model exceeds the utility of {default}, which is best on average"
        assert found["reason"] == expected
        reasons.add(pick == default)
    assert reasons == {True, False}


def test_given_outcomes_are_explained_and_weighed_instead_of_predictions(selector):
    given, objective = {"a": 0.25, "b": 0.5, "c": 0.75}, Objective(cost_weight=2.0)
    for query in queries(selector, 10):
        found = selector.explain(query, costs=given, objective=objective)
        for name, outcomes in found["outcomes"].items():
            assert outcomes["cost"] == given[name]
            assert found["scores"][name] == pytest.approx(outcomes["quality"] - 2.0 * given[name], abs=1e-12)


@pytest.mark.parametrize("evidence", [0.5, 2.0])
def test_evidence_leaves_the_default_of_the_candidates_unless_another_has_it(evidence):
    with Selector.load(KEPT / "knn_queries_3.onnx") as selector:
        rows = queries(selector, 200)
        for candidates, default in ((["a", "c"], None), (["b", "c"], "b")):
            free = selector.select_batch(rows, candidates=candidates)
            picks = selector.select_batch(rows, candidates=candidates, evidence=evidence)
            assert set(picks) == set(candidates)
            for query, pick, other in zip(rows, picks, free, strict=True):
                found = selector.explain(query, candidates=candidates, evidence=evidence)
                assert found["model"] == pick
                assert default in (None, found["default"])
                assert pick in (other, found["default"])
                if pick != other:
                    errors = f"{evidence} standard errors over the {selector.metadata.k} neighbours"
                    assert found["reason"] == f"no model exceeds {pick}, which is best on average, by {errors}"
