"""The choice between a weak and a strong model."""

import json
from itertools import pairwise

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.recovery import Preference, calibrate, preferences, recover
from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, Objective, Selector
from support.command import modelpick
from support.recorded import encoded, record
from support.world import WORLD

N = 40
BENCHMARK = read_records(
    encoded(
        *(
            record(query=f"q{i}", model_name=name, performance=value)
            for i in range(N)
            for name, value in (("weak", float(i % 4 == 0)), ("strong", float(i % 2 == 0)))
        )
    )
)


def recovered(scores, benchmark=BENCHMARK):
    return recover([Preference("p", np.asarray(scores, dtype=np.float64), None)], benchmark, "weak", "strong")[0]


def reference(scores, gap):
    """Call the strong model above each threshold, query by query: shares of calls, parts of the gap."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        called = [i for i, score in enumerate(scores) if score >= threshold]
        points.append((len(called) / len(scores), sum(gap[i] for i in called) / sum(gap)))
    return points


def area(points):
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))


def noisy(n=300, seed=0):
    """Records on which the strong model is mostly better, and scores that tell a little of where."""
    rng = np.random.default_rng(seed)
    weak, strong = (rng.random(n) < 0.5).astype(float), (rng.random(n) < 0.7).astype(float)
    lines = [
        record(query=f"q{i}", model_name=name, performance=value)
        for i in range(n)
        for name, value in (("weak", weak[i]), ("strong", strong[i]))
    ]
    gap = strong - weak
    return read_records(encoded(*lines)), gap, np.round(gap + 2 * rng.normal(size=n), 1)


def test_a_log_tells_about_what_complete_records_say():
    """Answers are estimated: no question of a log has answers of both models."""
    pair = ("weak", "strong")
    easy_to_weak = np.where(WORLD.complete.embeddings[:, :1] > 0, 1.0, -1.0).ravel()
    preferred = [Preference("p", easy_to_weak + 0.1 * WORLD.complete.embeddings[:, 1], None)]
    (truth,) = recover(preferred, WORLD.complete, *pair)
    assert truth.apgr.low > 0.6
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.5), 1)
    (found,) = recover(preferred, log, *pair)
    for mine, true in ((found.apgr, truth.apgr), (found.call_shares["50%"], truth.call_shares["50%"])):
        assert mine.low <= true.value <= mine.high
        assert mine.high - mine.low > true.high - true.low
    few = simulated(WORLD.complete, chances_of(WORLD.complete, "strong", 0.05), 1)
    (dashed,) = recover(preferred, few, *pair)
    assert np.isnan(dashed.apgr.value)
    assert "more in the log would do" in dashed.apgr.reason


def test_whoever_calls_the_strong_only_where_it_helps_recovers_all():
    found = recovered(np.arange(N) % 4 == 2)
    assert found.apgr.value == pytest.approx(1 - 0.25 / 2)  # from (0, 0) by (1/4, 1) to (1, 1)
    assert found.call_shares["50%"].value == pytest.approx(0.125)
    assert found.call_shares["80%"].value == pytest.approx(0.2)
    assert found.call_shares["50%"].low < 0.125 < found.call_shares["50%"].high
    assert recovered(np.zeros(N)).apgr.value == pytest.approx(0.5)


def test_every_threshold_counts_and_nothing_is_mixed():
    """The swapped router recovers as much less than half as the other recovers more."""
    benchmark, gap, scores = noisy()
    points = reference(scores, gap)
    found, swapped = recovered(scores, benchmark), recovered(-scores, benchmark)
    assert found.apgr.value == pytest.approx(area(points))
    assert found.apgr.value > 0.55
    assert swapped.apgr.value == pytest.approx(1 - found.apgr.value)
    assert swapped.apgr.high < 0.5
    for part in (0.5, 0.8):
        place = next(i for i, (_, y) in enumerate(points) if y >= part)
        (x0, y0), (x1, y1) = points[place - 1 : place + 1]
        assert found.call_shares[f"{part:.0%}"].value == pytest.approx(x0 + (x1 - x0) * (part - y0) / (y1 - y0))


def test_ten_quantiles_give_what_routellm_prints():
    """Its `pandas.qcut` of the win rates into ten, at or above each edge but the last, and nothing."""
    benchmark, gap, scores = noisy(seed=3)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, 11)))
    calls = [scores >= edge for edge in edges[:-1]] + [scores > edges[-1]]
    points = sorted((called.mean(), gap[called].sum() / gap.sum()) for called in calls)
    assert recovered(scores, benchmark).apgr_of_bins.value == pytest.approx(area(points))


def test_a_gap_that_may_be_none_has_no_parts():
    rng = np.random.default_rng(1)
    lines = [
        record(query=f"q{i}", model_name=name, performance=float(rng.random() + shift))
        for i in range(30)
        for name, shift in (("weak", 0.0), ("strong", 0.01))
    ]
    benchmark = read_records(encoded(*lines))
    pair = [benchmark.model_names[place] for place in benchmark.quality.mean(axis=0).argsort()]
    (found,) = recover([Preference("p", rng.random(30), None)], benchmark, *pair)
    assert np.isnan(found.apgr.value)
    assert found.apgr.reason == f"{pair[1]} is not surely better than {pair[0]}"


@pytest.mark.parametrize("priced", [True, False])
@pytest.mark.parametrize("wanted", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_objective_sends_the_share_that_is_asked_for(wanted, priced, tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for i, embedding in enumerate(rng.normal(size=(200, 6))):
        for name, value, cost in (("weak", 0.5, 1.0), ("strong", 0.8 - 0.3 * (embedding[0] > 0), 10.0 + embedding[1])):
            fields = {"performance": value + 0.1 * rng.random(), "embedding": embedding.tolist()}
            lines.append(record(query=f"q{i}", model_name=name, **fields, **({"cost": cost} if priced else {})))
    benchmark = read_records(encoded(*lines))
    document = train(training_data(benchmark, Settings(ridge=0.1)), trainer("kernel_ridge"))
    convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=0)
    (one,) = preferences([tmp_path / "a.onnx"], benchmark, "weak", "strong")
    found = calibrate(one.outcomes, "weak", "strong", wanted)
    costs = {"costs": found.costs} if found.costs else {}
    with Selector.load(tmp_path / "a.onnx", objective=Objective(cost_weight=found.cost_weight), **costs) as selector:
        picks = selector.select_batch(training_data(benchmark).features, candidates=["weak", "strong"])
    share = picks.count("strong") / len(picks)
    assert found.calls.mean() == pytest.approx(share, abs=0.005)
    most = (one.outcomes[:, 0] > 0).mean() if priced else 1.0  # no weight of cost favours the dear model
    assert share == pytest.approx(min(wanted, most), abs=0.01)


def test_the_command_measures_and_calibrates(tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        record(query=f"q{i}", model_name=name, performance=value, embedding=embedding, cost=cost)
        for i, embedding in enumerate(rng.normal(size=(60, 6)).tolist())
        for name, value, cost in (("weak", 0.5, 1.0), ("strong", 0.9 - 0.4 * (embedding[0] > 0), 9.0))
    ]
    (tmp_path / "data.jsonl").write_bytes(encoded(*lines))
    document = train(training_data(read_records(encoded(*lines)), Settings(ridge=0.1)), trainer("kernel_ridge"))
    convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=0)
    asked = ["evaluate", tmp_path / "a.onnx", "--data", tmp_path / "data.jsonl"]
    pair = ["--pair", "weak", "strong", "--strong-share", "0.3"]
    done = modelpick(*asked, *pair)
    assert "of 10 quantiles" in done.stdout
    assert "sends 30.0 % of the calls to the strong model, and recovers " in done.stdout
    (found,) = json.loads(modelpick(*asked, *pair, "--json").stdout)["recoveries"]
    assert found["calibration"]["share"] == pytest.approx(0.3)
    assert found["apgr"]["value"] > 0.7
    done = modelpick(*asked, "--strong-share", "0.3")
    assert (done.returncode, "expected --pair" in done.stderr) == (2, True)
    document = train(training_data(read_records(encoded(*lines))), trainer("mlp"))
    convert(json.dumps(document).encode(), tmp_path / "b.onnx", samples=0)
    done = modelpick("evaluate", tmp_path / "b.onnx", *asked[2:], *pair)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: b: expected an artifact that predicts quality")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("strong", "weak"), "expected records on which weak is better than strong"),
        (("weak", "other"), "expected some of weak, strong, got other"),
    ],
)
def test_refuses_pairs_without_a_gap(pair, message):
    with pytest.raises(DocumentError, match=message):
        recover([], BENCHMARK, *pair)
