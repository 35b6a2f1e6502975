"""What policies achieve by time, and models that were on offer for a part of it."""

import numpy as np
import pytest

from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.simulation import chances_of, simulated, to_records
from modelpick.converter.evaluation.slices import evaluate_slices
from modelpick.runtime import DocumentError, ModelpickError
from support.command import modelpick
from support.outcomes import with_outcomes
from support.policies import by_name
from support.recorded import encoded
from support.world import NAMES, WORLD

DAY = 86_400.0
N = len(WORLD.complete.queries)
# A hundred questions a day.
DAYS = np.arange(N) // 100


def timed(complete=WORLD.complete, days=DAYS):
    return complete._replace(times=np.repeat(days[:, None] * DAY + np.arange(N)[:, None], 3, axis=1))


def changed(model, by, since=3):
    """Records in which a model's quality changes on a day."""
    quality = WORLD.complete.quality.copy()
    quality[since <= DAYS, NAMES.index(model)] += by
    return timed(with_outcomes(WORLD.complete, quality=quality))


def test_means_of_each_slice_are_those_of_its_questions(of_world):
    found = evaluate_slices([of_world], timed(), by="day")
    assert [one.name for one in found.slices] == [f"1970-01-0{day}" for day in (1, 2, 3, 4)]
    assert (found.slices[1].first, found.slices[1].last) == ("1970-01-02T00:01:40+00:00", "1970-01-02T00:03:19+00:00")
    for day, part in enumerate(found.slices):
        values = {one.policy: one for one in part.results}
        means = WORLD.complete.quality[day == DAYS].mean(axis=0)
        assert [values[name].quality.value for name in NAMES] == pytest.approx(means.tolist())
        assert values["weak"].gain.value == pytest.approx(means[0] - means[1])
        assert part.questions == 100
    halves = evaluate_slices([of_world], timed(), by=2)
    assert [(one.name, one.questions) for one in halves.slices] == [("1 of 2", 200), ("2 of 2", 200)]


def test_says_in_one_sentence_what_surely_changed(of_world):
    kept = evaluate_slices([of_world], timed(), by=4)
    assert kept.sentence() == (
        "4 of 4 compared with before: no gain, and not the quality of the best single model, surely changed"
    )
    log = simulated(changed("strong", -0.5), chances_of(WORLD.complete, "uniform", 0.0))
    for records in (changed("strong", -0.5), log):
        worse = evaluate_slices([of_world], records, by=4)
        assert worse.baseline == "strong"
        (quality,) = [one for one in worse.changes if one.kind == "quality"]
        assert quality.by.low < -0.5 < quality.by.high < 0
        assert "the quality of strong changed by -0." in worse.sentence()


def test_a_model_that_was_added_later_is_judged_on_the_questions_since():
    """Questions are easier since; a model of the same quality as before would look better by that."""
    since = DAYS >= 2
    complete = timed(with_outcomes(WORLD.complete, quality=WORLD.complete.quality + 0.4 * since[:, None]))
    chances = chances_of(complete, "uniform", 0.0)
    chances[~since] = [0.5, 0.5, 0.0]
    truth = by_name(evaluate_policies([], complete.of(np.flatnonzero(since))))
    for given in (True, False):
        log = simulated(complete, chances, 3)
        evaluation = evaluate_policies([WORLD.policy], log if given else log._replace(propensities=None))
        (offer,) = evaluation.offers
        assert str(offer).startswith("other: on offer from 1970-01-03T00:0")
        assert 190 <= offer.questions <= 200
        results = by_name(evaluation)
        assert results["other"].coverage == offer.questions / N
        for name in ("quality", "gain"):
            one = results["other"].estimate(name)
            assert one.low <= truth["other"].estimate(name).value <= one.high
        assert results["weak"].coverage == 1
    # Without times, or in complete records, all models count as on offer.
    assert evaluate_policies([], log._replace(times=None)).offers == []
    assert evaluate_policies([], complete).offers == []


def test_the_command_shows_slices(of_world, tmp_path):
    records = tmp_path / "records.jsonl"
    some = timed().of(np.arange(150, 400))
    log = simulated(some, chances_of(some, "uniform", 0.0))
    records.write_bytes(encoded(*to_records(log, "uniform")))
    done = modelpick("evaluate", of_world, "--data", records, "--slices", "day")
    assert done.returncode == 0, done.stderr
    for words in ("quality by time", "gain over always calling strong, by time", "1970-01-04 compared with before: "):
        assert words in done.stdout
    assert (
        '"changes":[{"policy":"a","kind":"gain"'
        in modelpick("evaluate", of_world, "--data", records, "--slices", "2", "--json").stdout
    )
    done = modelpick("evaluate", of_world, "--data", records, "--slices", "year")
    assert done.error == "slices: expected a number, or one of day, week, month, got 'year'"


def test_a_slice_of_few_answers_has_no_numbers_but_reasons(of_world):
    log = simulated(timed(), chances_of(WORLD.complete, "weak", 0.4))
    found = evaluate_slices([of_world], log, by=4)
    assert found.baseline == "strong"
    for part in found.slices:
        values = {one.policy: one for one in part.results}
        assert values["weak"].quality.value > 0
        assert np.isnan([values["strong"].quality.value, values["weak"].gain.value]).all()
        assert values["weak"].gain.reason.startswith("strong: it rests on ")
    assert found.sentence().startswith("4 of 4 compared with before: no change is known: ")
    single = timed().of(np.arange(3))
    assert [one.questions for one in evaluate_slices([of_world], single, by=50).slices] == [1, 1, 1]


@pytest.mark.parametrize("by", [1, 101, "month", 0])
def test_slices_are_two_to_a_hundred(by, of_world):
    with pytest.raises(DocumentError, match="expected questions with timestamps in 2 to 100 slices, got "):
        evaluate_slices([of_world], timed(), by=by)
    with pytest.raises(DocumentError, match="got 0"):
        evaluate_slices([of_world], WORLD.complete, by=by)
    with pytest.raises(ModelpickError, match="expected a number"):
        evaluate_slices([of_world], timed(), by="never")
