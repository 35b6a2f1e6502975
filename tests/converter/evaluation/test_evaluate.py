"""Evaluation on benchmark records, through the command and through Python."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import reference
from recorded import DATA, ROOT

from modelpick.converter import convert
from modelpick.converter.evaluation import bootstrap
from modelpick.converter.evaluation.evaluate import evaluate, plot
from modelpick.converter.training.records import read_benchmark
from modelpick.converter.training.train import training_data
from modelpick.runtime import DocumentError, FeatureError, ModelpickError, Selector

LINES = DATA.read_bytes().splitlines(keepends=True)
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def modelpick(*arguments):
    command = [sys.executable, "-m", "modelpick.converter", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("knn", "kmeans"):
        convert(ROOT / f"models/{name}.json", folder / f"{name}.onnx", samples=0)
    return folder


def test_evaluates(artifacts, tmp_path):
    benchmark = read_benchmark(DATA)
    paths = [artifacts / "knn.onnx", artifacts / "kmeans.onnx"]
    evaluation = evaluate(paths, benchmark)
    assert (evaluation.queries, evaluation.left_out) == (56, 0)
    strategies = {strategy.name: strategy for strategy in evaluation.strategies}
    assert list(strategies) == ["oracle", "knn", "kmeans", *benchmark.model_names, "random"]
    training = training_data(benchmark)
    document = json.loads((ROOT / "models/kmeans.json").read_text())
    picked = [benchmark.model_names.index(name) for name in reference.select(document, training.features)]
    got, n = benchmark.quality[range(56), picked], 56
    kmeans, best = strategies["kmeans"], benchmark.quality.max(axis=1)
    assert kmeans.quality == pytest.approx(got.mean())
    assert kmeans.seconds == pytest.approx(benchmark.seconds[range(n), picked].mean())
    assert kmeans.best_share == pytest.approx((got == best).mean())
    chance, single = benchmark.quality.mean(), benchmark.quality.mean(axis=0).max()
    assert kmeans.gap_from_random == pytest.approx((got.mean() - chance) / (best.mean() - chance))
    assert kmeans.gap_from_best_single == pytest.approx((got.mean() - single) / (best.mean() - single))
    assert strategies["oracle"].quality == pytest.approx(best.mean())
    assert strategies["random"].quality == pytest.approx(chance)
    shares = np.bincount(picked, minlength=4) / n
    assert kmeans.selections == pytest.approx(dict(zip(benchmark.model_names, shares, strict=True)))
    math = np.array(benchmark.categories) == "math"
    assert kmeans.categories["math"] == pytest.approx(got[math].mean())
    low, high = kmeans.interval
    assert low < kmeans.quality < high
    assert high - low == pytest.approx(2 * 1.96 * got.std() / np.sqrt(n), rel=0.15)
    (pair,) = evaluation.differences
    assert pair.quality == pytest.approx(abs(strategies["knn"].quality - kmeans.quality))
    for suffix in ("svg", "png"):
        plot(evaluation, tmp_path / f"plot.{suffix}")
        assert (tmp_path / f"plot.{suffix}").stat().st_size > 1000
    assert "codellama-7b" in (tmp_path / "plot.svg").read_text()
    with pytest.raises(ModelpickError, match=r"expected a name that ends in \.svg or \.png"):
        plot(evaluation, tmp_path / "plot.gif")


def test_without_response_times_the_oracle_is_the_best(artifacts):
    benchmark = read_benchmark(DATA)
    evaluation = evaluate([artifacts / "kmeans.onnx"], benchmark._replace(seconds=benchmark.seconds * 0))
    assert evaluation.strategies[0].quality == pytest.approx(benchmark.quality.max(axis=1).mean())
    assert evaluation.strategies[0].best_share == 1


def test_of_equally_good_models_the_oracle_takes_the_fastest(artifacts):
    benchmark = read_benchmark(DATA)
    seconds = np.tile([4.0, np.nan, 1.0, 2.0], (56, 1))
    evaluation = evaluate([artifacts / "kmeans.onnx"], benchmark._replace(quality=np.ones((56, 4)), seconds=seconds))
    assert evaluation.strategies[0].selections[benchmark.model_names[2]] == 1


@pytest.mark.parametrize("block", [1, 56, 1_000, 10**9])
def test_bootstrap_draws_the_same_in_any_blocks(block, monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK_VALUES", block)
    columns = np.random.default_rng(1).normal(size=(56, 3))
    draws = np.random.default_rng(7).integers(56, size=(bootstrap.BOOTSTRAPS, 56))
    assert bootstrap.resampled_sums(columns, 7) == pytest.approx(columns[draws].sum(axis=1))


def test_bootstrap_holds_few_draws_at_once():
    columns = np.ones((36_000, 1))
    tracemalloc.start()
    try:
        bootstrap.resampled_sums(columns, 0)
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_evaluates_only_where_every_model_is_known(artifacts):
    benchmark = read_benchmark(b"".join(LINES[:-1]))
    evaluation = evaluate([artifacts / "kmeans.onnx"], benchmark)
    assert (evaluation.queries, evaluation.left_out) == (55, 1)


def test_refuses_to_evaluate_what_does_not_fit(artifacts):
    benchmark = read_benchmark(DATA)
    with pytest.raises(DocumentError, match="expected picks among"):
        evaluate([artifacts / "kmeans.onnx"], benchmark._replace(model_names=["a", "b", "c", "d"]))
    with pytest.raises(FeatureError, match="expected 1038 features, got 1000 numbers and 14 categories"):
        evaluate([artifacts / "kmeans.onnx"], benchmark._replace(embeddings=benchmark.embeddings[:, :1000]))
    with pytest.raises(DocumentError, match="an outcome of every model, got none"):
        evaluate([artifacts / "kmeans.onnx"], benchmark._replace(quality=benchmark.quality * np.nan))


def test_the_commands_evaluate_and_compare(artifacts, tmp_path):
    paths = [artifacts / "knn.onnx", artifacts / "kmeans.onnx"]
    done = modelpick("evaluate", *paths, "--data", DATA, "--json", "--plot", tmp_path / "plot.svg")
    assert done.returncode == 0, done.stderr
    strategies = {strategy["name"]: strategy for strategy in json.loads(done.stdout)["strategies"]}
    evaluation = evaluate(paths, read_benchmark(DATA))
    assert strategies["knn"]["quality"] == pytest.approx(evaluation.strategies[1].quality)
    assert (tmp_path / "plot.svg").exists()
    done = modelpick("evaluate", *paths, "--data", DATA)
    for text in ("oracle", "random", "mistral-7b", "computer science", "share of selections", "is better than"):
        assert text in done.stdout

    queries = ROOT / "models/queries.jsonl"
    done = modelpick("diff", *paths, "--queries", queries, "--json")
    found = json.loads(done.stdout)
    rows = [json.loads(line) for line in queries.read_text().splitlines()]
    with Selector.load(paths[0]) as knn, Selector.load(paths[1]) as kmeans:
        picks = list(zip(knn.select_batch(rows), kmeans.select_batch(rows), strict=True))
    expected = [{"query": i, "a": a, "b": b} for i, (a, b) in enumerate(picks) if a != b]
    assert found == {"queries": 8, "different": len(expected), "picks": expected}
    assert f"{len(expected)} of 8 queries differ" in modelpick("diff", *paths, "--queries", queries).stdout
    assert modelpick("diff", *paths, "--queries", tmp_path / "none").returncode == 2
