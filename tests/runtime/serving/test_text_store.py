"""TextStore: an artifact and its encoder, swapped together or not at all."""

import json
import shutil

import pytest

from modelpick.converter import convert
from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.serving.text_store import TextStore
from modelpick.runtime.text import Encoder
from support.catalogue import kmeans
from support.folders import SMALL
from support.waiting import until

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
    identity = {"name": encoder.name, "digest": encoder.digest}
    model = kmeans([encoder.embed([MATH])[0].tolist()], ["other"], encoder=identity)
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


class Panic(BaseException):
    """What a library of another language raises, which is no `Exception`."""


def test_an_encoder_that_panics_is_refused_once_and_a_good_pair_is_taken_later(folder, monkeypatch, caplog):
    load = Encoder.load

    def panicking(path, **options):
        if bad.exists():
            raise Panic("called `Result::unwrap()`\non an `Err` value")
        return load(path, **options)

    bad = folder / "bad"
    with TextStore(folder, folder / "encoder.onnx", poll_seconds=0.01) as store, caplog.at_level("ERROR", "modelpick"):
        monkeypatch.setattr(Encoder, "load", panicking)
        bad.touch()
        replace(folder / "encoder.onnx", folder / "encoder.onnx")
        until(lambda: store.refusals)
        store.refresh()
        assert store["knn"].select(MATH) == "mistral"
        assert [record.message.split(": ")[-1] for record in caplog.records] == ["called `Result::unwrap()`"]
        bad.unlink()
        for name in ("encoder.onnx", "knn.onnx"):
            replace(folder / "other" / name, folder / name)
        until(lambda: store["knn"].select(MATH) == "other")
