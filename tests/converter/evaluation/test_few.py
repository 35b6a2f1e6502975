"""New models with few records: the more answers, the nearer to training on all."""

import json

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.few import few_answers
from modelpick.converter.evaluation.retraining import recipe_of
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError
from support.command import modelpick
from support.recorded import routed


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    (folder / "data.jsonl").write_bytes(routed(100))
    training = training_data(read_records(folder / "data.jsonl"), Settings(ridge=0.5), one_hot=False)
    model = json.dumps(train(training, trainer("kernel_ridge"))).encode()
    convert(model, folder / "kernel_ridge.onnx", samples=0)
    return folder


def test_few_answers_are_between_none_and_all(files):
    records = read_records(files / "data.jsonl")
    found = few_answers(recipe_of(files / "kernel_ridge.onnx", records), records, [3, 60])
    assert (found.queries, [one.answers for one in found.few]) == (20, [3, 60])
    assert found.without.value + 0.05 < found.few[1].quality.value == pytest.approx(found.all.value, abs=0.02)
    assert found.few[1].kept.value == pytest.approx(found.few[1].quality.value / found.all.value)
    assert found.few[1].kept.value > 0.97
    assert found.few[1].gain.value == pytest.approx(found.few[1].quality.value - found.without.value)
    known = records.quality.mean(axis=0)
    assert found.single.value == pytest.approx(known.max(), abs=0.1)


def test_the_command_shows_and_refuses(files):
    shared = ["evaluate", files / "kernel_ridge.onnx", "--data", files / "data.jsonl", "--few", "5"]
    done = modelpick(*shared)
    assert "a third of the models is new, 20 held-out questions" in done.stdout
    (few,) = json.loads(modelpick(*shared, "--json").stdout)["kernel_ridge"]["few"]
    assert (few["answers"], np.isfinite(few["kept"]["low"])) == (5, True)
    for more, told in (
        (["--few", "81"], "expected 81 questions or more to train on, got 80"),
        (["--leave-out", "category"], "--few: expected it without --leave-out"),
    ):
        done = modelpick(*shared, *more)
        assert (done.returncode, told in done.stderr) == (2, True)


def test_two_models_are_too_few(files):
    records = read_records(files / "data.jsonl")
    recipe = recipe_of(files / "kernel_ridge.onnx", records)
    with pytest.raises(DocumentError, match="expected records of 3 models or more, got 2"):
        few_answers(recipe, records.of_models([0, 1])._replace(embeddings=records.embeddings), [3])
