"""Settings, tried by cross-validation."""

from dataclasses import replace

import numpy as np
import pytest

from modelpick.converter.algorithms import TABLE
from modelpick.converter.algorithms.row import Trial
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.crossvalidation import difference_errors
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import trainer, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import COST, QUALITY
from support.outcomes import with_outcomes
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


def test_the_setting_taken_predicts_differences_best_among_those_whose_score_may_be_the_highest():
    """Three of four models are equal, so that the score is noisy and many settings are near the highest."""
    rng = np.random.default_rng(8)
    records = []
    for i, x in enumerate(rng.normal(size=(120, 3))):
        for place, model in enumerate("abcd"):
            quality = float(rng.random() < 0.5 + 0.3 * (place == 0) * np.sign(x[0]))
            records.append(record(query=f"q{i}", model_name=model, performance=quality, embedding=x.tolist()))
    training = training_data(read_records(encoded(*records)), one_hot=False)
    for semantics, name in (("native", "kernel_ridge"), ("queries", "knn")):
        tried = tune(training, trainer(name, semantics=semantics))
        (taken,) = (one for one in tried if one.is_best)
        highest = max(tried, key=lambda one: one.score)
        assert taken.error < highest.error
        assert highest.score - 0.1 < taken.score < highest.score


def test_a_setting_that_surely_loses_is_not_taken_however_well_it_predicts():
    """Questions differ far more than settings do, which must not hide a small loss on every question."""
    rng = np.random.default_rng(0)
    records = [
        record(query=f"q{i}", model_name=model, performance=quality - lost, embedding=[quality])
        for i, quality in enumerate(rng.uniform(0.1, 1.0, 100))
        for model, lost in (("a", 0.0), ("b", 0.02))
    ]

    def trials(training, held_out, grid):
        for settings in grid:
            loses, predicted = settings.ridge == 2.0, np.zeros((len(held_out), 3, 2))
            predicted[:, QUALITY] = [0.02 * (loses or settings.landmarks is not None), 0.0]
            yield Trial(settings, lambda objective, picked=int(loses): np.full(len(held_out), picked), predicted)

    row = replace(
        trainer("kernel_ridge"),
        grid=lambda settings: [settings._replace(ridge=ridge) for ridge in (1.0, 2.0)],
        costlier=lambda best, training: [best._replace(landmarks=len(training.features))],
        shared_trials=trials,
    )
    training = training_data(read_records(encoded(*records)), one_hot=False)
    first, second = tune(training, replace(row, costlier=None))
    assert second.error < first.error
    assert (first.is_best, second.is_best) == (True, False)
    done = []
    *_, costlier = tune(training, row, lambda trial, trials: done.append((trial, trials)))
    assert done == [*((trial, 10) for trial in range(1, 11)), *((trial, 15) for trial in range(11, 16))]
    assert costlier.is_best
    assert costlier.settings == Settings(ridge=1.0, landmarks=100)


def test_tuning_tries_all_questions_as_landmarks_of_few_complete_records_where_the_user_gave_no_number():
    few, tried = training_data(read_records(routed(20))), TABLE["kernel_ridge", "native/2"].costlier
    quality = np.where(np.arange(few.benchmark.quality.shape[1]) == 0, few.benchmark.quality, np.nan)
    log = few._replace(benchmark=with_outcomes(few.benchmark, quality=quality))
    assert log.benchmark.is_sparse

    def of(training, queries):
        return training._replace(features=np.zeros((queries, 2)))

    assert tried(Settings(ridge=2.0), of(few, 6_000)) == [Settings(ridge=2.0, landmarks=6_000)]
    assert tried(Settings(), of(few, 1_000)) == tried(Settings(), of(few, 6_001)) == []
    assert tried(Settings(landmarks=1_000), of(few, 6_000)) == tried(Settings(), of(log, 6_000)) == []


@pytest.mark.parametrize("objective", [Objective(), Objective(cost_weight=3.0)])
def test_errors_of_differences_leave_out_what_all_models_share(objective):
    rng = np.random.default_rng(0)
    outcomes, predicted = rng.random((2, 6, 3, 4))
    outcomes[0, 0, 1], outcomes[1, COST, :3] = np.nan, np.nan
    predicted[2] += 7.0  # a question that is easy for every model
    found = difference_errors(predicted, outcomes, objective)
    for query, error in enumerate(found):
        wrong = np.array([1.0, -objective.cost_weight]) @ (predicted - outcomes)[query, [QUALITY, COST]]
        if not objective.cost_weight:
            wrong = (predicted - outcomes)[query, QUALITY]
        known = wrong[~np.isnan(wrong)]
        expected = np.mean((known - known.mean()) ** 2) if len(known) > 1 else np.nan
        assert error == pytest.approx(expected, nan_ok=True)
