"""Training and evaluation on benchmark records, through the command and through Python."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter import build_estimator, convert, load_document
from modelpick.converter.evaluation import bootstrap
from modelpick.converter.evaluation.evaluate import evaluate, plot
from modelpick.converter.training.records import read_benchmark
from modelpick.converter.training.train import TRAINERS, train, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import DocumentError, FeatureError, ModelpickError, Selector

ROOT = Path(__file__).parents[2]
DATA = ROOT / "models/benchmark.jsonl"
LINES = DATA.read_bytes().splitlines(keepends=True)
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def modelpick(*arguments):
    command = [sys.executable, "-m", "modelpick.converter", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def record(**fields):
    return {"query": "q", "category": "math", "model_name": "a", "performance": 0.5, "response_time": 1.0} | fields


def encoded(*records):
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def test_reads_records():
    data = encoded(
        record(embedding=[1.0, 2.0]),
        record(model_name="b", performance=1.0),
        record(query="r", category="law", model_name="b", embedding=[0.0, 1.0]),
        record(performance=1.0, response_time=3.0),
    )
    for source in (data, gzip.compress(data), data.replace(b"\n", b"\n\n")):
        benchmark = read_benchmark(source)
        assert benchmark.queries == ["q", "r"]
        assert benchmark.categories == ["math", "law"]
        assert benchmark.model_names == ["a", "b"]
        assert benchmark.quality == pytest.approx(np.array([[0.75, 1.0], [np.nan, 0.5]]), nan_ok=True)
        assert benchmark.seconds == pytest.approx(np.array([[2.0, 1.0], [np.nan, 1.0]]), nan_ok=True)
        assert benchmark.embeddings.tolist() == [[1, 2], [0, 1]]
        assert benchmark.bad == []


BAD = {
    "not JSON": (b"{", "truncated"),
    "not UTF-8": (b'{"query": "\xff"}', "utf-8"),
    "an array": (b"[]", "Expected `object`"),
    "no performance": (json.dumps({**record(), "performance": None}).encode(), "performance"),
    "NaN": (b'{"query": "q", "performance": NaN}', "malformed"),
    "a negative time": (json.dumps(record(response_time=-1)).encode(), "response_time"),
    "an empty query": (json.dumps(record(query="")).encode(), "query"),
    "a name of two lines": (json.dumps(record(model_name="a\nb")).encode(), "model_name"),
    "another width": (json.dumps(record(embedding=[1.0])).encode(), "expected an embedding of 1024 numbers, got 1"),
    "an empty embedding": (json.dumps(record(embedding=[])).encode(), "expected an embedding of 1024 numbers, got 0"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_leaves_out_bad_records_and_names_them(line, message, tmp_path):
    path = tmp_path / "benchmark.jsonl"
    path.write_bytes(b"".join([*LINES[:100], line + b"\n", *LINES[100:]]))
    benchmark = read_benchmark(path)
    (bad,) = benchmark.bad
    assert bad.startswith(f"{path}:101: ")
    assert message in bad
    assert len(bad.splitlines()) == 1
    assert np.array_equal(benchmark.quality, read_benchmark(DATA).quality)
    path.write_bytes(b"".join([*LINES, *[line + b"\n"] * 3]))
    with pytest.raises(DocumentError, match="at most 1 % bad, got 3 bad of 227, the first of them") as caught:
        read_benchmark(path)
    assert len(str(caught.value).splitlines()) == 1


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"\n", b"{}", b"\x1f\x8b", LINES[1]])).map(b"".join))
def test_any_bytes_are_read_or_refused(data):
    try:
        assert read_benchmark(data).queries
    except ModelpickError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("algorithm", TRAINERS)
def test_trains_models_that_convert_and_fit_their_data(algorithm, tmp_path):
    training = training_data(read_benchmark(DATA), clusters=14)
    document = train(training, algorithm)
    (tmp_path / "model.json").write_text(json.dumps(document))
    for semantics in ("native", "trainer"):
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx") as selector:
            picked = selector.select_batch(training.features)
            if semantics == "native":
                assert picked == reference.select(document, training.features)
        names = training.benchmark.model_names
        qualities = [training.benchmark.quality[i, names.index(name)] for i, name in enumerate(picked)]
        chance, best = training.benchmark.quality.mean(), training.benchmark.quality.max(axis=1).mean()
        if algorithm != "knn":  # whose five rows are mostly those of one query
            assert np.mean(qualities) > chance + 0.3 * (best - chance)


@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
@pytest.mark.parametrize("algorithm", TRAINERS)
def test_trains_on_few_models(algorithm, models):
    rng = np.random.default_rng(0)
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(rng.random()), embedding=rng.random(5).tolist())
            for i in range(12)
            for model in models
        )
    )
    document = train(training_data(read_benchmark(data), clusters=20), algorithm)
    picked = build_estimator(load_document(json.dumps(document).encode())).predict(rng.random((30, 19)))
    assert set(picked) <= set(models)


def test_the_command_trains_the_same_files_each_time(tmp_path):
    for folder in ("one", "other"):
        done = modelpick("train", "--data", DATA, "-o", tmp_path / folder, "--seed", 20260101, "--clusters", 14)
        assert done.returncode == 0, done.stderr
    for name in ("knn", "kmeans", "svm", "mlp"):
        data = (tmp_path / f"one/{name}.json").read_bytes()
        assert data == (tmp_path / f"other/{name}.json").read_bytes()
        shipped = ROOT / f"models/{'svm_rbf' if name == 'svm' else name}.json"
        if name in {"knn", "kmeans"}:  # the others' last digits may differ on other processors
            assert json.loads(data) == json.loads(shipped.read_text())
        assert json.loads(data).keys() == json.loads(shipped.read_text()).keys()


def test_the_command_trains_what_is_asked(tmp_path):
    done = modelpick("train", "--data", DATA, "-o", tmp_path, "--algorithm", "knn", "--tune", "queries")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["knn.json"]
    tuned = tune(training_data(read_benchmark(DATA)), "queries")
    assert json.loads((tmp_path / "knn.json").read_text())["k"] == max(tuned, key=tuned.get)


def test_tuning_sees_no_query_on_both_sides():
    """Outcomes are those of the query alone: whoever knew the held-out ones would always be right."""
    rng = np.random.default_rng(0)
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(model == best), embedding=[float(i)])
            for i, best in enumerate(rng.choice(["a", "b"], 200))
            for model in "ab"
        )
    )
    for semantics in ("native", "queries"):
        for quality in tune(training_data(read_benchmark(data)), semantics).values():
            assert 0.3 < quality < 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "missing.jsonl", "-o", "out"), "missing.jsonl: cannot be read"),
        (("train", "--data", "text.jsonl", "-o", "out"), "embedding: expected one for each query, or an embedder"),
        (("train", "--data", "text.jsonl", "-o", "out", "--embedder", "no/such"), "sentence-transformers|no/such"),
        (("evaluate", "missing.onnx", "--data", str(DATA)), "missing.onnx: cannot be read"),
        (("evaluate", "missing.onnx", "--data", "text.jsonl"), "embedding: expected one for each query"),
    ],
)
def test_the_commands_refuse_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.jsonl").write_bytes(encoded(record(), record(model_name="b")))
    done = modelpick(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert any(part in line for part in message.split("|"))
    assert not Path("out").exists()


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
