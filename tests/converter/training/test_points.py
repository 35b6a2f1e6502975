"""Operating points: what picking by an objective keeps of quality, and saves."""

import json

import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from modelpick.runtime import Objective, Selector
from support.recorded import encoded, record, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


ROWS = {f"{rules.algorithm} {rules.semantics}": rules for rules in TABLE.values() if rules.fit}


@pytest.mark.parametrize("name", ["kernel_ridge native/2", "knn queries/3"])
def test_operating_points_tell_what_is_kept_for_less_money(name):
    rules = ROWS[name]
    training = training_data(read_records(routed()), Settings(k=10, ridge=0.1))
    estimator = load_estimator(json.dumps(train(training, rules)).encode(), semantics=rules.semantics)
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.default == "dear"
        costs = [point.cost.mean for point in selector.points]
        assert costs == sorted(costs, reverse=True)
        assert all(point.kept.low < point.promised < point.kept.mean for point in selector.points)
        assert all(sum(point.shares.values()) == pytest.approx(1) for point in selector.points)
        fresh = training_data(read_records(routed(seed=1))).features
        plain, cheap = selector.select_batch(fresh), selector.select_batch(fresh, keep=0.95)
        assert plain.count("cheap") <= cheap.count("cheap") > 40
        assert selector.select_batch(fresh, objective=Objective(cost_weight=1e6)) == ["cheap"] * len(fresh)
        assert selector.select_batch(fresh, costs={"cheap": 99.0}, objective=Objective(0.1)).count("cheap") == 0
        point = min((p for p in selector.points if p.promised >= 0.95), key=lambda p: p.cost.mean)
        assert cheap == selector.select_batch(fresh, objective=point.objective)
        assert [selector.select(row, keep=0.95) for row in fresh[:40]] == cheap[:40]


@pytest.mark.parametrize("worth", [0.0, -1.0])
def test_all_is_kept_of_a_quality_that_is_not_above_zero(worth):
    lines = [json.loads(line) for line in routed(40).splitlines()]
    lines = [line | {"performance": worth - (line["model_name"] == "bad")} for line in lines]
    training = training_data(read_records(encoded(*lines)))
    points = train(training, ROWS["kernel_ridge native/2"])["operating_points"]
    assert points["best_single"]["quality"] == worth
    (point,) = points["points"]  # none is better, and none as cheap
    assert (point["kept"], point["cost"][0]) == ([1.0, 1.0, 1.0], 1.0)


def test_there_are_no_points_where_no_pick_has_an_outcome():
    records = encoded(
        *(
            record(query=query, model_name=model, performance=float(worth), embedding=[float(query)])
            for query, models in (("0", "ab"), ("1", "cd"))
            for worth, model in enumerate(models)
        )
    )
    document = train(training_data(read_records(records)), ROWS["kernel_ridge native/2"])
    assert "operating_points" not in document
    assert load_estimator(json.dumps(document).encode()).operating_points_ is None
