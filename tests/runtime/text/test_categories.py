"""Prompts without a category, where the artifact predicts it."""

import base64
import copy
import json
import pickle

import numpy as np
import onnx
import pytest

from modelpick.converter import convert
from modelpick.converter.categories import train_classifier
from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.artifact.seal import seal
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text import Encoder, TextSelector
from support.prompts import KNOWN, kmeans

TEXTS = [*KNOWN]
CATEGORY = ["math", "computer science", "history"]


@pytest.fixture(scope="module")
def artifact(files):
    """An artifact that tells the categories of the known texts apart."""
    encoder = Encoder.load(files.encoder)
    classifier = train_classifier(encoder.embed(TEXTS).astype(np.float64), CATEGORY)
    document = kmeans(encoder, one_hot=True) | {"category_classifier": classifier}
    target = files.folder / "predicts.onnx"
    convert(json.dumps(document).encode(), target)
    return target


@pytest.fixture
def selector(artifact, files):
    with TextSelector.load(artifact, files.encoder) as loaded:
        yield loaded


def test_text_alone_suffices(selector):
    assert not selector.needs_category
    for text, category in zip(TEXTS, CATEGORY, strict=True):
        one_hot = np.eye(len(CATEGORIES))[CATEGORIES.index(category)]
        features = np.append(selector.encoder.embed([text])[0], one_hot)
        assert selector.scores(text) == selector.selector.scores(features)
        explained = selector.explain(text)
        assert (explained["category"], explained["category_predicted"]) == (category, True)
        assert selector.drift(text) == selector.selector.drift(features)
        assert selector.select(text) == KNOWN[text]
    assert selector.select_batch(TEXTS) == [*KNOWN.values()]
    assert selector.select_batch([]) == []


def test_a_given_category_wins(selector, monkeypatch):
    given = selector.explain(TEXTS[0], category="law")
    assert (given["category"], given["category_predicted"]) == ("law", False)
    one_hot = np.eye(len(CATEGORIES))[CATEGORIES.index("law")]
    features = np.append(selector.encoder.embed(TEXTS[:1])[0], one_hot)
    assert given["scores"] == selector.selector.scores(features)
    asked = []
    monkeypatch.setattr(selector.selector, "select_batch", lambda matrix: asked.extend(matrix))
    selector.select_batch(TEXTS, ["law", None, None])
    assert [CATEGORIES[row[-len(CATEGORIES) :].argmax()] for row in asked] == ["law", *CATEGORY[1:]]


def test_copies_predict_the_same(selector):
    for other in (pickle.loads(pickle.dumps(selector)), copy.copy(selector)):
        assert other.explain(TEXTS[1]) == selector.explain(TEXTS[1])


def test_a_copy_takes_the_classifier_from_the_artifact_alone(selector):
    """Whose seal is checked: in a pickle the graph of categories stands nowhere else."""
    pickled = pickle.dumps(selector)
    graph = selector.metadata.category_classifier.graph
    assert graph not in pickled
    artifact = base64.b64encode(graph)
    assert pickled.count(artifact) == 1
    altered = pickled.replace(artifact, artifact[:-8] + artifact[:8])
    with pytest.raises(ArtifactError, match="it was altered"):
        pickle.loads(altered)


def test_closing_lets_go_of_it(artifact, files):
    with TextSelector.load(artifact, Encoder.load(files.encoder)) as selector:
        pass
    for call in (lambda: selector.select(TEXTS[0]), lambda: selector.select_batch(TEXTS)):
        with pytest.raises(ArtifactError, match="closed"):
            call()


def altered(artifact, key, value):
    """Return an artifact, sealed again, with another entry."""
    model = onnx.load(artifact)
    entries = {entry.key: entry.value for entry in model.metadata_props} | {f"modelpick.{key}": value}
    del entries["modelpick.sha256"]
    onnx.helper.set_model_props(model, {name: text for name, text in entries.items() if text is not None})
    return seal(model.SerializeToString())


def test_a_selector_alone_does_not_open_it(artifact, files):
    broken = altered(artifact, "category_graph", "AAAA")
    assert Selector.load(broken).model_names
    with pytest.raises(ArtifactError, match="category_graph: malformed"):
        TextSelector.load(broken, files.encoder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("category_graph", None, "modelpick.category_graph: malformed"),
        ("category_graph", "?", "modelpick.category_graph: malformed"),
        ("category_classifier", "[]", "modelpick.category_classifier: expected dict, got list"),
        ("category_classifier", '{"classes": []}', "modelpick.category_classifier: expected classes"),
        ("category_classifier", '{"classes": ["a"], "accuracy": "x"}', "modelpick.category_classifier: expected accur"),
        ("category_classifier", '{"classes": ["math", "law"]}', "cannot be run: expected scores of 2 classes"),
    ],
)
def test_broken_entries_are_refused(artifact, files, key, value, message):
    with pytest.raises(ArtifactError, match=message):
        TextSelector.load(altered(artifact, key, value), files.encoder)
