"""Models that a file names and that can never be picked: known candidates of KMeans, and of SVM by native/1."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator, to_artifact
from modelpick.converter.algorithms.choices import followed
from modelpick.runtime import FeatureError, Selector
from support.catalogue import kmeans, linear_classifier, svm

NAMES = ["d", "a", "never", "b"]
KMEANS = kmeans([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["a", "b", "d"], model_names=NAMES)
WEIGHTS = {"a": [0.0, 1.0], "b": [1.0, 0.0], "d": [0.9, 0.9]}
SVM = svm(
    [linear_classifier(*one, rho=0.0) for one in WEIGHTS.items()], model_names=NAMES, kernel_type="Linear", gamma=1.0
)
QUERIES = [[0.0, 0.9], [0.9, 0.0], [1.0, 0.9]]


@pytest.mark.parametrize("model", [KMEANS, SVM], ids=["kmeans", "svm"])
def test_models_without_a_cluster_or_classifier_are_known_and_never_picked(model, tmp_path):
    assert convert(json.dumps(model).encode(), tmp_path / "a.onnx").passed
    with Selector.load(tmp_path / "a.onnx") as selector:
        assert list(selector.model_names) == NAMES
        assert selector.select_batch(QUERIES) == selector.select_batch(QUERIES, candidates=NAMES) == ["a", "b", "d"]
        assert [selector.select(query, candidates=NAMES) for query in QUERIES] == ["a", "b", "d"]
        assert [selector.select(query, candidates=["never", "b"]) for query in QUERIES] == ["b"] * 3
        assert selector.select_batch(QUERIES, candidates=["never", "b"]) == ["b"] * 3
        assert set(selector.scores(QUERIES[0])) == {"a", "b", "d"}
        json.dumps(selector.explain(QUERIES[0]), allow_nan=False)


@pytest.mark.parametrize("model", [KMEANS, SVM], ids=["kmeans", "svm"])
def test_candidates_of_which_none_can_be_picked_are_an_error(model):
    estimator = load_estimator(json.dumps(model | {"model_names": [*NAMES, "nor this"]}).encode())
    with Selector.load(to_artifact(estimator)) as selector:
        asks = (selector.select, QUERIES[0]), (selector.explain, QUERIES[0]), (selector.select_batch, QUERIES)
        for ask, asked in asks:
            with pytest.raises(FeatureError, match="candidates: expected one that can be picked"):
                ask(asked, candidates=["never", "nor this"])


SCORES = np.array(
    [[1.0, 1.0 - 1e-12, 0.5], [1.0, 1.0 - 1e-6, 0.5], [-np.inf, -np.inf, -np.inf], [1e9, 1e9 - 1e-3, 0.0]]
)


@pytest.mark.parametrize(
    ("chosen", "expected"), [(0, [0, 0, 0, 0]), (1, [1, 0, 1, 1]), (2, [0, 0, 2, 0]), (9, [0] * 4)]
)
def test_what_an_artifact_chose_is_followed_where_roundings_decide(chosen, expected):
    assert followed(SCORES, np.full(len(SCORES), chosen)).tolist() == expected
