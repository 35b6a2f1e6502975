"""Tasks that training did not see: what picks for them are worth, before and after `far`."""

import json

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.cli.unseen import Unseen, show_left_out
from modelpick.converter.evaluation.leave_out import leave_out
from modelpick.converter.evaluation.retraining import recipe_of
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records, values_of
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import ArtifactError, DocumentError, FeatureError, ModelpickError, Selector
from support.command import modelpick
from support.recorded import encoded, record

SETS = {"code": 1.0, "poem": -1.0, "odd": 0.9}


def lines(n=40):
    """Questions of two tasks that are near each other, and of one that is far away, where the better model is worse."""
    rng, rows = np.random.default_rng(1), []
    for of_set, side in SETS.items():
        for number in range(n):
            embedding = np.concatenate([[side], rng.normal(0, 0.3, 3), [4.0 * (of_set == "odd"), 0.0]])
            good = 0.9 if side > 0 else 0.2
            better = {"usual": 0.6, "special": 0.1 if of_set == "odd" else good}
            for name, quality in better.items():
                fields = {"set": of_set, "category": "math", "embedding": embedding.tolist()}
                rows.append(record(query=f"{of_set} {number}", model_name=name, performance=quality, **fields))
    return encoded(*rows)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    (folder / "data.jsonl").write_bytes(lines())
    training = training_data(read_records(folder / "data.jsonl"), Settings(ridge=0.5), one_hot=False)
    for algorithm, semantics in (("kernel_ridge", "native"), ("knn", "queries")):
        model = json.dumps(train(training, trainer(algorithm, semantics=semantics))).encode()
        convert(model, folder / f"{algorithm}.onnx", samples=0, semantics=semantics)
    return folder


@pytest.mark.parametrize("algorithm", ["kernel_ridge", "knn"])
def test_far_keeps_an_unseen_task_from_falling_below_the_default(files, algorithm):
    records = read_records(files / "data.jsonl")
    groups = values_of(files / "data.jsonl", "set", records)
    assert groups == [query.split()[0] for query in records.queries]
    recipe = recipe_of(files / f"{algorithm}.onnx", records)
    assert recipe.settings.ridge == (0.5 if algorithm == "kernel_ridge" else Settings().ridge)
    assert not recipe.one_hot
    found = {one.group: one for one in leave_out(recipe, records, groups, far=0.99)}
    assert {name: one.queries for name, one in found.items()} == dict.fromkeys(SETS, 40)
    odd = found["odd"]
    assert (odd.default, odd.quality.value) == ("usual", pytest.approx(0.6))
    assert odd.gain.high < -0.3
    assert (odd.far, odd.gain_with_far.value) == (1.0, 0.0)
    left = records.of(np.flatnonzero(np.array(groups) == "poem"))
    with recipe.trained(records.of(np.flatnonzero(np.array(groups) != "poem"))) as selector:
        picks = selector.select_batch(left.embeddings)
    values = left.quality[np.arange(len(picks)), [left.model_names.index(pick) for pick in picks]]
    poem = found["poem"]
    assert poem.gain.value == pytest.approx((values - left.quality[:, left.model_names.index(poem.default)]).mean())


def test_the_command_leaves_out_any_field(files):
    shared = ["evaluate", files / "kernel_ridge.onnx", "--data", files / "data.jsonl", "--leave-out"]
    done = modelpick(*shared, "set")
    assert (done.returncode, done.stderr.count("error")) == (0, 0)
    assert all(name in done.stdout for name in (*SETS, "gain, far=0.99"))
    found = json.loads(modelpick(*shared, "set", "--json", "--far", "1.0").stdout)["kernel_ridge"]
    assert [one["group"] for one in found] == sorted(SETS)
    for field, told in (("category", "two groups or more to leave one out"), ("task", "expected a field 'task' of")):
        done = modelpick(*shared, field)
        assert done.returncode == 2
        assert told in done.stderr


def test_the_command_names_the_option_that_it_cannot_follow(files):
    records = read_records(files / "data.jsonl")
    with pytest.raises(ModelpickError, match=r"^--far: expected it with --leave-out"):
        Unseen(far=0.5).check()
    with pytest.raises(FeatureError, match=r"^--far: expected a number above 0, up to 1, got 2"):
        show_left_out([files / "knn.onnx"], files / "data.jsonl", records, Unseen("set", 2.0), 0, as_json=True)


def test_refuses_what_predicts_nothing(artifacts, files):
    records = read_records(files / "data.jsonl")
    with Selector.load(artifacts[1]) as selector:
        wide = records._replace(embeddings=np.zeros((len(records.queries), selector.n_features_in_)))
    with pytest.raises(ArtifactError, match="expected an artifact that predicts outcomes"):
        recipe_of(artifacts[1], wide)
    with pytest.raises(DocumentError, match="expected questions of two groups or more"):
        leave_out(recipe_of(files / "knn.onnx", records), records, ["math"] * len(records.queries))
