"""Async services: aselect, and requests merged into one run."""

import asyncio
from collections import Counter
from threading import Event

import numpy as np
import pytest

from modelpick.runtime import ArtifactError, BatchingSelector, FeatureError, Selector


@pytest.fixture
def selector(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        yield selector


def test_aselect_picks_as_select(selector, sample_queries):
    async def ask():
        return await asyncio.gather(*(selector.aselect(query) for query in sample_queries))

    assert asyncio.run(ask()) == [selector.select(query) for query in sample_queries]
    asked = {"embedding": sample_queries[0][:1024], "category": "law", "candidates": ["mistral-7b"]}
    assert asyncio.run(selector.aselect(**asked)) == "mistral-7b"


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_requests_get_their_own_answers(selector, sample_queries, max_batch, monkeypatch):
    queries = np.vstack([sample_queries] * 20)
    sizes = []
    select_batch = Selector.select_batch

    def counted(self, matrix, **asked):
        sizes.append(len(matrix))
        return select_batch(self, matrix, **asked)

    monkeypatch.setattr(Selector, "select_batch", counted)

    async def ask():
        async with BatchingSelector(selector, max_batch=max_batch, max_wait_us=500) as batching:
            return await asyncio.gather(*(batching.select(query) for query in queries))

    assert asyncio.run(ask()) == [selector.select(query) for query in queries]
    assert max(sizes) == max_batch
    assert sum(sizes) == len(queries)


@pytest.mark.parametrize(("max_wait_us", "first_waits"), [(1_000, True), (1e9, False)])
def test_waits_while_a_run_is_under_way_but_not_for_ever(
    selector, sample_queries, max_wait_us, first_waits, monkeypatch
):
    sizes, begun, others_begun = [], Event(), Event()
    select_batch = Selector.select_batch

    def held(self, matrix, **asked):
        sizes.append(len(matrix))
        begun.set()
        if len(sizes) > 1:
            others_begun.set()
        elif first_waits:
            assert others_begun.wait(10)
        return select_batch(self, matrix, **asked)

    monkeypatch.setattr(Selector, "select_batch", held)

    async def ask():
        async with BatchingSelector(selector, max_wait_us=max_wait_us) as batching:
            first = asyncio.create_task(batching.select(sample_queries[0]))
            while not begun.is_set():
                await asyncio.sleep(0)
            return await asyncio.gather(first, *(batching.select(query) for query in sample_queries[1:]))

    assert asyncio.run(ask()) == [selector.select(query) for query in sample_queries]
    assert sizes == [1, len(sample_queries) - 1]


def test_bad_requests_fail_alone_and_candidates_stay_apart(selector, sample_queries):
    names = selector.model_names

    async def ask():
        async with BatchingSelector(selector, max_wait_us=100) as batching:
            return await asyncio.gather(
                batching.select(sample_queries[0]),
                batching.select([1.0]),
                batching.select(sample_queries[0], candidates=[names[2]]),
                batching.select(sample_queries[0], candidates=["gpt-9"]),
                batching.select(embedding=sample_queries[1][:1024], category="physics"),
                batching.select(sample_queries[0], quality_weight=0.0),
                return_exceptions=True,
            )

    good, short, only, unknown, built, weighed = asyncio.run(ask())
    assert good == selector.select(sample_queries[0])
    assert isinstance(short, FeatureError)
    assert only == names[2]
    assert isinstance(unknown, FeatureError)
    assert built == selector.select(sample_queries[1])
    assert weighed == selector.select(sample_queries[0], quality_weight=0.0)


def test_a_caller_that_gives_up_disturbs_no_other(selector, sample_queries):
    async def ask():
        async with BatchingSelector(selector, max_wait_us=2_000) as batching:
            tasks = [asyncio.create_task(batching.select(query)) for query in sample_queries]
            await asyncio.sleep(0)
            tasks[3].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(ask())
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    expected = [selector.select(query) for query in sample_queries]
    assert Counter(answers) == Counter(expected[:3] + expected[4:])


def test_closing_answers_what_waits_and_refuses_the_rest(selector, sample_queries):
    async def ask():
        batching = BatchingSelector(selector, max_wait_us=1e7)
        waiting = asyncio.create_task(batching.select(sample_queries[0]))
        await asyncio.sleep(0)
        await batching.aclose()
        with pytest.raises(ArtifactError, match="closed"):
            await batching.select(sample_queries[0])
        return await waiting

    assert asyncio.run(ask()) == selector.select(sample_queries[0])


def test_a_closed_selector_fails_every_request(sample_artifacts, sample_queries):
    selector = Selector.load(sample_artifacts / "knn.onnx")
    selector.close()

    async def ask():
        async with BatchingSelector(selector, max_wait_us=10) as batching:
            return await asyncio.gather(*(batching.select(q) for q in sample_queries), return_exceptions=True)

    assert {str(error) for error in asyncio.run(ask())} == {"the selector is closed"}


@pytest.mark.parametrize("options", [{"max_batch": 0}, {"max_wait_us": -1}, {"max_wait_us": float("nan")}])
def test_refuses_limits_that_make_no_sense(selector, options):
    with pytest.raises(ValueError, match="expected max_batch"):
        BatchingSelector(selector, **options)
