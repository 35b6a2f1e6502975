"""A pool of one candidate is answered unasked, and unknown candidates are what the original makes of them."""

import asyncio
import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from modelpick.runtime import ArtifactError, BatchingSelector, FeatureError, Selector
from modelpick.runtime.events import MOST_NAMES, Selection

KEPT = Path(__file__).parents[1] / "data" / "format-2"
ARTIFACTS = sorted(KEPT.glob("*.onnx"))


# Those that skip unknown candidates until none is left.
SKIPPING = {"hiershrink", "kmeans_2"}


def skips(path):
    return path.stem.removesuffix("_estimate") in SKIPPING


def zeros(selector):
    return np.zeros(selector.n_features_in_)


async def batched(selector, query, **asked):
    async with BatchingSelector(selector) as batching:
        return await batching.select(query, **asked)


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_the_only_candidate_is_answered_and_nothing_is_run(path, monkeypatch):
    events = []
    with Selector.load(path, unknown_candidates="ignore", observer=events.append) as selector:
        query = zeros(selector)
        for name in (*selector.model_names, *([] if skips(path) else ["nobody"])):
            with monkeypatch.context() as patch:
                patch.setattr(selector, "_algorithm", object())
                for only in ([name], (one for one in [name, name])):
                    assert selector.select(query, candidates=only) == name
                assert selector.select_batch([query] * 3, candidates=[name]) == [name] * 3
                assert asyncio.run(selector.aselect(query, candidates=[name])) == name
                assert asyncio.run(batched(selector, query, candidates=[name])) == name
            # Metrics have a series for each name, and unknown ones may be any text of any user.
            told = name if name in selector.model_names else "unknown"
            assert events[-1] == Selection(path.stem, (told,), events[-1].seconds)
        with pytest.raises(FeatureError, match=r"candidates: expected (at least )?one"):
            selector.explain(query, candidates=["nobody"])
        with pytest.raises(FeatureError, match="got only unknown ones"):
            selector.select(query, candidates=["nobody", "anybody"])
        for wrong in (query[:-1], np.full(len(query), np.nan)):
            with pytest.raises(FeatureError, match="expected"):
                selector.select(wrong, candidates=[name])
    with pytest.raises(ArtifactError, match="closed"):
        selector.select(query, candidates=[name])
    with Selector.load(path, unknown_candidates="ignore", candidates=[name]) as selector:
        assert selector.select(query) == name
        assert selector.select(query, candidates=selector.model_names) in selector.model_names


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_unknown_candidates_are_ignored_where_the_original_does(path, caplog):
    with Selector.load(path) as selector:
        query, known = zeros(selector), list(selector.model_names)
        if skips(path):
            assert selector.select(query, candidates=["nobody", *known]) == selector.select(query, candidates=known)
            assert selector.scores(query, candidates=["nobody", *known]) == selector.scores(query, candidates=known)
            for unknown in (["nobody"], ["nobody", "anybody"]):
                with pytest.raises(FeatureError, match="got only unknown ones"):
                    selector.select(query, candidates=unknown)
            assert [record.message for record in caplog.records] == [
                "candidates: the artifact does not know 'nobody'",
                "candidates: the artifact does not know 'anybody'",
            ]
        else:
            with pytest.raises(FeatureError, match="got 'nobody'"):
                selector.select(query, candidates=["nobody", *known])
    with Selector.load(path, unknown_candidates="error") as selector, pytest.raises(FeatureError, match="got 'nobody'"):
        selector.select(query, candidates=["nobody"])


def test_names_are_remembered_up_to_a_number_and_cut_in_the_log(caplog):
    with Selector.load(KEPT / "knn.onnx", unknown_candidates="ignore") as selector:
        query, known = zeros(selector), selector.model_names[0]
        with caplog.at_level(logging.WARNING, "modelpick"):
            tracemalloc.start()
            for number in range(2 * MOST_NAMES):
                selector.select(query, candidates=[known, f"{number} {'y' * 10**6}"])
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert kept < 10**6
        assert len(caplog.messages) == MOST_NAMES
        assert max(map(len, caplog.messages)) < 200


@pytest.mark.parametrize("asked", [{"candidates": ["x" * 10**6]}, {"category": "x" * 10**6, "embedding": [0.0]}])
def test_what_is_said_of_long_input_is_short(asked):
    with Selector.load(KEPT / "knn.onnx") as selector, pytest.raises(FeatureError) as refused:
        selector.select(None if "embedding" in asked else zeros(selector), **asked)
    assert len(str(refused.value)) < 2_100
