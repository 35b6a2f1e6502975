"""When models of a log were on offer."""

import numpy as np
import pytest

from modelpick.converter.evaluation.simulation import simulated
from modelpick.converter.statistics.offers import offered, periods
from support.world import WORLD

N = len(WORLD.complete.queries)


def log(chances, timed=True, seed=0):
    """A log of one question a second, of models with these chances at each question."""
    complete = WORLD.complete._replace(times=np.repeat(np.arange(N)[:, None], 3, axis=1) * 1.0 if timed else None)
    return simulated(complete, np.asarray(chances), seed)


@pytest.mark.parametrize(("first", "last"), [(150, N), (0, 250), (100, 300)])
def test_a_model_is_on_offer_from_its_first_answer_to_its_last(first, last):
    on = (np.arange(N) >= first) & (np.arange(N) < last)
    records = log(np.where(on[:, None], [0.4, 0.3, 0.3], [0.5, 0.5, 0.0]))
    answers = np.flatnonzero(~np.isnan(records.quality[:, 2]))
    begin, end = (answers[0] if first else 0), (answers[-1] + 1 if last < N else N)
    assert np.flatnonzero(offered(records)[:, 2]).tolist() == list(range(begin, end))
    assert offered(records)[:, :2].all()
    (period,) = periods(records)
    assert (period.model, period.questions, period.of) == ("other", end - begin, N)
    assert periods(log(np.tile([0.4, 0.3, 0.3], (N, 1)), timed=False)) == []


def test_models_that_are_rarely_drawn_count_as_on_offer_before_their_first_answer():
    """Of a hundred logs, in none is a model taken for one that was added later, or retired."""
    for seed in range(100):
        for share in (0.3, 0.02):
            assert offered(log(np.tile([0.9 - share, 0.1, share], (N, 1)), seed=seed)).all()
