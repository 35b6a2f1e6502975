"""The `modelpick` command: what it prints, what it writes, and how it ends."""

import io
import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from onnx import numpy_helper

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import Selector
from support import command
from support.artifacts import contents, converted, encoded
from support.attacks import parsed, resealed
from support.catalogue import svm
from support.narrow import KMEANS, KNN, LINEAR, MLP, QUERIES, RBF, SMALL, SVM

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "models"
COMMAND = Path(sys.executable).with_name("modelpick")
NAMES = ("kmeans", "knn", "mlp", "svm_linear", "svm_rbf")


def real(*arguments, **options):
    """Run the command as a user does."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, timeout=600, **options)
    return command.Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_command_converts_and_selects(tmp_path):
    done = real("convert", MODELS, "-o", tmp_path / "out", "--samples", "20")
    assert done.returncode == 0
    assert done.stderr == "" or done.stderr.startswith("Converting: 5 files in "), "which may take long"
    assert all(f"{name}.json" in done.stdout for name in NAMES)
    assert done.stdout.count("20 of 20") == len(NAMES)
    assert sorted(contents(tmp_path / "out")) == [f"{name}.onnx" for name in NAMES]

    lines = (MODELS / "queries.jsonl").read_bytes()
    picked = real("select", tmp_path / "out/knn.onnx", input=lines)
    with Selector.load(tmp_path / "out/knn.onnx") as selector:
        expected = [selector.select(json.loads(line)) for line in lines.splitlines()]
    assert picked == (0, "".join(f"{model}\n" for model in expected), "")


def test_the_command_survives_a_full_disk(tmp_path):
    (tmp_path / "knn.onnx").write_bytes(converted(KNN))
    before = contents(tmp_path)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = real("convert", MODELS / "knn.json", "-o", tmp_path, "--no-verify", preexec_fn=limit)
    assert (done.returncode, done.error) == (2, f"{tmp_path}/knn.onnx: cannot be written: File too large")
    assert contents(tmp_path) == before


def test_converts_files_and_folders(small):
    Path("folder/below").mkdir(parents=True)
    for name in ("one.json", "two.json", "ignored.txt", "below/ignored.json"):
        Path("folder", name).write_bytes(encoded(KMEANS))
    done = small("convert", "knn.json", "folder", "svm.json", "knn.json", "--output", "new/out")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents("new/out") == {
        "knn.onnx": converted(KNN),
        "one.onnx": converted(KMEANS),
        "svm.onnx": converted(SVM),
        "two.onnx": converted(KMEANS),
    }
    rows = [line.split("│") for line in done.stdout.splitlines() if ".json" in line]
    assert [[row[i].strip() for i in (1, 2, 3, 4, 5, 6, -2)] for row in rows] == [
        ["knn.json", "knn", "native/1", "4", "2", "3", "200 of 200"],
        ["one.json", "kmeans", "native/1", "2", "2", "2", "200 of 200"],
        ["two.json", "kmeans", "native/1", "2", "2", "2", "200 of 200"],
        ["svm.json", "svm", "native/1", "2", "2", "2", "200 of 200"],
    ]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("options", "verified"), [(["--no-verify"], "no"), (["--samples", "7"], "7 of 7"), (["--samples", "1"], "1 of 1")]
)
def test_converts_with_as_many_samples_as_asked(small, name, options, verified):
    done = small("convert", f"{name}.json", "-o", "out", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(f"│ +{verified} ", done.stdout)
    assert contents("out") == {f"{name}.onnx": converted(SMALL[name])}


@pytest.mark.parametrize("search", ["auto", "plain", "quantised"])
def test_converts_with_the_search_asked_for(modelpick, search):
    done = modelpick("convert", MODELS / "knn.json", "-o", "out", "--exact-search", search)
    assert (done.returncode, done.stderr) == (0, "")
    expected = to_artifact(load_estimator(MODELS / "knn.json"), exact_search=search)
    assert Path("out/knn.onnx").read_bytes() == expected


def test_reports_what_passed(small):
    done = small("convert", "knn.json", "svm.json", "-o", "out", "--report", "new/r.json", "--junit", "new/j.xml")
    assert (done.returncode, done.stderr) == (0, "wrote new/r.json\nwrote new/j.xml\n")
    reports = json.loads(Path("new/r.json").read_bytes())
    assert [(r["artifact"], r["source"], r["algorithm"], r["queries"], r["agreed"], r["worst"]) for r in reports] == [
        ("out/knn.onnx", "knn.json", "knn", 200, 200, None),
        ("out/svm.onnx", "svm.json", "svm", 200, 200, None),
    ]
    suite = ElementTree.parse("new/j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")
    assert [case.get("name") for case in suite] == ["knn.json", "svm.json"]


BAD_SOURCES = {
    "two sources of one artifact": (
        ["a/m.json", "b/m.json"],
        "b/m.json: expected another name: a/m.json makes out/m.onnx too",
    ),
    "two suffixes of one artifact": (
        ["a/m.json", "a/m.txt"],
        "a/m.txt: expected another name: a/m.json makes out/m.onnx too",
    ),
    "a folder and a file": (["a", "b/m.json"], "b/m.json: expected another name: a/m.json makes out/m.onnx too"),
    "an empty folder": (["empty"], "empty: expected at least one .json file in this folder"),
    "an empty folder among others": (
        ["a/m.json", "empty"],
        "empty: expected at least one .json file in this folder",
    ),
    "a missing file": (["missing.json"], "missing.json: cannot be read: No such file or directory"),
    "a folder named as a file": (
        ["folder"],
        "folder/inner.json: cannot be read: Is a directory",
    ),
}


@pytest.mark.parametrize(("sources", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_refuses_sources(modelpick, sources, message):
    for folder in ("a", "b", "empty", "folder/inner.json"):
        Path(folder).mkdir(parents=True)
    for name in ("a/m.json", "a/m.txt", "b/m.json"):
        Path(name).write_bytes(encoded(KNN))
    before = contents()
    done = modelpick("convert", *sources, "-o", "out")
    assert (done.returncode, done.error) == (2, message)
    assert contents() == before


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("taken", "taken/knn.onnx: cannot be written: File exists"),
        ("taken/below", "taken/below/knn.onnx: cannot be written: Not a directory"),
        ("folder", "folder/knn.onnx: cannot be written: Is a directory"),
    ],
)
def test_refuses_targets(small, output, message):
    Path("folder/knn.onnx").mkdir(parents=True)
    Path("taken").write_bytes(b"")
    before = contents()
    done = small("convert", "knn.json", "-o", output)
    assert (done.returncode, done.error) == (2, message)
    assert contents() == before


BAD_DOCUMENTS = {
    "not trained": (encoded(KNN | {"trained": False}), "$.trained: expected true"),
    "another algorithm": (encoded(KNN | {"algorithm": "forest"}), "$.algorithm: expected one of knn, kmeans, svm"),
    "no algorithm": (b'{"trained": true}', "$: object missing required field `algorithm`"),
    "no object": (b"[1, 2]", "$: expected `object`"),
    "empty": (b"", "expected JSON"),
    "truncated": (encoded(KNN)[:-5], "expected JSON"),
    "no JSON": (b"k = 3\n", "expected JSON"),
    "binary": (bytes(range(256)), "expected UTF-8"),
    "Latin-1": ("{'é'}".encode("latin-1"), "expected UTF-8"),
    "UTF-16": (json.dumps(KNN).encode("utf-16"), "expected UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf" + encoded(KNN), "expected UTF-8"),
    "too deep": (b'{"algorithm":' + b"[" * 100_000, "expected JSON"),
    "a field twice": (b'{"k": 1, ' + encoded(KNN)[1:], "$.k: expected once"),
    "no neighbours": (encoded(KNN | {"k": 0}), "$.k: expected `int` >= 1"),
    "wrong type": (encoded(KNN | {"k": "2"}), "$.k: expected `int`"),
    "no rows": (encoded(KNN | {"embeddings": [], "labels": []}), "$.embeddings: expected at least one row"),
    "ragged": (encoded(KNN | {"embeddings": [[1, 2], [3], [4, 5, 6], [7, 8]]}), "$.embeddings[1]: expected 2 numbers"),
    "NaN": (encoded(KNN).replace(b"6.5", b"NaN"), "expected JSON"),
    "infinity": (encoded(KNN).replace(b"6.5", b"1e999"), "$.embeddings[2][1]: expected a finite number"),
    "labels": (encoded(KNN | {"labels": ["a"]}), "$.labels: expected 4 values"),
    "a name of two lines": (encoded(KNN | {"labels": ["a\nb", "b", "c", "d"]}), "$.labels[0]: expected `str`"),
    "qualities": (encoded(KNN | {"qualities": [1]}), "$.qualities: expected 4 values"),
    "latencies": (encoded(KNN | {"latencies": [1.5, 2, 3, 4]}), "$.latencies[0]: expected `int`"),
    "clusters": (encoded(KMEANS | {"num_clusters": 1}), "$.centroids: expected 1 rows or fewer"),
    "cluster models": (encoded(KMEANS | {"cluster_models": ["a"]}), "$.cluster_models: expected a model for each"),
    "no classifiers": (encoded(svm()), "$: expected at least one of"),
    "weights": (
        encoded(SVM | {"linear_classifiers": [LINEAR | {"weights": [1, 2, 3]}]}),
        "$.rbf_classifiers[0].support_vectors: expected 3 columns",
    ),
    "layers": (encoded(MLP | {"layers": []}), "$.layers: expected at least one linear layer"),
    "layer": (
        encoded(MLP | {"layers": [MLP["layers"][0] | {"bias": [1]}]}),
        "$.layers[0].bias: expected 2 values",
    ),
    "alpha": (encoded(SVM | {"rbf_classifiers": [RBF | {"alpha": [1]}]}), "$.rbf_classifiers[0].alpha: expected 2"),
}


@pytest.mark.parametrize(("data", "message"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_refuses_documents(modelpick, data, message):
    Path("bad.json").write_bytes(data)
    Path("good.onnx").write_bytes(converted(KNN))
    before = contents()
    for arguments in (["convert", "bad.json", "-o", "out"], ["verify", "good.onnx", "--against", "bad.json"]):
        done = modelpick(*arguments)
        assert done.returncode == 2
        assert done.error.startswith(f"bad.json: {message}")
        assert contents() == before


def test_a_refused_document_leaves_no_reports(modelpick):
    Path("bad.json").write_bytes(encoded(KNN | {"k": 0}))
    done = modelpick("convert", "bad.json", "-o", "out", "--report", "r.json", "--junit", "j.xml")
    assert (done.returncode, done.error) == (2, "bad.json: $.k: expected `int` >= 1")
    assert list(contents()) == ["bad.json"]


def test_a_refused_document_keeps_its_artifact(small):
    Path("knn.json").write_bytes(encoded(KNN | {"k": 0}))
    before = contents()
    assert small("convert", "knn.json", "-o", ".").returncode == 2
    assert contents() == before


WARNINGS = {
    "none": (KNN, []),
    "k": (KNN | {"k": 9}, ["$.k: 9 neighbours asked of 4 rows: all rows vote"]),
    "qualities": (KNN | {"qualities": [0, 1, -1, 1]}, ["$: 2 qualities below 0.01 count as 0.01"]),
    "two": (
        KNN | {"k": 9, "qualities": [0, 1, 1, 1]},
        ["$.k: 9 neighbours asked of 4 rows: all rows vote", "$: 1 qualities below 0.01 count as 0.01"],
    ),
    "cluster models": (
        KMEANS | {"cluster_models": ["a", "b", "c"]},
        ["$.cluster_models: 3 models for 2 centroids: the rest is ignored"],
    ),
    "kernel": (
        SVM | {"kernel_type": "Rbf"},
        ["$.kernel_type: 'Rbf' disagrees with the classifiers, which are scored"],
    ),
}


@pytest.mark.parametrize(("model", "messages"), WARNINGS.values(), ids=WARNINGS)
def test_warns(modelpick, model, messages):
    Path("a.json").write_bytes(encoded(model))
    Path("b.json").write_bytes(encoded(model))
    done = modelpick("convert", "a.json", "b.json", "-o", "out")
    assert done.returncode == 0
    assert done.stderr == "".join(f"warning: {file}.json: {message}\n" for file in "ab" for message in messages)
    assert sorted(contents("out")) == ["a.onnx", "b.onnx"]


@pytest.mark.parametrize("name", ["a b", "模型", "[red]x", "<&>\"'", "a\x01b", "a\nb", "x.y", "-", "\udcff"])
def test_takes_any_file_name(modelpick, name):
    Path("in").mkdir()
    Path(f"in/{name}.json").write_bytes(encoded(KNN | {"k": 9}))
    done = modelpick("convert", "in", "-o", "out", "--report", "r.json", "--junit", "j.xml")
    assert done.returncode == 0
    assert done.stderr.splitlines()[1:] == ["wrote r.json", "wrote j.xml"]
    assert done.stderr.startswith("warning: in/")
    assert contents("out").keys() == {f"{name}.onnx"}
    if name.isprintable():
        assert f"│ {name}.json " in done.stdout
        assert json.loads(Path("r.json").read_bytes())[0]["source"] == f"in/{name}.json"
    (case,) = ElementTree.parse("j.xml").getroot()
    assert case.get("name").startswith("in/")


GOOD = converted(KNN)
BAD_ARTIFACTS = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "expected an artifact sealed by modelpick"),
    "cut": (GOOD[:-1], "expected an artifact sealed by modelpick"),
    "altered": (GOOD[:50] + bytes([GOOD[50] ^ 1]) + GOOD[51:], "expected the bytes that modelpick sealed"),
    "a JSON model": (encoded(KNN), "expected an artifact sealed by modelpick"),
    "binary": (bytes(range(256)) * 9, "expected an artifact sealed by modelpick"),
}
ON_ARTIFACTS = {
    "select": ["select", "bad.onnx", "q.jsonl"],
    "verify": ["verify", "bad.onnx", "--against", "knn.json"],
    "inspect": ["inspect", "bad.onnx"],
    "restore": ["restore", "bad.onnx", "-o", "restored.json"],
}


@pytest.mark.parametrize(("data", "message"), BAD_ARTIFACTS.values(), ids=BAD_ARTIFACTS)
@pytest.mark.parametrize("arguments", ON_ARTIFACTS.values(), ids=ON_ARTIFACTS)
def test_refuses_artifacts(small, arguments, data, message):
    Path("q.jsonl").write_bytes(b"[1, 2]")
    if data is not None:
        Path("bad.onnx").write_bytes(data)
    before = contents()
    done = small(*arguments)
    assert done.returncode == 2
    assert done.error.startswith(f"bad.onnx: {message}")
    assert contents() == before


def tampered():
    """An artifact that votes with the qualities of other rows."""
    proto = parsed(converted(KNN))
    (qualities,) = (tensor for tensor in proto.graph.initializer if tensor.name == "row_quality")
    values = numpy_helper.to_array(qualities)
    qualities.CopyFrom(numpy_helper.from_array(values[::-1].copy(), qualities.name))
    return resealed(proto)


REPORTS = ["--report", "r.json", "--junit", "j.xml"]


def check_failure(done, modelpick, artifact, source):
    report = json.loads(Path("r.json").read_bytes())[-1]
    wrong = report["queries"] - report["agreed"]
    worst = f"such as {report['worst']['artifact']} instead of {report['worst']['estimator']}"
    message = f"{artifact}.onnx: expected the selections of {source}, got {wrong} others in 200 queries, {worst}"
    assert (done.returncode, done.error) == (1, message)
    assert wrong > 0
    suite = ElementTree.parse("j.xml").getroot()
    assert suite.get("failures") == "1"
    assert json.loads(suite[-1][0].text) == report["worst"]
    worst = json.loads(Path(f"{artifact}.worst.json").read_bytes())
    assert worst == report["worst"]["query"]
    replayed = modelpick("select", f"{artifact}.onnx", f"{artifact}.worst.json", "--json")
    assert replayed.returncode == 0
    return report["worst"], json.loads(replayed.stdout)


def test_verify_agrees(small):
    for name in SMALL:
        done = small("verify", f"{name}.onnx", "--against", f"{name}.json", "--samples", "13", *REPORTS)
        assert (done.returncode, done.stderr) == (0, "wrote r.json\nwrote j.xml\n")
        assert [cell.strip() for cell in done.stdout.splitlines()[3].split("│")[1:3]] == ["13", "13"]
        (report,) = json.loads(Path("r.json").read_bytes())
        assert (report["queries"], report["agreed"], report["worst"]) == (13, 13, None)
        assert ElementTree.parse("j.xml").getroot().get("tests") == "1"
        assert not Path(f"{name}.worst.json").exists()


def test_verify_takes_queries(small):
    Path("q.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    done = small("verify", "knn.onnx", "--against", "knn.json", "--queries", "q.jsonl", *REPORTS)
    assert (done.returncode, done.stderr) == (0, "wrote r.json\nwrote j.xml\n")
    (report,) = json.loads(Path("r.json").read_bytes())
    assert (report["queries"], report["agreed"]) == (4, 4)


def test_verify_disagrees(small):
    Path("knn.onnx").write_bytes(tampered())
    done = small("verify", "knn.onnx", "--against", "knn.json", *REPORTS)
    worst, replayed = check_failure(done, small, "knn", "knn.json")
    assert replayed["model"] == worst["artifact"]


def test_verify_refuses_an_artifact_of_another_model(small):
    Path("other.json").write_bytes(encoded(KNN | {"k": 1}))
    before = contents()
    done = small("verify", "knn.onnx", "--against", "other.json", *REPORTS)
    assert done.returncode == 2
    assert done.error.startswith("knn.onnx: expected the JSON model that it was made from, a knn of SHA-256 ")
    assert contents() == before


def test_convert_publishes_what_agrees_alone(small, monkeypatch):
    def broken(estimator, **options):
        return tampered() if estimator.source_.sha256 == sha256 else to_artifact(estimator, **options)

    sha256 = load_estimator("knn.json").source_.sha256
    monkeypatch.setattr(sys.modules["modelpick.converter.conversion"], "to_artifact", broken)
    before = contents()
    done = small("convert", "kmeans.json", "knn.json", "-o", ".", *REPORTS)
    assert "kmeans.json" in done.stdout
    check_failure(done._replace(stdout=""), small, "knn", "knn.json")
    assert contents().keys() - before.keys() == {"r.json", "j.xml", "knn.worst.json"}
    assert Path("knn.onnx").read_bytes() == before["knn.onnx"]

    done = small("convert", "kmeans.json", "knn.json", "-o", "out", *REPORTS)
    assert done.returncode == 1
    assert sorted(contents("out")) == ["kmeans.onnx", "knn.worst.json"]
    assert [report["source"] for report in json.loads(Path("r.json").read_bytes())] == ["kmeans.json", "knn.json"]


@pytest.mark.parametrize("name", SMALL)
def test_restores(small, name):
    done = small("restore", f"{name}.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == SMALL[name]
    assert small("restore", f"{name}.onnx", "-o", "new/restored.json") == (0, "", "wrote new/restored.json\n")
    assert json.loads(Path("new/restored.json").read_bytes()) == SMALL[name]
    assert small("convert", "new/restored.json", "-o", "again").returncode == 0


def test_refuses_to_restore_what_was_no_json(small):
    Path("bare.onnx").write_bytes(to_artifact(load_estimator("knn.json"), restorable=False))
    for arguments in ([], ["-o", "restored.json"]):
        done = small("restore", "bare.onnx", *arguments)
        assert (done.returncode, done.error) == (2, "bare.onnx: expected an artifact converted from a JSON model")
    assert not Path("restored.json").exists()


@pytest.mark.parametrize("arguments", [["select", "m.onnx", "q"], ["inspect", "m.onnx"], ["restore", "m.onnx"]])
def test_prints_names_that_the_terminal_cannot(modelpick, monkeypatch, arguments):
    Path("m.onnx").write_bytes(converted(KMEANS | {"cluster_models": ["模型", "模型"]}))
    Path("q").write_bytes(b"[1, 2]")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert modelpick(*arguments).returncode in (0, 2)
