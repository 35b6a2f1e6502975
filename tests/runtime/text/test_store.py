"""TextStore: an artifact and its encoder, swapped together or not at all."""

import json
import shutil

import pytest
from folders import SMALL

from modelpick.converter import convert
from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.serving.text_store import TextStore
from modelpick.runtime.text import Encoder

MATH = "Solve the equation for x"


def replace(source, target):
    shutil.copy(source, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)


@pytest.fixture
def folder(files, tmp_path):
    """A folder with an artifact and its encoder, and one with another pair."""
    replace(files.selector, tmp_path / "knn.onnx")
    replace(files.encoder, tmp_path / "encoder.onnx")
    other = tmp_path / "other"
    other.mkdir()
    make_encoder(SMALL, other / "encoder.onnx", max_tokens=9, name="other")
    encoder = Encoder.load(other / "encoder.onnx")
    model = {
        "algorithm": "kmeans",
        "trained": True,
        "num_clusters": 1,
        "centroids": [encoder.embed([MATH])[0].tolist()],
        "cluster_models": ["other"],
        "encoder": {"name": encoder.name, "digest": encoder.digest},
    }
    convert(json.dumps(model).encode(), other / "knn.onnx", samples=0)
    return tmp_path


@pytest.mark.parametrize("order", [("knn.onnx", "encoder.onnx"), ("encoder.onnx", "knn.onnx")])
def test_swaps_both_files_or_none(folder, order):
    events = []
    with TextStore(folder, folder / "encoder.onnx", poll_seconds=3600, observer=events.append) as store:
        assert store.names == ["knn"]
        held = store["knn"]
        assert held.select(MATH) == "mistral"
        replace(folder / "other" / order[0], folder / order[0])
        store.refresh()
        assert store["knn"] is held
        replace(folder / "other" / order[1], folder / order[1])
        store.refresh()
        assert store["knn"].select(MATH) == "other"
        assert store["knn"].encoder.name == "other"
        assert held.select(MATH) == "mistral"  # a request that began with it
        assert store.refusals >= 1


def test_takes_what_both_take(folder):
    (folder / "sub").mkdir()
    (folder / "knn.onnx").rename(folder / "sub/knn.onnx")
    with TextStore(folder / "sub/knn.onnx", folder / "encoder.onnx", message="all", candidates=["llama"]) as store:
        assert store["knn"].select(messages=[{"role": "system", "content": MATH}]) == "llama"
        with pytest.raises(ArtifactError, match="expected one of knn"):
            store["encoder"]


def test_a_pair_that_does_not_belong_together_is_refused_at_first(folder):
    with pytest.raises(ArtifactError, match="expected the encoder"):
        TextStore(folder / "knn.onnx", folder / "other/encoder.onnx", poll_seconds=3600)
    assert Selector.load(folder / "knn.onnx").metadata.encoder.name == "encoder"
