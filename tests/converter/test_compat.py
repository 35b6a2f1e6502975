import copy
import json
import pickle
from pathlib import Path

import pytest

from modelpick.converter import HierShrinkSelector, KMeansSelector, KNNSelector, MLPSelector, SVMSelector
from modelpick.runtime import DocumentError

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("selector_class", "name"),
    [
        (KNNSelector, "knn"),
        (KMeansSelector, "kmeans"),
        (SVMSelector, "svm_rbf"),
        (SVMSelector, "svm_linear"),
        (MLPSelector, "mlp"),
    ],
)
def test_gives_back_its_json_and_selects(selector_class, name):
    text = (MODELS / f"{name}.json").read_text()
    with selector_class.from_json(text) as selector:
        assert selector.is_trained
        assert selector.to_json() == text
        assert selector.select([0.01] * 1038) in selector.model_names
        for other in (copy.copy(selector), pickle.loads(pickle.dumps(selector))):
            assert type(other) is selector_class
            assert other.to_json() == text
            assert other.select([0.01] * 1038) == selector.select([0.01] * 1038)
    assert not selector.is_trained


def test_refuses_json_of_another_algorithm():
    with pytest.raises(DocumentError, match=r'\$\.algorithm: expected "svm", got "kmeans"'):
        SVMSelector.from_json((MODELS / "kmeans.json").read_text())


def test_hiershrink_picks_by_the_order_of_candidates_and_skips_those_without_records():
    record = {"response_latency_ns": 0, "success": True, "timestamp": 0}
    records = [
        record | {"query_embedding": vector, "selected_model": model, "response_quality": quality}
        for vector, model, quality in (([0.0, 1.0], "a", 0.5), ([0.0, 1.0], "b", 0.5), ([1.0, 0.0], "c", 0.25))
    ]
    centroids = {"coarse_centroids": [[0.5, 0.5]], "fine_centroids": [[0.0, 1.0], [1.0, 0.0]]}
    text = json.dumps(
        {"algorithm": "hiershrink", "trained": True, **centroids, "cost_weight": 0.0, "training": records}
    )
    with HierShrinkSelector.from_json(text) as selector:
        assert selector.to_json() == text
        assert [selector.select([0, 1], candidates=names) for names in (["a", "b"], ["b", "a"], ["c", "b"])] == [*"abb"]
