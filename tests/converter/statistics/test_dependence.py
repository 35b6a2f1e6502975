"""Whether a log's choice depends on its questions: the level is held, and dependence is found."""

import numpy as np
import pytest

from modelpick.converter.statistics.dependence import MISTAKEN, MOST_QUESTIONS, depends


def questions(rng, count):
    """Return embeddings of three topics, and the topics."""
    topic = rng.integers(3, size=count)
    return np.eye(3)[topic] + 0.3 * rng.normal(size=(count, 3)), topic


def dealt(rng, shares, count):
    return np.eye(len(shares))[rng.choice(len(shares), size=count, p=shares)]


@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.95, 0.04, 0.01)], ids=["even", "seldom"])
def test_a_blind_choice_is_mistaken_as_seldom_as_promised(shares):
    found, draws = 0, 200
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        embeddings, _ = questions(rng, 60)
        found += depends(dealt(rng, shares, 60), (embeddings, embeddings[:, :1]), seed)
    assert found <= MISTAKEN * draws + 3 * np.sqrt(MISTAKEN * draws)
    assert found > 0  # a test that never speaks holds any level


@pytest.mark.parametrize("count", [200, MOST_QUESTIONS + 1])
def test_a_choice_by_topic_is_found(count):
    rng = np.random.default_rng(0)
    embeddings, topic = questions(rng, count)
    picked = np.where(rng.random(count)[:, None] < 0.5, np.eye(3)[topic], dealt(rng, (0.4, 0.3, 0.3), count))
    assert depends(picked, (embeddings,))
    assert not depends(picked[rng.permutation(count)], (embeddings,))


def test_one_of_two_views_shows_it():
    rng = np.random.default_rng(0)
    embeddings, topic = questions(rng, 200)
    noise = rng.normal(size=(200, 3))
    assert depends(np.eye(3)[topic], (noise, embeddings))
    assert not depends(np.eye(3)[topic], (noise, rng.normal(size=(200, 1))))


def test_a_model_that_came_when_the_questions_changed_is_no_dependence():
    rng = np.random.default_rng(0)
    embeddings, _ = questions(rng, 400)
    embeddings[200:] += 2.0
    picked = np.concatenate([dealt(rng, (0.5, 0.5, 0.0), 200), dealt(rng, (0.2, 0.2, 0.6), 200)])
    assert depends(picked, (embeddings,))
    picked[:200, 2] = np.nan  # it was not on offer
    assert not depends(picked, (embeddings,))


def test_questions_that_are_all_alike_show_nothing():
    assert not depends(dealt(np.random.default_rng(0), (0.5, 0.5), 50), (np.ones((50, 1)),))
