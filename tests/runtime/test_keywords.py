"""Keywords: those that nobody knows are refused wherever they are passed on, and signatures name all others."""

import asyncio
import inspect

import numpy as np
import pytest

from modelpick.runtime import BatchingSelector, FeatureError, Selector, SelectorStore
from modelpick.runtime.request import Given, Request
from modelpick.runtime.serving.text_store import TextStore
from modelpick.runtime.text import TextSelector

GIVEN = set(Given.__annotations__)
QUERY = np.zeros(1038)
LOADING = {"providers", "sess_options", "unknown_candidates", "expect", "observer"} | GIVEN
STORING = LOADING | {"require", "poll_seconds"}
SIGNATURES = {
    **{
        getattr(Selector, name): {"features"} | set(Request.__annotations__) for name in ("select", "aselect", "scores")
    },
    Selector.explain: {"features"} | set(Request.__annotations__),
    Selector.checked: {"features"} | set(Request.__annotations__),
    Selector.drift: {"features", "embedding", "category"},
    Selector.select_batch: {"matrix", "embedding", "category"} | GIVEN,
    **{
        getattr(Selector, name): {"features", "key", "explore", "margin"} | set(Request.__annotations__)
        for name in ("decide", "adecide")
    },
    Selector.decide_batch: {"matrix", "embedding", "category", "keys", "explore", "margin"} | GIVEN,
    Selector.load: {"path"} | LOADING,
    **{
        getattr(TextSelector, name): {"text", "messages", "category"} | GIVEN
        for name in ("select", "aselect", "scores")
    },
    TextSelector.explain: {"text", "messages", "category"} | GIVEN,
    TextSelector.drift: {"text", "messages", "category"},
    TextSelector.select_batch: {"prompts", "categories"} | GIVEN,
    TextSelector.load: {"artifact", "encoder", "message"} | LOADING,
    **{
        getattr(TextSelector, name): {"text", "messages", "category", "key", "explore", "margin"} | GIVEN
        for name in ("decide", "adecide")
    },
    TextSelector.decide_batch: {"prompts", "categories", "keys", "explore", "margin"} | GIVEN,
    BatchingSelector.decide: {"features", "key", "explore", "margin"} | set(Request.__annotations__),
    BatchingSelector.select: {"features"} | set(Request.__annotations__),
    SelectorStore: {"path"} | STORING,
    TextStore: {"path", "encoder", "message"} | STORING,
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_name_every_keyword(function):
    parameters = inspect.signature(function).parameters.values()
    assert {parameter.name for parameter in parameters} - {"self"} >= SIGNATURES[function]
    assert {parameter.kind for parameter in parameters} <= {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }


async def batched(selector, query, **asked):
    async with BatchingSelector(selector) as batching:
        return await batching.select(query, **asked)


CALLS = {
    "select": lambda selector, **asked: selector.select(QUERY, **asked),
    "aselect": lambda selector, **asked: asyncio.run(selector.aselect(QUERY, **asked)),
    "select_batch": lambda selector, **asked: selector.select_batch([QUERY], **asked),
    "scores": lambda selector, **asked: selector.scores(QUERY, **asked),
    "explain": lambda selector, **asked: selector.explain(QUERY, **asked),
    "checked": lambda selector, **asked: selector.checked(QUERY, **asked),
    "BatchingSelector": lambda selector, **asked: asyncio.run(batched(selector, QUERY, **asked)),
}
MISSPELLED = {
    "candidate": "candidates",
    "quality_wieght": "quality_weight",
    "cost_weight": r"objective=Objective\(cost_weight=...\)",
    "secondsweight": r"objective=Objective\(seconds_weight=...\)",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("keyword", MISSPELLED)
def test_a_misspelled_keyword_is_refused_with_the_nearest(sample_artifacts, call, keyword):
    with (
        Selector.load(sample_artifacts / "knn.onnx") as selector,
        pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}': did you mean {MISSPELLED[keyword]}"),
    ):
        CALLS[call](selector, **{keyword: ["mistral-7b"]})


def test_what_loads_refuses_them_before_it_reads(tmp_path):
    nowhere = tmp_path / "nowhere.onnx"
    for load in (
        lambda **options: Selector.load(nowhere, **options),
        lambda **options: TextSelector.load(nowhere, nowhere, **options),
        lambda **options: SelectorStore(nowhere, **options),
        lambda **options: TextStore(nowhere, nowhere, **options),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument 'provider': did you mean providers"):
            load(provider=[])
    for store in (SelectorStore, lambda path, **options: TextStore(path, nowhere, **options)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'poll': did you mean poll_seconds"):
            store(nowhere, poll=5)


def test_a_keyword_of_load_is_named_before_the_candidate_that_relied_on_it(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        for ask in (selector.select, selector.explain, selector.scores):
            with pytest.raises(TypeError, match=r"'unknown_candidates': did you mean load\(\.\.\., unknown_candidates"):
                ask(QUERY, candidates=["x"], unknown_candidates="ignore")


def test_one_that_is_like_none_gets_them_all(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        with pytest.raises(TypeError, match=r"'xyz': expected some of embedding, category, candidates, .*evidence"):
            selector.select(QUERY, xyz=1)
        with pytest.raises(TypeError, match="'categry': did you mean category"):
            selector.drift(QUERY, categry="law")


def test_a_batch_takes_embeddings_and_their_categories(sample_artifacts, sample_queries):
    embeddings, categories = sample_queries[:, :1024], ["law", "math"] * 4
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        queries = selector.features.build_batch(embeddings, categories)
        assert selector.select_batch(embedding=embeddings, category=categories) == selector.select_batch(queries)
        with pytest.raises(FeatureError, match=r"embedding: expected 1038 features .*no category"):
            selector.select_batch(embedding=embeddings)
        for wrong in ({}, {"category": categories}, {"candidates": ["mistral-7b"]}):
            with pytest.raises(FeatureError, match="expected a matrix, or embeddings and their categories"):
                selector.select_batch(**wrong)


def test_what_asks_for_no_query_is_told_so(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        for asked in ({}, {"candidates": ["mistral-7b"]}, {"quality_weight": 0.5}, {"category": "law"}):
            for method in (selector.select, selector.explain):
                with pytest.raises(FeatureError, match=r"^expected features, or an embedding and its category$"):
                    method(None, **asked)
