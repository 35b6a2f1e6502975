"""Training on logs, of which each question has the answer of one model."""

import json

import numpy as np
import pytest

from modelpick.converter import load_estimator
from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.converter.formats.decoding import DocumentWarning
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.auto import choose
from modelpick.converter.training.crossvalidation import best_single
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.training.tune import best_settings, tune
from support.world import WORLD

HARD = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4), 2)
STRONG = WORLD.complete.model_names.index("strong")
HARD_QUESTIONS = WORLD.complete.embeddings[:, 0] > 0
RIDGE = trainer("kernel_ridge")


def predicted(row, training):
    return row.fit(training).predict_outcomes(training.features)[:, 0]


def test_hard_questions_of_the_strong_model_do_not_make_it_seem_bad():
    """By plain means of the log it is not the best; its predictions are those for all questions."""
    truth = WORLD.complete.quality.mean(axis=0)
    assert truth.argmax() == STRONG != np.nanmean(HARD.quality, axis=0).argmax()
    found = predicted(RIDGE, training_data(HARD))
    assert found.mean(axis=0) == pytest.approx(truth, abs=0.07)
    assert (found[HARD_QUESTIONS].mean(axis=0) - found[~HARD_QUESTIONS].mean(axis=0))[0] < -0.2  # as weak truly is


def test_scores_of_clusters_are_those_of_all_questions():
    """Up to the same speed of all, scores are qualities: by the log's own means, the weak model's is the highest."""
    document = train(training_data(HARD, Settings(clusters=2)), "kmeans")
    scores = dict(zip(document["model_names"], document["fallback"]["global_scores"], strict=True))
    assert max(scores, key=scores.get) == "strong"


def test_what_cannot_be_learned_is_said_and_drawn_to_the_mean():
    few = HARD._replace(recorded=HARD.recorded.copy())
    given = np.flatnonzero(~np.isnan(few.quality[:, STRONG]))
    few.recorded[given[3:], :, STRONG] = np.nan
    few = few.of(np.flatnonzero(~np.isnan(few.quality).all(axis=1)))
    with pytest.warns(DocumentWarning, match="^3 answers of strong: its predictions are nearly the mean of all"):
        training = training_data(few)
    others = np.delete(predicted(RIDGE, training), STRONG, axis=1)
    assert others.min() - 0.1 < predicted(RIDGE, training)[:, STRONG].mean() < others.max() + 0.1


def test_tuning_on_a_log_chooses_settings_that_pick_well():
    training = training_data(HARD, Settings(landmarks=40))
    found = tune(training, RIDGE)
    assert len(found) == len(RIDGE.grid(training.settings))
    chosen = training._replace(settings=best_settings(found))
    picks = RIDGE.fit(chosen).predict(training.features)
    right = np.array([picks == name for name in WORLD.complete.model_names]).T
    singles = WORLD.complete.quality.mean(axis=0)
    assert WORLD.complete.quality[right].mean() > singles.max() - 0.02


def test_auto_on_a_log_compares_with_the_best_single_model_by_its_estimates(monkeypatch):
    monkeypatch.setattr("modelpick.converter.training.auto.TRAINED", ("hiershrink",))
    choice = choose(training_data(HARD), allow_constant=True)
    assert choice.best_single == "strong"
    assert not choice.pays
    assert train(choice.training, choice.row)["cluster_models"] == ["strong"]


def test_the_best_single_model_is_one_that_the_log_knows():
    """Of a model with few answers, a mean that seems better may be chance."""
    known, seldom = np.zeros((2_000, 1)), np.full((2_000, 1), 0.02)
    known[:1_200] = 1.0
    seldom[:40:2], seldom[1:40:2] = 10.0, 50.0  # as estimates are: large where the log holds an answer
    assert best_single(np.hstack([known, seldom])) == 1
    assert best_single(np.hstack([known, seldom]), 0.84) == 0


@pytest.mark.parametrize("algorithm", ["svm", "mlp"])
def test_what_learns_the_best_model_learns_it_from_estimates(algorithm):
    """Of one answer a question, none is the best: the label of all questions would be the first model."""
    training = training_data(HARD, Settings(hidden=(8,)))
    document = json.dumps(train(training, algorithm)).encode()
    picks = load_estimator(document).predict(training.features)
    right = np.array([picks == name for name in WORLD.complete.model_names]).T
    assert WORLD.complete.quality[right].mean() > WORLD.complete.quality[:, 0].mean() + 0.1
