"""What `keep` promises is delivered: trained again and again on fresh questions, whose expected quality is known."""

import msgspec
import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.converter.formats.outcomes import Benchmark, Settings
from modelpick.converter.training.train import train, training_data
from modelpick.runtime import FeatureError, Selector

KEEP, DRAWS = 0.95, 6
COSTS = np.array([1.0, 10.0, 4.0])


def expected(embeddings):
    """Return the expected quality of each model: the dear one is better on half of the questions."""
    hard = 1 / (1 + np.exp(-3 * embeddings[:, 0]))
    return np.stack([0.75 - 0.5 * hard, np.full(len(hard), 0.65), 0.5 - 0.2 * hard], axis=1)


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, 4))
    quality = (rng.random((n, 3)) < expected(embeddings)).astype(np.float64)
    recorded = np.stack([quality, np.tile(COSTS, (n, 1)), np.full((n, 3), np.nan)], axis=1)
    names = [f"q{place}" for place in range(n)]
    return Benchmark(names, ["math"] * n, ["cheap", "dear", "other"], recorded, 0 * quality, embeddings, [], [], names)


def delivered(records):
    """Train, and return the share of the dear model's expected quality that picks keep for fresh questions."""
    document = train(training_data(records, Settings(landmarks=40)), "kernel_ridge")
    fresh = drawn(2_000, 1_000)
    with Selector.load(to_artifact(load_estimator(msgspec.json.encode(document)))) as selector:
        try:
            picks = selector.select_batch(training_data(fresh).features, keep=KEEP)
        except FeatureError:
            return None
    truth = expected(fresh.embeddings)
    models = np.array([fresh.model_names.index(pick) for pick in picks])
    return truth[np.arange(2_000), models].mean() / truth[:, 1].mean()


@pytest.mark.parametrize(("log", "n"), [(None, 200), ("uniform", 400)])
def test_what_is_promised_is_kept(log, n):
    found = []
    for seed in range(DRAWS):
        records = drawn(n, seed)
        if log is not None:
            records = simulated(records, chances_of(records, log, 0.0), seed)
        found.append(delivered(records))
    kept = [share for share in found if share is not None]
    assert len(kept) >= DRAWS / 2  # a promise that is always refused says nothing
    assert sum(share >= KEEP - 0.02 for share in kept) >= 0.8 * len(kept)
