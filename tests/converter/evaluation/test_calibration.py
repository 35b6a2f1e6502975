"""Predicted quality beside recorded quality, held against plain numpy."""

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.calibration import BINS, calibration, calibrations, reliability
from modelpick.converter.evaluation.estimation import estimated
from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.runtime import ArtifactError, Selector
from support.policies import BENCHMARK
from support.recorded import ROOT
from support.world import WORLD

RNG = np.random.default_rng(2)


def drawn(n=300, models=4):
    """Predictions, and answers that are good with the predicted probability."""
    predicted = RNG.uniform(0.05, 0.95, (n, models))
    return predicted, (RNG.random((n, models)) < predicted).astype(float)


def test_errors_are_those_of_bins_of_as_many_answers():
    predicted, recorded = drawn()
    recorded[RNG.random(recorded.shape) < 0.2] = np.nan
    found = reliability("all", predicted, recorded)
    pairs = sorted((p, r) for p, r in zip(predicted.ravel(), recorded.ravel(), strict=True) if not np.isnan(r))
    parts = np.array_split(np.array(pairs), BINS)
    assert found.answers == len(pairs)
    assert sum(part.answers for part in found.bins) == len(pairs)
    assert max(abs(part.answers - len(pairs) / BINS) for part in found.bins) <= 1
    assert found.brier.value == pytest.approx(np.mean([(p - r) ** 2 for p, r in pairs]))
    assert found.excess.value == pytest.approx(np.mean([p - r for p, r in pairs]))
    gaps = [len(part) * abs(part[:, 0].mean() - part[:, 1].mean()) for part in parts]
    assert found.error == pytest.approx(sum(gaps) / len(pairs), abs=0.01)  # an answer may stand in the next bin
    assert [part.predicted for part in found.bins] == pytest.approx([part[:, 0].mean() for part in parts], abs=0.01)


def test_calibrated_predictions_err_as_chance_does_and_others_by_more():
    predicted, recorded = drawn(2_000)
    right, high = reliability("all", predicted, recorded), reliability("all", predicted + 0.1, recorded)
    assert right.error < 2 * right.by_chance
    assert right.excess.low < 0 < right.excess.high
    assert all(part.recorded.low - 0.03 < part.predicted < part.recorded.high + 0.03 for part in right.bins)
    assert high.error == pytest.approx(0.1, abs=0.02)
    assert high.error > 4 * high.by_chance
    assert 0 < high.excess.low < 0.1 < high.excess.high


def test_the_highest_of_uncertain_predictions_is_too_high():
    truth = RNG.uniform(0.3, 0.7, (500, 4))
    found = calibration("p", truth + RNG.normal(0, 0.1, truth.shape), truth, ["math"] * 250 + ["law"] * 250)
    assert abs(found.all.excess.value) < 0.02
    assert found.highest.excess.low > 0.02
    assert (found.highest.answers, [part.of for part in found.categories]) == (500, ["law", "math"])


def test_equal_predictions_share_a_bin_and_nothing_has_no_number():
    (only,) = reliability("all", np.full((6, 1), 0.5), np.array([[1.0, 0, 1, 0, 1, 0]]).T).bins
    assert (only.answers, only.predicted, only.recorded.value) == (6, 0.5, 0.5)
    nothing = reliability("all", np.full((3, 2), np.nan), np.ones((3, 2)))
    assert (nothing.answers, nothing.bins) == (0, [])
    assert np.isnan([nothing.error, nothing.by_chance, nothing.brier.value, nothing.excess.value]).all()
    assert nothing.brier.reason == "no answer of its models is recorded"


def test_artifacts_that_predict_quality_have_one(artifacts, tmp_path):
    convert(ROOT / "models/knn.json", tmp_path / "queries.onnx", semantics="queries", samples=0)
    (found,) = calibrations({"knn": artifacts[0], "queries": tmp_path / "queries.onnx"}, BENCHMARK)
    with Selector.load(tmp_path / "queries.onnx") as selector:
        features = selector.features.build_batch(BENCHMARK.embeddings, BENCHMARK.categories)
        why = [selector.explain(row)["outcomes"] for row in features]
        with (
            pytest.raises(ArtifactError, match="expected an artifact that predicts outcomes"),
            Selector.load(artifacts[0]) as knn,
        ):
            knn.predict_outcomes(features)
        assert selector.predict_outcomes(np.empty((0, selector.n_features_in_))).shape == (
            0,
            3,
            len(selector.model_names),
        )
    predicted = np.array([[outcomes[name]["quality"] for name in BENCHMARK.model_names] for outcomes in why])
    known = ~np.isnan(BENCHMARK.quality)
    assert (found.name, found.all.answers) == ("queries", known.sum())
    assert found.all.excess.value == pytest.approx((predicted - BENCHMARK.quality)[known].mean())
    assert {part.of for part in found.categories} == set(BENCHMARK.categories)


def test_answers_of_a_log_stand_for_those_that_were_not_asked():
    """Hard questions went to the strong model: by its answers alone, right predictions seem far too high."""
    quality = WORLD.complete.quality
    predicted = np.tile(quality.mean(axis=0), (len(quality), 1))
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.2), 1)
    answers, categories = log.quality, log.categories
    strong = np.arange(3) == 1
    mine = np.where(strong, predicted, np.nan)
    alone = calibration("p", mine, answers, categories).all
    weighed = calibration("p", mine, answers, categories, weights=estimated(log).weights).all
    assert alone.excess.low > 0.05
    assert weighed.excess.low < 0 < weighed.excess.high
    assert alone.answers == weighed.answers == np.isfinite(answers[:, 1]).sum()
