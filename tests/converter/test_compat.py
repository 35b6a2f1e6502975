from pathlib import Path

import pytest

from modelpick.converter import KMeansSelector, KNNSelector, SVMSelector
from modelpick.runtime import DocumentError

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("selector_class", "name"),
    [(KNNSelector, "knn"), (KMeansSelector, "kmeans"), (SVMSelector, "svm_rbf"), (SVMSelector, "svm_linear")],
)
def test_gives_back_its_json_and_selects(selector_class, name):
    text = (MODELS / f"{name}.json").read_text()
    with selector_class.from_json(text) as selector:
        assert selector.is_trained
        assert selector.to_json() == text
        assert selector.select([0.01] * 1038) in selector.model_names
    assert not selector.is_trained


def test_refuses_json_of_another_algorithm():
    with pytest.raises(DocumentError, match=r'\$\.algorithm: expected "svm", got "kmeans"'):
        SVMSelector.from_json((MODELS / "kmeans.json").read_text())
