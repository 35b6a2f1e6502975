"""Mistakes that newcomers make: each gets one line that leads to the fix."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelpick.runtime import ArtifactError, Selector
from support.command import modelpick


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made)


RECORDS = ["--data", "benchmark.jsonl"]
TEXT = ["--encoder", "e.onnx"]
MISTAKES = {
    "a typo in a file of prompts": (["select", "text.onnx", *TEXT, "question.jsonl"], "say --prompt"),
    "a category that does not count": (
        ["select", "text.onnx", *TEXT, "hi there", "--category", "maths"],
        "this artifact takes no category",
    ),
    "a category with a file": (
        ["select", "mlp.onnx", "queries.jsonl", "--category", "math"],
        "files of queries hold",
    ),
    "select: a JSON model": (["select", "mlp.json", "queries.jsonl"], "mlp.json: expected an artifact"),
    "evaluate: a JSON model": (["evaluate", "mlp.json", *RECORDS], "`modelpick convert` makes one"),
    "inspect: a JSON model": (["inspect", "mlp.json"], "`modelpick convert` makes one"),
    "verify: a JSON model": (["verify", "mlp.json", "--against", "mlp.json"], "`modelpick convert` makes one"),
    "restore: records": (["restore", "benchmark.jsonl"], "it is JSON, but no model"),
    "convert: an artifact": (["convert", "mlp.onnx", "-o", "out"], "got an artifact"),
    "convert: records": (["convert", "benchmark.jsonl", "-o", "out"], "`modelpick train` makes of them"),
    "verify: an artifact": (["verify", "mlp.onnx", "--against", "mlp.onnx"], "expected a JSON model"),
    "train: an artifact": (["train", "--data", "mlp.onnx", "-o", "out"], "CSV or Parquet, got an artifact"),
    "train: a JSON model": (["train", "--data", "mlp.json", "-o", "out"], "got a JSON model"),
    "select: an artifact as queries": (["select", "mlp.onnx", "mlp.onnx"], "expected queries"),
    "a prompt without an encoder": (["select", "text.onnx", "hi there"], "prompts need --encoder, for this artifact"),
    "a prompt for features": (["select", "mlp.onnx", "hi there"], "trained with one"),
    "a file of prompts without an encoder": (["select", "text.onnx", "questions.jsonl"], "with --encoder"),
    "prompts that are no JSON": (
        ["select", "text.onnx", *TEXT, "prompts.txt"],
        "prompts.txt:1: expected JSON, a prompt",
    ),
    "evaluate: no encoder": (["evaluate", "text.onnx", *RECORDS], "text.onnx: expected embeddings of the encoder"),
    "report: no encoder": (["report", "text.onnx", *RECORDS], "say --encoder"),
    "an encoder's folder": (["select", "text.onnx", "--encoder", "encoder", "hi you"], "`modelpick encoder` makes one"),
    "a model on the hub": (["encoder", "owner/name", "-o", "x.onnx"], "is downloaded first"),
    "select: a folder": (["select", "artifacts", "queries.jsonl"], "such as mlp.onnx in it"),
    "inspect: a folder": (["inspect", "artifacts"], "artifacts: cannot be read: Is a directory: expected one file"),
    "queries as CSV": (["select", "mlp.onnx", "records.csv"], "JSON lines, got CSV"),
    "an empty file": (["train", "--data", "empty.jsonl", "-o", "out"], "got an empty file"),
    "an empty artifact": (["inspect", "empty.jsonl"], "it is empty"),
    "another model": (
        ["verify", "kmeans.onnx", "--against", "mlp.json"],
        "kmeans.onnx: expected the JSON model that it was made from, a kmeans",
    ),
    "costs for an MLP": (
        ["select", "mlp.onnx", "queries.jsonl", "--cost-weight", "2"],
        "--cost-weight, --seconds-weight",
    ),
    "a point of an MLP": (["select", "mlp.onnx", "queries.jsonl", "--keep", "0.9"], "--keep: expected"),
    "evidence for an MLP": (
        ["select", "mlp.onnx", "--input", "queries.jsonl", "--output", "p.jsonl", "--evidence", "1"],
        "--evidence: expected",
    ),
    "two widths": (
        ["diff", "mlp.onnx", "narrow.onnx"],
        "narrow.onnx: expected an artifact of 1,038 numbers as mlp.onnx",
    ),
    "inspect: a newer artifact": (["inspect", "newer.onnx"], "newer.onnx: expected format version 2 or older, got 9"),
    "select: a newer artifact": (
        ["select", "newer.onnx", "--input", "queries.jsonl", "--output", "p.jsonl"],
        "newer.onnx: expected format version",
    ),
}


@pytest.mark.parametrize(("arguments", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_one_line_leads_to_the_fix(here, arguments, advice):
    before = sorted(Path().rglob("*"))
    done = modelpick(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    *others, line = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert advice in line
    assert all(other.startswith("warning: ") for other in others)
    assert sorted(Path().rglob("*")) == before


def test_few_queries_are_warned_of(here, tmp_path):
    done = modelpick("train", "--data", "few.jsonl", "-o", tmp_path, "--features", "embedding", "--algorithm", "knn")
    assert done.returncode == 0
    assert "warning: few.jsonl: all records are of 2 queries: too few to tell" in done.stderr


def test_names_of_choices_are_taken_in_any_case(here, tmp_path):
    done = modelpick("train", *RECORDS, "-o", tmp_path, "--algorithm", "KMeans", "--semantics", "Native")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kmeans_model.json").is_file()


def test_one_provider_is_named_as_one(here):
    with pytest.raises(ArtifactError, match=r"expected a list of names, got one name: \['CPUExecutionProvider'\]"):
        Selector.load("mlp.onnx", providers="CPUExecutionProvider")


def without(library, code):
    """Run code where a library is not installed: its exit code, and what it printed last on standard error."""
    code = f"import sys; sys.modules[{library!r}] = None; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    return done.returncode, done.stderr.splitlines()


def test_the_command_says_what_it_needs():
    code, lines = without("typer", "import runpy; runpy.run_module('modelpick', run_name='__main__')")
    assert (code, lines) == (2, ["error: the command needs typer: pip install 'modelpick[converter]'"])


@pytest.mark.parametrize(
    ("module", "library"),
    [("prometheus", "prometheus_client"), ("opentelemetry", "opentelemetry.metrics"), ("ray", "ray.data")],
)
def test_modules_say_which_extra_they_need(module, library):
    code, lines = without(library, f"import modelpick.runtime.serving.{module}")
    expected = f"modelpick.runtime.serving.{module} needs {library}: pip install 'modelpick[{module}]'"
    assert (code, lines[-1]) == (1, f"ModuleNotFoundError: {expected}")
