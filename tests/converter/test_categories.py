"""The category classifier: trained, checked, exported, verified, restored."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from modelpick.converter import categories as module
from modelpick.converter import convert, verify
from modelpick.converter.artifact.restore import to_json
from modelpick.converter.categories import C, train_classifier
from modelpick.converter.verification.report import VerificationError
from modelpick.runtime import DocumentError, Selector
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text.categories import CategoryPredictor
from support import reference
from support.catalogue import kmeans

CLASSIFIER = {
    "classes": ["law", "math", "other"],
    "coef": [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]],
    "intercept": [0.0, 0.25, -0.5],
    "accuracy": 0.75,
}
PAIR = {"classes": ["law", "math"], "coef": [[1.0, -1.0]], "intercept": [0.5]}


def model(classifier, width=None):
    """Return a JSON model with a classifier, whose vectors are as wide as that needs unless said otherwise."""
    width = width or len(classifier["coef"][0]) + len(CATEGORIES)
    centroids = np.random.default_rng(0).normal(size=(2, width))
    return kmeans(centroids, ["a", "b"], category_classifier=classifier)


def encoded(classifier, width=None):
    return json.dumps(model(classifier, width)).encode()


def predictor(artifact, width):
    with Selector.load(artifact) as selector:
        return CategoryPredictor("it", selector.metadata.category_classifier, width)


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 6), st.integers(1, 9), st.integers(-3, 3), st.integers(0, 2**32 - 1))
def test_random_classifiers_answer_as_plain_numpy_does(tmp_path_factory, n, width, magnitude, seed):
    rng = np.random.default_rng(seed)
    rows = n if n > 2 else 1
    classes = [str(name) for name in rng.choice(CATEGORIES, n, replace=False)]
    coef, intercept = (10.0**magnitude * rng.normal(size=shape) for shape in ((rows, width), rows))
    classifier = {"classes": classes, "coef": coef.tolist(), "intercept": intercept.tolist()}
    target = tmp_path_factory.mktemp("random") / "a.onnx"
    data = encoded(classifier)
    assert convert(data, target, samples=30).agreed == 30
    assert verify(target, data, samples=30).passed
    queries = rng.normal(size=(50, width)).astype(np.float32)
    assert predictor(target, width).predict(queries) == reference.categories(classifier, queries)
    assert predictor(target, width).predict(queries[:0]) == []


@pytest.mark.parametrize("classifier", [CLASSIFIER, PAIR], ids=["three", "two"])
def test_it_is_restored_and_shown(tmp_path, classifier):
    target = tmp_path / "a.onnx"
    convert(encoded(classifier), target)
    assert json.loads(to_json(target))["category_classifier"] == classifier
    with Selector.load(target) as selector:
        shown = selector.metadata.raw["category_classifier"]
        found = selector.metadata.category_classifier
    assert shown == {key: value for key, value in classifier.items() if key in ("classes", "accuracy")}
    assert (list(found.classes), found.accuracy) == (classifier["classes"], classifier.get("accuracy"))


def test_null_counts_as_absent(tmp_path):
    convert(encoded(CLASSIFIER).replace(json.dumps(CLASSIFIER).encode(), b"null"), tmp_path / "a.onnx")
    with Selector.load(tmp_path / "a.onnx") as selector:
        assert selector.metadata.category_classifier is None


BAD = {
    "number": (3, "$.category_classifier: expected `object | null`, got `int`"),
    "no classes": ({"classes": ...}, "$.category_classifier: object missing required field `classes`"),
    "one class": ({"classes": ["law"]}, "$.category_classifier.classes: expected `array` of length >= 2"),
    "unknown": (
        {"classes": ["law", "sport", "math"]},
        "$.category_classifier.classes[1]: expected one of math, ",
    ),
    "twice": (
        {"classes": ["law", "math", "law"]},
        "$.category_classifier.classes[2]: expected each category once, got 'law' again",
    ),
    "rows": (
        {"classes": ["law", "math"]},
        "$.category_classifier.coef: expected 1 values, one per two classes, got 3",
    ),
    "intercepts": (
        {"intercept": [1.0]},
        "$.category_classifier.intercept: expected 3 values, one per class, got 1",
    ),
    "ragged": (
        {"coef": [[1.0, 0.0], [0.0], [1.0, 1.0]]},
        "$.category_classifier.coef[1]: expected 2 numbers, got 1",
    ),
    "empty": ({"coef": [[], [], []]}, "$.category_classifier.coef[0]: expected at least one number"),
    "huge": (
        {"coef": [[1.0, 0.0], [0.0, 1e101], [1.0, 1.0]]},
        "$.category_classifier.coef[1][1]: expected `float` <= 1e+100",
    ),
    "infinite": ({"intercept": [0.0, 0.0, "1e999"]}, "$.category_classifier.intercept[2]: expected a finite number"),
    "accuracy": ({"accuracy": 1.5}, "$.category_classifier.accuracy: expected `float` <= 1"),
    "narrow": (
        {"coef": [[1.0]] * 3},
        "$.category_classifier.coef[0]: expected 14 numbers fewer than the 16 features, got 1",
    ),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_refused_and_nothing_is_replaced(tmp_path, changed, message):
    broken = {**CLASSIFIER, **changed} if isinstance(changed, dict) else changed
    if isinstance(broken, dict):
        broken = {key: value for key, value in broken.items() if value is not ...}
    data = json.dumps(model(CLASSIFIER) | {"category_classifier": broken}).replace('"1e999"', "1e999")
    source, target = tmp_path / "a.json", tmp_path / "a.onnx"
    source.write_text(data)
    target.write_bytes(b"kept")
    with pytest.raises(DocumentError) as caught:
        convert(source, target)
    assert str(caught.value).startswith(f"{source}: {message}")
    assert target.read_bytes() == b"kept"


def test_an_artifact_that_predicts_otherwise_is_not_written(tmp_path, monkeypatch):
    exported = module.to_graph

    def wrong(estimator, target_opset):
        estimator.coef_ = -estimator.coef_
        return exported(estimator, target_opset)

    monkeypatch.setattr(module, "to_graph", wrong)
    target = tmp_path / "a.onnx"
    target.write_bytes(b"kept")
    with pytest.raises(VerificationError) as caught:
        convert(encoded(CLASSIFIER), target)
    worst = caught.value.report.worst
    assert worst.artifact.startswith("category ")
    assert worst.artifact != worst.estimator
    assert target.read_bytes() == b"kept"


def clusters(rng, n=40, width=5):
    labels = rng.integers(3, size=n)
    return np.eye(width)[labels] + 0.1 * rng.normal(size=(n, width)), [("law", "math", "sport")[k] for k in labels]


def test_training_is_scikit_learns_and_the_same_each_time():
    embeddings, categories = clusters(np.random.default_rng(0))
    trained = train_classifier(embeddings, categories)
    assert trained["classes"] == ["law", "math", "other"]  # sport counts as other
    assert trained["accuracy"] == 1.0
    labels = [category if category != "sport" else "other" for category in categories]
    fitted = LogisticRegression(C=C, max_iter=1000).fit(embeddings, labels)
    np.testing.assert_allclose(trained["coef"], fitted.coef_, rtol=1e-5)
    np.testing.assert_allclose(trained["intercept"], fitted.intercept_, rtol=1e-5)
    again = train_classifier(embeddings, categories)
    assert (again["coef"], again["intercept"]) == (trained["coef"], trained["intercept"])


def test_accuracy_is_that_on_held_out_queries():
    rng = np.random.default_rng(1)
    noise, categories = rng.normal(size=(200, 100)), ["law", "math"] * 100
    assert train_classifier(noise, categories)["accuracy"] == pytest.approx(0.5, abs=0.15)
    rare = train_classifier(np.eye(5), ["law"] * 4 + ["math"])  # some folds know one category alone
    assert (rare["classes"], rare["accuracy"]) == (["law", "math"], 0.8)


def test_nothing_is_trained_where_nothing_can_be_learned():
    assert train_classifier(np.eye(4), ["sport", "other", "other", "other"]) is None
    assert train_classifier(np.ones((4, 3)), ["law", "math", "law", "math"]) is None
