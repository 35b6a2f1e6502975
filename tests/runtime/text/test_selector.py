"""TextSelector: prompts -> names."""

import asyncio
import json

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.runtime import ArtifactError, FeatureError, Selector
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text import Encoder, TextSelector
from support.catalogue import kmeans
from support.prompts import CODE, CONVERSATION, KNOWN, MATH


@pytest.fixture
def selector(files):
    with TextSelector.load(files.selector, files.encoder) as loaded:
        yield loaded


def test_picks_as_the_selector_does_for_the_embedding(selector, files):
    plain = Selector.load(files.selector)
    for text, model in KNOWN.items():
        embedding = selector.encoder.embed([text])[0]
        assert selector.select(text) == plain.select(embedding) == model
        assert selector.scores(text) == plain.scores(embedding)
        assert selector.explain(text) == {
            **plain.explain(embedding),
            "tokens": len(text.replace("?", " ?").split()),
            "cut": False,
        }
        assert selector.drift(text) == plain.drift(embedding)
    assert selector.select_batch([*KNOWN]) == [*KNOWN.values()]
    assert selector.select_batch([]) == []
    assert asyncio.run(selector.aselect(MATH)) == KNOWN[MATH]


def test_explains_that_a_prompt_was_cut(selector):
    explained = selector.explain("x " * 600)
    assert (explained["tokens"], explained["cut"]) == (512, True)
    json.dumps(explained)


def test_preferences_are_those_of_the_selector(selector, files):
    assert selector.select(MATH, candidates=["llama"]) == "llama"
    assert selector.select_batch([MATH, CODE], candidates=["llama"]) == ["llama", "llama"]
    events = []
    loaded = TextSelector.load(files.selector, selector.encoder, candidates=["codellama"], observer=events.append)
    assert loaded.select(MATH) == "codellama"
    assert len(events) == 1
    with pytest.raises(FeatureError, match="quality_weight"):
        selector.select(MATH, quality_weight=0.5)


def test_refuses_what_is_no_prompt(selector, files):
    for arguments in ({}, {"text": "a", "messages": CONVERSATION}):
        with pytest.raises(FeatureError, match="expected a text, or messages"):
            selector.select(**arguments)
    with pytest.raises(FeatureError, match="expected a text, got int"):
        selector.select(3)
    with pytest.raises(FeatureError, match="got one text"):
        selector.select_batch(MATH)
    with pytest.raises(FeatureError, match="categories: expected 1, one per prompt, got 2"):
        selector.select_batch([MATH], ["math", "law"])
    with pytest.raises(FeatureError, match="message: expected one of last_user, user, all"):
        TextSelector.load(files.selector, files.encoder, message="first")


def test_a_category_where_the_vectors_have_its_one_hot(files, selector):
    with TextSelector.load(files.with_category, files.encoder) as other:
        assert (other.needs_category, selector.needs_category) == (True, False)
        assert other.select(MATH, category="math") == KNOWN[MATH]
        one_hot = np.eye(len(CATEGORIES))[CATEGORIES.index("law")]
        features = np.append(other.encoder.embed([CODE])[0], one_hot)
        assert other.scores(CODE, category="law") == other.selector.scores(features)
        assert other.select_batch([MATH, CODE], ["math", "law"]) == [KNOWN[MATH], KNOWN[CODE]]
        for refused in (lambda: other.select(MATH), lambda: other.select_batch([MATH])):
            with pytest.raises(FeatureError, match="category: expected one"):
                refused()
    assert selector.select(MATH, category="math") == KNOWN[MATH]  # not needed


def test_another_encoder_than_it_was_trained_with_is_refused(files):
    with pytest.raises(
        ArtifactError, match=r"selector.onnx: expected the encoder encoder \(\w{12}\), got int8 \(\w{12}\)"
    ):
        TextSelector.load(files.selector, files.int8)
    TextSelector.load(files.with_category, files.int8)  # it records none


def test_an_encoder_of_another_width_is_refused(files):
    convert(json.dumps(kmeans([[1.0, 2.0]])).encode(), files.folder / "narrow.onnx", samples=0)
    with pytest.raises(
        ArtifactError, match=r"narrow.onnx: expected an encoder of 2 columns, .* got encoder \(.*of 128"
    ):
        TextSelector.load(files.folder / "narrow.onnx", files.encoder)


def test_closing_lets_go_of_what_it_loaded(files):
    encoder = Encoder.load(files.encoder)
    with (
        TextSelector.load(files.selector, encoder) as first,
        TextSelector.load(files.selector, files.encoder) as second,
    ):
        pass
    assert first.closed
    encoder.embed(["a"])
    for call in (lambda: second.encoder.embed(["a"]), lambda: first.select("a"), lambda: first.select_batch(["a"])):
        with pytest.raises(ArtifactError, match="closed"):
            call()


@pytest.mark.parametrize("content", [MATH, [{"type": "text", "text": MATH}]], ids=["texts", "parts"])
def test_conversations_of_a_data_frame_are_read(selector, tmp_path, content):
    pandas = pytest.importorskip("pandas")
    messages = [{"role": "system", "content": type(content)()}, {"role": "user", "content": content}]
    made = pandas.DataFrame({"messages": [messages], "category": ["math"]})
    made.to_parquet(tmp_path / "conversations.parquet")  # lists are arrays in what is read of it
    for frame in (made, pandas.read_parquet(tmp_path / "conversations.parquet")):
        assert selector.select(messages=frame.messages[0]) == KNOWN[MATH]
        assert selector.select(messages=pandas.Series(list(frame.messages[0]))) == KNOWN[MATH]
        assert selector.select_batch(frame.messages) == [KNOWN[MATH]]
        assert selector.select_batch(frame.messages, frame.category) == [KNOWN[MATH]]
    for wrong in (np.array(1.0), np.array([1.0])):
        with pytest.raises(FeatureError, match=r"^messages"):
            selector.select(messages=wrong)


def test_a_pool_of_one_is_answered_without_the_encoder(files, monkeypatch):
    with TextSelector.load(files.with_category, files.encoder, unknown_candidates="ignore") as selector:
        monkeypatch.setattr(selector, "encoder", None)
        for name in ("llama", "nobody"):
            assert selector.select(MATH, candidates=[name]) == name
            assert selector.select(messages=CONVERSATION, candidates=(one for one in [name])) == name
            assert selector.select_batch([MATH, CONVERSATION], candidates=(one for one in [name])) == [name] * 2
            assert asyncio.run(selector.aselect(MATH, candidates=[name])) == name
            for wrong in ({}, {"text": 5}, {"messages": []}):
                with pytest.raises(FeatureError, match="expected"):
                    selector.select(**wrong, candidates=[name])
        monkeypatch.undo()
    with pytest.raises(ArtifactError, match="closed"):
        selector.select(MATH, candidates=["llama"])


@pytest.mark.parametrize("keyword", ["candidate", "embedding"])
def test_a_keyword_that_nobody_knows_is_refused(files, keyword):
    calls = {
        "select": lambda selector, **asked: selector.select("hi", **asked),
        "aselect": lambda selector, **asked: asyncio.run(selector.aselect("hi", **asked)),
        "scores": lambda selector, **asked: selector.scores("hi", **asked),
        "explain": lambda selector, **asked: selector.explain("hi", **asked),
        "select_batch": lambda selector, **asked: selector.select_batch(["hi"], **asked),
        "drift": lambda selector, **asked: selector.drift("hi", **asked),
    }
    with TextSelector.load(files.selector, files.encoder) as selector:
        for call in calls.values():
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}'"):
                call(selector, **{keyword: ["llama"]})


def test_decides_as_the_selector_does_for_the_embedding(selector, files):
    plain, texts = Selector.load(files.selector), [*KNOWN] * 8
    keys = [f"conversation {number}" for number in range(len(texts))]
    expected = [
        plain.decide(selector.encoder.embed([text])[0], key=key, explore=0.5)
        for text, key in zip(texts, keys, strict=True)
    ]
    asked = [*zip(texts, keys, strict=True)]
    forms = [
        [selector.decide(text, key=key, explore=0.5) for text, key in asked],
        [selector.decide(messages=[{"role": "user", "content": text}], key=key, explore=0.5) for text, key in asked],
        [asyncio.run(selector.adecide(text, key=key, explore=0.5)) for text, key in asked],
        selector.decide_batch(texts, keys=keys, explore=0.5),
    ]
    for form in forms:
        assert [(one.model, one.default, one.propensity) for one in form] == [
            (one.model, one.default, one.propensity) for one in expected
        ]
    assert len({one.model for one in expected}) > len({one.default for one in expected[:1]})
    assert selector.decide(MATH, candidates=["llama"], explore=0.5).model == "llama"
    with pytest.raises(FeatureError, match="explore"):
        selector.decide(MATH, explore=2.0)
    with pytest.raises(TypeError, match=r"'explor': did you mean decide\(..., explore=...\)"):
        selector.decide_batch([MATH], explor=0.1)
