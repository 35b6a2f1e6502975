"""What rows learn from: the answers of a log, prepared for those that do not weigh them by themselves."""

import numpy as np
import pytest

from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.converter.training.crossvalidation import learnable
from modelpick.converter.training.train import trainer, training_data
from support.world import WORLD


@pytest.mark.parametrize("row", [trainer("knn", semantics="queries"), trainer("hiershrink")], ids=["knn", "hiershrink"])
def test_means_of_a_log_stand_for_all_questions_not_for_those_a_model_was_given(row):
    """Hard questions went to the strong model: its recorded mean is far below the truth."""
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4), 2)
    training, strong = training_data(log), log.model_names.index("strong")
    learned = learnable(training, row).benchmark
    truth, told, recorded = (np.nanmean(one.quality[:, strong]) for one in (WORLD.complete, learned, log))
    assert recorded < truth - 0.1
    assert abs(told - truth) < 0.05
    assert (np.isnan(learned.quality) == np.isnan(log.quality)).all()
    assert np.array_equal(learned.recorded[:, 1:], log.recorded[:, 1:], equal_nan=True)
    bare = training._replace(benchmark=log._replace(propensities=None))
    assert np.array_equal(learnable(bare, row).benchmark.quality, log.quality, equal_nan=True)
