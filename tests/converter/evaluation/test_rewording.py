"""Picks that change where questions are reworded, held against plain counts."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, make_encoder
from modelpick.converter.evaluation.rewording import flips, read_pairs
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import ArtifactError, DocumentError, Selector
from modelpick.runtime.text import Encoder
from support.command import modelpick
from support.folders import SMALL
from support.recorded import routed


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reworded")
    (folder / "data.jsonl").write_bytes(routed(60))
    training = training_data(read_records(folder / "data.jsonl"), Settings(ridge=0.5), one_hot=False)
    for algorithm, semantics in (("kernel_ridge", "native"), ("knn", "queries"), ("kmeans", "native")):
        model = json.dumps(train(training, trainer(algorithm, semantics=semantics))).encode()
        convert(model, folder / f"{algorithm}.onnx", samples=0, semantics=semantics)
    rng = np.random.default_rng(3)
    first = rng.normal(size=(50, 6))
    rows = [
        {"embedding": one.tolist(), "reworded_embedding": (one + rng.normal(0, 1.0, 6)).tolist(), "category": "law"}
        for one in first
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_flips_and_gains_are_counted_for_each_way_of_picking(files):
    pairs, records = read_pairs(files / "pairs.jsonl"), read_records(files / "data.jsonl")
    named = {name: files / f"{name}.onnx" for name in ("kernel_ridge", "knn", "kmeans")}
    found = {(one.name, one.way): one for one in flips(named, pairs, records)}
    assert {way for name, way in found if name == "kmeans"} == {"as is"}
    assert np.isnan([found["kmeans", "as is"].gain.value, found["kmeans", "as is"].leaves.value]).all()
    careful = {"as is", "far=0.99", "margin 0.02", "margin 0.05"}
    assert {way for name, way in found if name == "kernel_ridge"} == careful
    assert {way for name, way in found if name == "knn"} == careful | {"evidence=1", "evidence=2"}
    with Selector.load(named["kernel_ridge"]) as selector:
        default = selector.default
        sides = [selector.predict_outcomes(side)[:, 0] for side in (pairs.first, pairs.second)]
        names = np.array(selector.model_names)
        quality = selector.predict_outcomes(records.embeddings)[:, 0]
    of_default = list(names).index(default)
    columns = [records.model_names.index(name) for name in names]
    for way, margin in (("as is", 0.0), ("margin 0.05", 0.05)):

        def picked(predicted, margin=margin):
            best = predicted.argmax(axis=1)
            exceeds = predicted.max(axis=1) - predicted[:, of_default] > margin
            return np.where(exceeds, best, of_default)

        first, second = map(picked, sides)
        one = found["kernel_ridge", way]
        assert one.flips.value == pytest.approx((first != second).mean())
        assert one.leaves.value == pytest.approx((first != of_default).mean())
        got = records.quality[:, columns][np.arange(60), picked(quality)]
        assert one.gain.value == pytest.approx((got - records.quality[:, columns[of_default]]).mean())
        assert 0 < one.flips.low < one.flips.value < one.flips.high


def test_texts_are_embedded(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"query": "one two", "reworded": "two one please"}\n')
    make_encoder(SMALL, tmp_path / "encoder.onnx")
    encoder = Encoder.load(tmp_path / "encoder.onnx")
    pairs = read_pairs(file, encoder)
    np.testing.assert_allclose(pairs.second, encoder.embed(["two one please"]), atol=1e-6)
    encoder.close()
    with pytest.raises(DocumentError, match="texts need --encoder"):
        read_pairs(file)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("{}\n", "pairs.jsonl:1: expected embedding and reworded_embedding"),
        ('{"embedding": [1, 2], "reworded_embedding": [1]}\n', "expected embeddings of as many finite numbers"),
        ('{"embedding": [1, NaN], "reworded_embedding": [1, 2]}\n', "expected embeddings of as many finite numbers"),
        ("\n", "pairs of questions"),
    ],
)
def test_refuses_what_are_no_pairs(tmp_path, lines, told):
    (tmp_path / "pairs.jsonl").write_text(lines)
    with pytest.raises(DocumentError, match=told):
        read_pairs(tmp_path / "pairs.jsonl")


def test_the_command_prints_and_refuses_other_widths(files, tmp_path):
    shared = ["evaluate", files / "kernel_ridge.onnx", "--data", files / "data.jsonl", "--reworded"]
    done = modelpick(*shared, files / "pairs.jsonl")
    assert "50 questions in other words" in done.stdout
    assert json.loads(modelpick(*shared, files / "pairs.jsonl", "--json").stdout)[0]["way"] == "as is"
    (tmp_path / "other.jsonl").write_text('{"embedding": [1, 2], "reworded_embedding": [2, 1]}\n')
    with pytest.raises(ArtifactError, match="expected embeddings for vectors of 6, got 2 numbers"):
        flips(
            {"a": files / "kernel_ridge.onnx"}, read_pairs(tmp_path / "other.jsonl"), read_records(files / "data.jsonl")
        )
