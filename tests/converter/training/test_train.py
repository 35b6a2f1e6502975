"""Training on benchmark records, through the command and through Python."""

import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator, to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.training.tune import compare, tune
from modelpick.runtime import DocumentError, Objective, Selector
from support import reference
from support.command import modelpick
from support.outcomes import with_outcomes
from support.recorded import DATA, ROOT, ROUTING, encoded, record, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


ROWS = {f"{rules.algorithm} {rules.semantics}": rules for rules in TABLE.values() if rules.train}


@pytest.mark.parametrize("name", ROWS)
def test_trains_models_that_convert_and_fit_their_data(name, tmp_path):
    rules = ROWS[name]
    training = training_data(read_records(DATA), Settings(clusters=14))
    document = train(training, rules)
    (tmp_path / "model.json").write_text(json.dumps(document))
    natively = "queries" if rules.unversioned == "queries" else "native"  # follows the file's version
    for semantics in dict.fromkeys((natively, "trainer") if rules.semantics == "native/1" else (natively,)):
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx") as selector:
            picked = selector.select_batch(training.features)
            if semantics == "native":
                assert selector.metadata.semantics == rules.semantics
            if semantics == "native" and rules.semantics == "native/1" and rules.algorithm in reference.SELECT:
                assert picked == reference.select(document, training.features)
        names = training.benchmark.model_names
        qualities = [training.benchmark.quality[i, names.index(name)] for i, name in enumerate(picked)]
        chance, best = training.benchmark.quality.mean(), training.benchmark.quality.max(axis=1).mean()
        if rules.algorithm not in ("knn", "hiershrink"):  # five rows are mostly of one query; few records in a cluster
            assert np.mean(qualities) > chance + 0.3 * (best - chance)


@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
@pytest.mark.parametrize("name", ROWS)
def test_trains_on_few_models(name, models):
    rng, rules = np.random.default_rng(0), ROWS[name]
    vectors = rng.random((12, 5)).tolist()
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(rng.random()), embedding=vectors[i])
            for i in range(12)
            for model in models
        )
    )
    training = training_data(read_records(data), Settings(clusters=20))
    if (name, models) == ("svm native/2", ["a"]):
        with pytest.raises(DocumentError, match="svm: expected records of two models or more"):
            train(training, rules)
        return
    document = train(training, rules)
    picked = load_estimator(json.dumps(document).encode(), semantics=rules.semantics).predict(rng.random((30, 19)))
    assert set(picked) <= set(models)


def test_the_command_trains_the_same_files_each_time(tmp_path):
    for folder in ("one", "other"):
        done = modelpick(
            "train",
            "--data",
            DATA,
            "-o",
            tmp_path / folder,
            "--seed",
            20260101,
            "--clusters",
            14,
            "--format-version",
            1,
        )
        assert done.returncode == 0, done.stderr
    for name in ("knn", "kmeans", "svm", "mlp"):
        data = (tmp_path / f"one/{name}_model.json").read_bytes()
        assert data == (tmp_path / f"other/{name}_model.json").read_bytes()
        shipped = ROOT / f"models/{'svm_rbf' if name == 'svm' else name}.json"
        if name in {"knn", "kmeans"}:  # the others' last digits may differ on other processors
            assert json.loads(data) == json.loads(shipped.read_text())
        assert json.loads(data).keys() == json.loads(shipped.read_text()).keys()


def test_the_command_trains_what_is_asked(tmp_path):
    done = modelpick("train", "--data", DATA, "-o", tmp_path, "--algorithm", "knn", "--tune")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["knn_model.json"]
    tuned = tune(training_data(read_records(DATA)), trainer("knn"))
    (best,) = (tried.settings.k for tried in tuned if tried.is_best)
    assert json.loads((tmp_path / "knn_model.json").read_text())["k"] == best
    assert max(tried.score for tried in tuned) == next(tried.score for tried in tuned if tried.is_best)


def test_the_command_passes_the_settings_on(tmp_path):
    asked = ("--algorithm", "svm", "--algorithm", "mlp", "--C", 0.5, "--hidden", 3)
    assert modelpick("train", "--data", DATA, "-o", tmp_path, *asked).returncode == 0
    svm, mlp = (json.loads((tmp_path / f"{name}_model.json").read_text()) for name in ("svm", "mlp"))
    assert (svm["C"], mlp["hidden_sizes"]) == (0.5, [3])


def test_tuning_tries_what_each_algorithm_has():
    tuned = {"knn": {"k"}, "kmeans": {"clusters"}, "svm": {"C", "gamma"}, "mlp": {"hidden"}}
    tuned |= {"kernel_ridge": {"gamma", "ridge"}, "hiershrink": set()}
    for rules in ROWS.values():
        grid = rules.grid(Settings())
        varied = {name for name in Settings._fields if len({getattr(one, name) for one in grid}) > 1}
        assert varied == tuned[rules.algorithm] | ({"evidence"} if rules.semantics == "queries/3" else set())


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
        for tried in tune(training_data(read_records(data)), trainer("knn", semantics=semantics)):
            assert 0.3 < tried.quality < 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "missing.jsonl", "-o", "out"), "missing.jsonl: cannot be read"),
        (
            ("train", "--data", "text.jsonl", "-o", "out"),
            "text.jsonl:1: embedding: expected one in a record",
        ),
        (("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "no.npz"), "no.npz: cannot be read"),
        (
            ("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "text.jsonl"),
            "text.jsonl: expected .npz",
        ),
        (("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "a", "--embedder", "b"), "expected one of"),
        (("train", "--data", "text.jsonl", "-o", "out", "--embedder", "no/such"), "sentence-transformers|no/such"),
        (("evaluate", "missing.onnx", "--data", str(DATA)), "missing.onnx: cannot be read"),
        (("evaluate", "missing.onnx", "--data", "text.jsonl"), "missing.onnx: cannot be read"),
    ],
)
def test_the_commands_refuse_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.jsonl").write_bytes(encoded(record(), record(model_name="b"), record(query="r")))
    done = modelpick(*arguments)
    assert done.returncode == 2
    *warnings, line = done.stderr.splitlines()
    assert all(warning.startswith("warning: ") for warning in warnings)
    assert line.startswith("error: ")
    assert any(part in line for part in message.split("|"))
    assert not Path("out").exists()


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_the_command_takes_embeddings_from_a_file(tmp_path):
    with gzip.open(ROUTING / "llmrouter_test500.jsonl.gz") as file:
        lines = [next(file) for _ in range(270)]
    (tmp_path / "thirty.jsonl").write_bytes(b"".join(lines))
    embeddings = ROUTING / "embeddings.npz"
    done = modelpick(
        "train", "--data", tmp_path / "thirty.jsonl", "--embeddings", embeddings, "-o", tmp_path, "--algorithm", "knn"
    )
    assert (done.returncode, done.stderr) == (0, "")
    key = hashlib.sha1(json.loads(lines[0])["query"].encode()).hexdigest()[:16]
    with np.load(embeddings) as arrays:
        expected = arrays["embedding"][arrays["key"] == key][0]
    assert json.loads((tmp_path / "knn_model.json").read_text())["embeddings"][0][:384] == expected.tolist()


@pytest.mark.parametrize("name", ["kernel_ridge native/2", "knn queries/3"])
def test_operating_points_tell_what_is_kept_for_less_money(name):
    rules = ROWS[name]
    training = training_data(read_records(routed()), Settings(k=10, ridge=0.1))
    estimator = load_estimator(json.dumps(train(training, rules)).encode(), semantics=rules.semantics)
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.default == "dear"
        costs = [point.cost.mean for point in selector.points]
        assert costs == sorted(costs, reverse=True)
        assert all(sum(point.shares.values()) == pytest.approx(1) for point in selector.points)
        fresh = training_data(read_records(routed(seed=1))).features
        plain, cheap = selector.select_batch(fresh), selector.select_batch(fresh, keep=0.95)
        assert plain.count("cheap") <= cheap.count("cheap") > 40
        assert selector.select_batch(fresh, objective=Objective(cost_weight=1e6)) == ["cheap"] * len(fresh)
        assert selector.select_batch(fresh, costs={"cheap": 99.0}, objective=Objective(0.1)).count("cheap") == 0
        point = min((p for p in selector.points if p.kept.mean >= 0.95), key=lambda p: p.cost.mean)
        assert cheap == selector.select_batch(fresh, objective=point.objective)
        assert [selector.select(row, keep=0.95) for row in fresh[:40]] == cheap[:40]


@pytest.mark.parametrize("worth", [0.0, -1.0])
def test_all_is_kept_of_a_quality_that_is_not_above_zero(worth):
    lines = [json.loads(line) for line in routed(40).splitlines()]
    lines = [line | {"performance": worth - (line["model_name"] == "bad")} for line in lines]
    training = training_data(read_records(encoded(*lines)))
    points = train(training, ROWS["kernel_ridge native/2"])["operating_points"]
    assert points["best_single"]["quality"] == worth
    (point,) = points["points"]  # none is better, and none as cheap
    assert (point["kept"], point["cost"][0]) == ([1.0, 1.0, 1.0], 1.0)


def test_there_are_no_points_where_no_pick_has_an_outcome():
    records = encoded(
        *(
            record(query=query, model_name=model, performance=float(worth), embedding=[float(query)])
            for query, models in (("0", "ab"), ("1", "cd"))
            for worth, model in enumerate(models)
        )
    )
    document = train(training_data(read_records(records)), ROWS["kernel_ridge native/2"])
    assert "operating_points" not in document
    assert load_estimator(json.dumps(document).encode()).operating_points_ is None


def test_kernel_ridge_is_that_of_plain_numpy():
    """Complete outcomes need one solve; missing ones a solve for each pattern of what is missing, and a common part."""
    rng = np.random.default_rng(3)
    for missing in (0.0, 0.3):
        benchmark = read_records(routed(40))
        quality = np.where(rng.random(benchmark.quality.shape) < missing, np.nan, benchmark.quality)
        training = training_data(with_outcomes(benchmark, quality=quality), Settings(gamma=0.7, ridge=0.5))
        document = train(training, ROWS["kernel_ridge native/2"])
        estimator = load_estimator(json.dumps(document).encode())
        queries = rng.normal(size=(20, training.features.shape[1]))
        expected = reference.kernel_ridge(training.features, training.benchmark.quality, queries, 0.7, 0.5)
        np.testing.assert_allclose(estimator.decision_function(queries), expected, atol=1e-9)


def test_landmarks_predict_nearly_as_all_rows_do():
    training = training_data(read_records(routed(200)), Settings(ridge=0.5))
    few = training._replace(settings=Settings(ridge=0.5, landmarks=60))
    whole, part = (train(data, ROWS["kernel_ridge native/2"]) for data in (training, few))
    assert (len(whole["support_vectors"]), len(part["support_vectors"])) == (200, 60)
    outcomes = [
        load_estimator(json.dumps(document).encode()).decision_function(training.features) for document in (whole, part)
    ]
    assert np.abs(outcomes[0] - outcomes[1]).mean() < 0.05


@pytest.mark.parametrize("landmarks", [30, 1000])
def test_settings_that_share_a_kernel_pick_as_each_does_alone(landmarks):
    training = training_data(read_records(routed(60)), Settings(landmarks=landmarks))
    learned, held_out = training.of(np.arange(40)), training.features[40:]
    rules = ROWS["kernel_ridge native/2"]
    grid = rules.grid(training.settings)
    together = {trial.settings: trial.pick for trial in rules.trials(learned, held_out, grid)}
    assert set(together) == set(grid)
    for settings in grid:
        (alone,) = rules.trials(learned, held_out, [settings])
        for objective in (Objective(), Objective(cost_weight=0.05)):
            assert together[settings](objective).tolist() == alone.pick(objective).tolist()


@pytest.fixture
def auto(tmp_path, monkeypatch, capsys):
    """Let auto choose of two algorithms: what it printed, and the selector that it wrote."""
    command = sys.modules["modelpick.converter.cli.train"]
    monkeypatch.setattr("modelpick.converter.training.auto.TRAINED", ("kmeans", "kernel_ridge"))  # all take a minute

    def run(records, **options):
        (tmp_path / "records.jsonl").write_bytes(records)
        out = command.Output(tmp_path / "out", is_file=False)
        command.train(tmp_path / "records.jsonl", out, [command.Algorithm.auto], **options)
        (written,) = (tmp_path / "out").iterdir()
        return capsys.readouterr().out, Selector.load(to_artifact(load_estimator(written.read_bytes())))

    return run


def test_auto_writes_the_best_and_says_that_it_is_surely_better(auto):
    printed, selector = auto(routed(60, dear=0.6))
    with selector:
        assert "is surely better than always calling the best single model, dear" in printed
        assert set(selector.select_batch(training_data(read_records(routed(60))).features)) == {"cheap", "dear"}


def noise(costs):
    """Records whose outcomes have nothing to do with the embedding."""
    rng = np.random.default_rng(0)
    return encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=rng.random() * worth, cost=cost, embedding=[float(i)])
            for i in range(30)
            for (model, worth), cost in zip((("a", 1.0), ("b", 0.2)), costs, strict=True)
        )
    )


@pytest.mark.parametrize(("weight", "best"), [(0.0, "a"), (1.0, "b")])
def test_auto_writes_the_constant_choice_where_it_is_told_to(auto, weight, best):
    """It is the best by the weights."""
    printed, selector = auto(noise((3.0, 0.1)), allow_constant=True, cost_weight=weight)
    with selector:
        assert f"none is surely better than always calling the best single model, {best}, which is written" in printed
        assert set(selector.select_batch([[float(i), *[0.0] * 14] for i in range(-3, 40)])) == {best}


def test_auto_writes_the_best_where_none_is_surely_better(auto):
    printed, selector = auto(noise((1.0, 1.0)))
    selector.close()
    assert "none is surely better than always calling the best single model, a; --allow-constant" in printed


def test_algorithms_are_compared_by_the_utility_of_the_weights():
    """By quality dear is the best single model, for its money cheap is, and it is worth leaving now and then."""
    training = training_data(read_records(routed(60)), Settings(objective=Objective(cost_weight=0.05)))
    (compared,) = compare(training, [ROWS["kernel_ridge native/2"]])
    benchmark = training.benchmark
    assert benchmark.model_names[:2] == ["cheap", "dear"]
    utility = benchmark.quality - 0.05 * benchmark.cost
    assert utility.mean(axis=0).argmax() == 0
    assert compared.utility == pytest.approx(compared.over_single.value + utility[:, 0].mean())
    assert 0 < compared.over_single.low < compared.over_single.value < 0.15
    assert compared.utility < compared.quality - 0.05
    with pytest.raises(DocumentError, match="expected records with the cost"):
        compare(
            training_data(read_records(DATA), Settings(objective=Objective(cost_weight=1.0))),
            [ROWS["kernel_ridge native/2"]],
        )


@pytest.mark.parametrize("name", ["kernel_ridge native/2", "knn queries/3"])
def test_no_cost_is_predicted_below_0(name, tmp_path):
    """Costs are skewed and records sparse, so that sums of deviations reach below."""
    rng, rules = np.random.default_rng(0), ROWS[name]
    lines = []
    for i, embedding in enumerate(rng.normal(size=(120, 6))):
        for place, model in enumerate("ab"):
            cost = float(np.exp(2 * rng.normal() - 9) * (30 if place else 1))
            fields = {"cost": cost, "performance": float(rng.random()), "embedding": embedding.tolist()}
            if place or i % 3 == 0:
                lines.append(record(query=f"q{i}", model_name=model, **fields))
    document = train(training_data(read_records(encoded(*lines)), Settings(ridge=0.01), one_hot=False), rules)
    earlier = {"kernel_ridge native/2": "native/1", "knn queries/3": "queries/2"}[name]
    queries, lowest = rng.normal(size=(300, 6)), {}
    for semantics in (rules.semantics, earlier):
        (tmp_path / "model.json").write_text(json.dumps(document))
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx", objective=Objective(cost_weight=10.0)) as selector:
            found = [selector.explain(query) for query in queries]
            assert [why["model"] for why in found] == selector.select_batch(queries)
        for why in found:
            for model, got in why["outcomes"].items():
                assert why["scores"][model] == pytest.approx(got["quality"] - 10.0 * got["cost"])
        lowest[semantics] = min(got["cost"] for why in found for got in why["outcomes"].values())
    assert lowest[rules.semantics] == 0.0
    assert lowest[earlier] < 0.0  # as its artifacts always did
