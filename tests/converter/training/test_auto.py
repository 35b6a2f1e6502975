"""The best algorithm for the records, or the constant choice."""

import sys

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from modelpick.converter.training.tune import compare
from modelpick.runtime import DocumentError, Objective, Selector
from support.recorded import DATA, encoded, record, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


ROWS = {f"{rules.algorithm} {rules.semantics}": rules for rules in TABLE.values() if rules.fit}


@pytest.fixture
def auto(tmp_path, monkeypatch, capsys):
    """Let auto choose of two algorithms: what it printed, and the selector that it wrote."""
    command = sys.modules["modelpick.converter.cli.train"]
    monkeypatch.setattr("modelpick.converter.training.auto.TRAINED", ("kmeans", "kernel_ridge"))  # all take a minute

    def run(records, **options):
        (tmp_path / "records.jsonl").write_bytes(records)
        out = command.Output(tmp_path / "out", is_file=False)
        command.train(tmp_path / "records.jsonl", out, [command.Algorithm.auto], **options)
        (written,) = (tmp_path / "out").iterdir()
        return capsys.readouterr().out, Selector.load(to_artifact(load_estimator(written.read_bytes())))

    return run


def test_auto_writes_the_best_and_says_that_it_is_surely_better(auto):
    printed, selector = auto(routed(60, dear=0.6))
    with selector:
        assert "is surely better than always calling the best single model, dear" in printed
        assert set(selector.select_batch(training_data(read_records(routed(60))).features)) == {"cheap", "dear"}


def noise(costs):
    """Records whose outcomes have nothing to do with the embedding."""
    rng = np.random.default_rng(0)
    return encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=rng.random() * worth, cost=cost, embedding=[float(i)])
            for i in range(30)
            for (model, worth), cost in zip((("a", 1.0), ("b", 0.2)), costs, strict=True)
        )
    )


@pytest.mark.parametrize(("weight", "best"), [(0.0, "a"), (1.0, "b")])
def test_auto_writes_the_constant_choice_where_it_is_told_to(auto, weight, best):
    """It is the best by the weights."""
    printed, selector = auto(noise((3.0, 0.1)), allow_constant=True, cost_weight=weight)
    with selector:
        assert f"none is surely better than always calling the best single model, {best}, which is written" in printed
        assert set(selector.select_batch([[float(i), *[0.0] * 14] for i in range(-3, 40)])) == {best}


def test_auto_writes_the_best_where_none_is_surely_better(auto):
    printed, selector = auto(noise((1.0, 1.0)))
    selector.close()
    assert "none is surely better than always calling the best single model, a; --allow-constant" in printed


def test_algorithms_are_compared_by_the_utility_of_the_weights():
    """By quality dear is the best single model, for its money cheap is, and it is worth leaving now and then."""
    training = training_data(read_records(routed(60)), Settings(objective=Objective(cost_weight=0.05)))
    (compared,) = compare(training, [ROWS["kernel_ridge native/2"]])
    benchmark = training.benchmark
    assert benchmark.model_names[:2] == ["cheap", "dear"]
    utility = benchmark.quality - 0.05 * benchmark.cost
    assert utility.mean(axis=0).argmax() == 0
    assert compared.utility == pytest.approx(compared.over_single.value + utility[:, 0].mean())
    assert 0 < compared.over_single.low < compared.over_single.value < 0.15
    assert compared.utility < compared.quality - 0.05
    with pytest.raises(DocumentError, match="expected records with the cost"):
        compare(
            training_data(read_records(DATA), Settings(objective=Objective(cost_weight=1.0))),
            [ROWS["kernel_ridge native/2"]],
        )
