"""Settings, tried by cross-validation."""

import numpy as np
import pytest

from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import trainer, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import Objective
from support.recorded import encoded, record, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


ROWS = {f"{rules.algorithm} {rules.semantics}": rules for rules in TABLE.values() if rules.fit}


def test_tuning_tries_what_each_algorithm_has():
    tuned = {"knn": {"k"}, "kmeans": {"clusters"}, "svm": {"C", "gamma"}, "mlp": {"hidden"}}
    tuned |= {"kernel_ridge": {"gamma", "ridge"}, "hiershrink": set()}
    for rules in ROWS.values():
        grid = rules.grid(Settings())
        varied = {name for name in Settings._fields if len({getattr(one, name) for one in grid}) > 1}
        assert varied == tuned[rules.algorithm] | ({"evidence"} if rules.semantics == "queries/3" else set())


def test_tuning_sees_no_query_on_both_sides():
    """Outcomes depend on the query alone: whoever knew the held-out ones would always be right."""
    rng = np.random.default_rng(0)
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(model == best), embedding=[float(i)])
            for i, best in enumerate(rng.choice(["a", "b"], 200))
            for model in "ab"
        )
    )
    for semantics in ("native", "queries"):
        for tried in tune(training_data(read_records(data)), trainer("knn", semantics=semantics)):
            assert 0.3 < tried.quality < 0.7


@pytest.mark.parametrize("landmarks", [30, 1000])
def test_settings_that_share_a_kernel_pick_as_each_does_alone(landmarks):
    training = training_data(read_records(routed(60)), Settings(landmarks=landmarks))
    learned, held_out = training.of(np.arange(40)), training.features[40:]
    rules = ROWS["kernel_ridge native/2"]
    grid = rules.grid(training.settings)
    together = {trial.settings: trial.pick for trial in rules.trials(learned, held_out, grid)}
    assert set(together) == set(grid)
    for settings in grid:
        (alone,) = rules.trials(learned, held_out, [settings])
        for objective in (Objective(), Objective(cost_weight=0.05)):
            assert together[settings](objective).tolist() == alone.pick(objective).tolist()
