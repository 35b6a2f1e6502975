"""The report: what it finds, that its page is whole and safe, and how the command ends."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from modelpick.converter import convert, to_artifact
from modelpick.converter.cli.app import app
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import routed
from modelpick.converter.evaluation.verdict import verdicts
from modelpick.converter.report.gather import Request, gather
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.verification.report import VerificationError
from modelpick.runtime import DocumentError, ModelpickError, Selector
from modelpick.runtime.errors import one_line
from support.artifacts import built, converted
from support.command import modelpick
from support.html_page import check, check_image
from support.markup import NAMES, records, rows
from support.recorded import DATA, HELD_OUT, ROOT
from support.recorded import routed as routed_records

pytest.importorskip("jinja2")
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The sample models, and KNN by other rules."""
    folder = tmp_path_factory.mktemp("shipped")
    for source in sorted((ROOT / "models").glob("*.json")):
        convert(source, folder / f"new/{source.stem}.onnx", samples=0)
    convert(ROOT / "models/knn.json", folder / "queries/knn.onnx", samples=0, semantics="queries")
    return folder


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    Path("new").mkdir()
    Path("old/knn.onnx").write_bytes(converted(rows(160)))
    Path("new/knn.onnx").write_bytes(converted(rows(160, seed=5)))
    Path("data.jsonl").write_text(records())
    return tmp_path


def run(*arguments):
    done = RUNNER.invoke(app, ["report", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_report_of_the_sample_models(shipped, tmp_path):
    out = run(shipped / "new", "--data", DATA, "-o", tmp_path / "r.html", "--summary", tmp_path / "s.md", "--json")
    facts = json.loads(out)
    assert [one["name"] for one in facts["artifacts"]] == ["kmeans", "knn", "mlp", "svm_linear", "svm_rbf"]
    for one in facts["artifacts"]:
        assert (one["verification"]["agreed"], one["verification"]["worst"]) == (200, None)
        assert 0 < one["latency"]["median"] <= one["latency"]["p90"] <= one["latency"]["p99"] < 1
        assert one["size"] == Path(one["path"]).stat().st_size
    assert [one["artifact"] for one in facts["maps"]] == [one["name"] for one in facts["artifacts"]]
    assert {one["name"]: one["drift"] is not None for one in facts["artifacts"]} == {
        "kmeans": True,
        "knn": True,
        "mlp": False,
        "svm_linear": False,
        "svm_rbf": False,
    }
    page = check((tmp_path / "r.html").read_text())
    assert page.text("h2") == [
        *("kmeans", "knn", "mlp", "svm_linear", "svm_rbf"),
        *("Is it worth calling", "Map", "Drift", "Where it comes from, verification, time of a pick"),
    ]
    assert (tmp_path / "r.html").stat().st_size < 1e6
    summary = (tmp_path / "s.md").read_text()
    assert "\\u" not in summary + (tmp_path / "r.html").read_text()
    cells = [text.replace("\N{NO-BREAK SPACE}", " ") for text in page.text("td")]
    for verdict in facts["worth"]["headlines"]:
        assert verdict["text"] in cells
        assert verdict["policy"].replace("_", "\\_") in summary
        assert verdict["text"].partition("[")[0].replace("_", "\\_") in summary.replace("\\(", "(")


def test_what_changes_is_what_the_artifacts_pick(shipped):
    paths = shipped / "new/knn.onnx", shipped / "queries/knn.onnx"
    benchmark = read_records(DATA)
    facts = gather([paths[1]], Request(against=[paths[0]], records=benchmark, data=DATA))
    (comparison,) = facts.comparisons
    on_records, made = comparison.picks
    picks = []
    for path in paths:
        with Selector.load(path) as selector:
            pairs = zip(benchmark.embeddings, benchmark.categories, strict=True)
            picks.append([selector.select(embedding=row, category=category) for row, category in pairs])
    changed = [i for i, (before, after) in enumerate(zip(*picks, strict=True)) if before != after]
    assert 0 < on_records.changed == len(changed)
    assert {(flow.before, flow.after): flow.queries for flow in on_records.flows} == {
        pair: list(zip(*picks, strict=True)).count(pair) for pair in set(zip(*picks, strict=True))
    }
    columns = [[benchmark.model_names.index(name) for name in names] for names in picks]
    quality, seconds = (
        [values[np.arange(len(values)), column] for column in columns]
        for values in (benchmark.quality, benchmark.seconds)
    )
    for kind, (before, after) in (("quality", quality), ("seconds", seconds)):
        effect = on_records.effects[kind]
        assert (effect.before, effect.after) == pytest.approx((before.mean(), after.mean()))
        assert effect.change.value == pytest.approx((after - before).mean())
        assert effect.share.value == pytest.approx(after.mean() / before.mean() - 1)
        assert effect.change.low < effect.change.value < effect.change.high
        assert effect.share.low < effect.share.value < effect.share.high
    assert "cost" not in on_records.effects
    assert (on_records.better, on_records.worse) == ((quality[1] > quality[0]).sum(), (quality[1] < quality[0]).sum())
    assert sum(one.changed for one in on_records.categories) == on_records.changed
    assert sum(one.queries for one in on_records.reasons) == on_records.changed
    assert all(0 < len(one.examples) <= one.queries for one in on_records.reasons)
    assert {example for one in on_records.reasons for example in one.examples} <= set(benchmark.queries)
    rises = [abs(one.quality_after - one.quality_before) for one in on_records.telling]
    assert rises == sorted(rises, reverse=True)
    assert rises[0] == pytest.approx(np.abs(quality[1] - quality[0]).max())
    assert len(on_records.telling) == min(20, on_records.changed)
    for one in on_records.telling:
        place = benchmark.queries.index(one.query)
        assert (one.before.model, one.after.model) == (picks[0][place], picks[1][place])
        assert one.before.scores[0].model == one.before.model
    assert made.queries == 200
    explanations = [(str(one.before), str(one.after)) for one in made.telling]
    assert len(set(explanations)) == len(explanations) > 1
    assert made.effects == {}


def test_whether_it_pays_is_what_evaluate_says(shipped):
    paths = [shipped / "new/kmeans.onnx", shipped / "new/mlp.onnx"]
    benchmark = read_records(HELD_OUT)
    facts = gather(paths, Request(records=benchmark, data=HELD_OUT, samples=0))
    expected = evaluate_policies(routed(paths, benchmark), benchmark)
    assert facts.worth.verdicts == verdicts(expected)
    assert [one.quality for one in facts.worth.evaluation.results] == [one.quality for one in expected.results]
    assert [one.verification for one in facts.artifacts] == [None, None]


def test_forty_long_and_hostile_names_stay_text(hostile):
    run("new", "--against", "old", "--data", "data.jsonl", "-o", "r.html", "--summary", "s.md")
    page = check(Path("r.html").read_text())
    heads = page.text("th", "td")
    for name in NAMES:
        assert one_line(name) in heads, name
    assert len(page.of("svg")) == 6  # two flows, each also for telephones, the map, the drift
    (frontier,) = page.of("img")
    assert set(check_image(frontier.attributes["src"])) & {one_line(name) for name in NAMES}
    assert Path("r.html").stat().st_size < 5e6
    assert all(element.attributes["dir"] == "auto" for element in page.of("td") if "class" not in element.attributes)
    summary = Path("s.md").read_text()
    unescaped = re.sub(r"\\.", "", summary)
    assert not re.search(r"<", unescaped)
    assert "@" not in unescaped
    assert "https:/" not in unescaped
    for block in re.findall(r"(?:^\|.*\n)+", unescaped, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block[:300]
    assert "nearest records changed sides" in summary


def test_a_page_is_found_whole_without_its_script(hostile):
    run("new", "-o", "r.html")
    text = Path("r.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_many_rows_are_sampled(tmp_path):
    (tmp_path / "knn.onnx").write_bytes(converted(rows(7_000, one_hot=False)))
    (tmp_path / "data.jsonl").write_text(records(40, NAMES[:3]))
    run(tmp_path / "knn.onnx", "--data", tmp_path / "data.jsonl", "-o", tmp_path / "r.html", "--samples", 20)
    assert (tmp_path / "r.html").stat().st_size < 5e6
    text = (tmp_path / "r.html").read_text()
    check(text)
    assert re.search(r"5,960 of 7,000 rows and 40 of 40 queries are drawn, a random sample", text)


def test_a_disagreement_is_shown_and_exits_with_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = [built(rows(40, names)) for names in (["a", "b"], ["b", "a"])]
    models[0].source_ = models[1].source_
    (tmp_path / "knn.onnx").write_bytes(to_artifact(models[0]))
    done = modelpick("report", "knn.onnx")
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert told == "✗ knn: Broken: it picks otherwise than its JSON model on 200 of 200 made queries."
    assert re.fullmatch(r"wrote report.html\nerror: knn.onnx: expected the selections of .*\n", done.stderr)
    page = check((tmp_path / "report.html").read_text())
    assert any(text.startswith("✗") for text in page.text("td"))
    assert any(text.startswith("Broken: it picks otherwise than its JSON model on ") for text in page.text("p"))
    with pytest.raises(VerificationError):
        run(tmp_path / "knn.onnx", "-o", tmp_path / "r.html")
    run(tmp_path / "knn.onnx", "-o", tmp_path / "r.html", "--samples", 0)


def test_bad_input_leaves_no_file(hostile):
    Path("empty").mkdir()
    narrow = rows(20, NAMES[:2])
    narrow["embeddings"] = [row[:7] for row in narrow["embeddings"]]
    Path("narrow.onnx").write_bytes(converted(narrow))
    Path("page.html").write_bytes(Path("new/knn.onnx").read_bytes())
    Path("data.md").write_bytes(Path("data.jsonl").read_bytes())
    Path("text.jsonl").write_text(re.sub(r', "embedding": [^\]]*\]', "", records(3)))
    for arguments, error, message in (
        (["missing.onnx"], ModelpickError, "missing.onnx"),
        (["empty"], ModelpickError, "expected at least one .onnx file"),
        (["new", "--data", "text.jsonl"], DocumentError, "embedding: expected one"),
        (["narrow.onnx", "--against", "old"], DocumentError, "expected 20 features"),
        (["narrow.onnx", "--against", "old", "--against", "new"], ModelpickError, "expected an artifact of that name"),
        (["new", "--json", "--summary", "-"], ModelpickError, "expected one of --json and --summary -"),
        (["page.html", "-o", "page.html"], ModelpickError, "expected another file than"),
        (["new", "--summary", "data.md", "--data", "data.md"], ModelpickError, "expected another file than"),
    ):
        before = sorted(Path().rglob("*"))
        with pytest.raises(error, match=message):
            run(*arguments)
        assert sorted(Path().rglob("*")) == before, arguments


def test_artifacts_are_paired_by_name(hostile):
    for folder, names in (("old", ("gone", "kept")), ("new", ("kept", "fresh"))):
        for name in names:
            Path(folder, f"{name}.onnx").write_bytes(Path(folder, "knn.onnx").read_bytes())
        Path(folder, "knn.onnx").unlink()
    facts = json.loads(run("new", "--against", "old", "--json", "--samples", 10))
    assert (facts["added"], facts["removed"]) == (["fresh"], ["gone"])
    assert [one["name"] for one in facts["comparisons"]] == ["kept"]
    facts = json.loads(run("new", "--against", "old/gone.onnx", "--json", "--samples", 10))
    assert [one["name"] for one in facts["comparisons"]] == ["fresh", "kept"]


def test_an_artifact_that_restores_nothing_is_not_verified(hostile):
    estimator = built(rows(40))
    Path("bare.onnx").write_bytes(to_artifact(estimator, restorable=False))
    facts = json.loads(run("bare.onnx", "--against", "bare.onnx", "--json"))
    assert facts["artifacts"][0]["verification"] is None
    assert facts["artifacts"][0]["unverified"] == "not made from a JSON model"
    assert facts["comparisons"][0]["picks"] == []
    assert "Its picks were not compared: not made from a JSON model." in Path("report.html").read_text()
    check(Path("report.html").read_text())


def test_operating_points_are_evaluated(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(routed_records())
    asked = ["--algorithm", "knn", "--semantics", "queries", "--data", str(tmp_path / "data.jsonl")]
    trained = RUNNER.invoke(app, ["train", *asked, "-o", str(tmp_path)])
    assert trained.exit_code == 0, trained.output
    convert(tmp_path / "knn_model.json", tmp_path / "knn.onnx", semantics="queries")
    shared = (tmp_path / "knn.onnx", "--data", tmp_path / "data.jsonl", "-o", tmp_path / "r.html", "--json")
    facts = json.loads(run(*shared))
    assert len(facts["artifacts"][0]["points"]) > 1
    labels = ["knn", "knn keep=0.9", "knn keep=0.95", "knn keep=1"]
    assert [one["policy"] for one in facts["worth"]["verdicts"]] == labels
    facts = json.loads(run(*shared, "--keep", 0.5))
    assert [one["policy"] for one in facts["worth"]["verdicts"]] == ["knn", "knn keep=0.5"]
    captions = check((tmp_path / "r.html").read_text()).text("caption")
    assert any(text.startswith("Operating points") for text in captions)


@pytest.mark.parametrize("name", ["kernel_ridge", "knn"])
def test_a_map_shows_vectors_as_the_artifact_compares_them(name, tmp_path):
    records = read_records(DATA)
    rules = trainer(name, semantics="queries" if name == "knn" else "native")
    document = train(training_data(records), rules)
    semantics = rules.unversioned
    convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=0, semantics=semantics)
    (found,) = gather([tmp_path / "a.onnx"], Request(records=records, samples=0)).maps
    rows = {(mark.x, mark.y) for mark in found.marks if mark.row is not None}
    queries = [(mark.x, mark.y) for mark in found.marks if mark.row is None]
    assert found.by_direction
    assert queries
    # Trained on these very queries: each lies on a row.
    for place in queries:
        assert min(np.hypot(x - place[0], y - place[1]) for x, y in rows) < 1e-9
