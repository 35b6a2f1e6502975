"""What the commands make of the names of files and folders: a suffix or a slash that leads nowhere is an error."""

import shutil
from pathlib import Path

import pytest

from modelpick.converter.cli.names import looks_like_a_path
from modelpick.runtime import Selector
from support.command import modelpick
from support.folders import SMALL

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    for name in ("e.onnx", "text.onnx", "kmeans.onnx"):
        shutil.copy(made / name, tmp_path)
    for name in ("kmeans.json", "mlp.json", "benchmark.jsonl", "queries.jsonl"):
        shutil.copy(MODELS / name, tmp_path)
    (tmp_path / "my folder").mkdir()
    (tmp_path / "models").mkdir()
    shutil.copy(MODELS / "questions.jsonl", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SELECT = ("select", "text.onnx", "--encoder", "e.onnx")
EVALUATE = ("evaluate", "kmeans.onnx", "--data", "benchmark.jsonl")
TRAIN = ("train", "--data", "benchmark.jsonl", "--algorithm", "kmeans")
REFUSED = {
    "a typo in a file of prompts": ([*SELECT, "models/question.jsonl"], "models/question.jsonl: cannot be read"),
    "a typo in its folder": ([*SELECT, "modles/questions"], "modles/questions: cannot be read"),
    "a typo in a name with blanks": ([*SELECT, "my folder/question.jsonl"], "my folder/question.jsonl: cannot be read"),
    "a folder of prompts": ([*SELECT, "models/"], "models: cannot be read: Is a directory"),
    "a file named as a folder": (["select", "kmeans.onnx", "queries.jsonl/"], "queries.jsonl/: expected a folder"),
    "an artifact named as a folder": (["inspect", "kmeans.onnx/"], "kmeans.onnx/: expected a folder"),
    "records named as a folder": (["evaluate", "kmeans.onnx", "--data", "benchmark.jsonl/"], "benchmark.jsonl/: exp"),
    "no name": (["inspect", ""], "expected a name"),
    "no name of a folder": (["convert", "kmeans.json", "-o", ""], "expected a name"),
    "a prompt and a file": ([*SELECT, "models/questions.jsonl", "--prompt", "hi"], "--prompt: expected it"),
    "convert: a JSON": (["convert", "kmeans.json", "-o", "out.json"], "out.json: expected the name of a folder"),
    "convert: two to one": (["convert", "kmeans.json", "mlp.json", "-o", "x.onnx"], "x.onnx: expected a folder for"),
    "convert: standard output": (["convert", "kmeans.json", "-o", "-"], "-: expected the name of a folder"),
    "convert: report": (["convert", "kmeans.json", "-o", "o", "--report", "r.xml"], "r.xml: expected a name that ends"),
    "convert: JUnit": (["convert", "kmeans.json", "-o", "o", "--junit", "j.json"], "j.json: expected a name that ends"),
    "verify: report": (["verify", "kmeans.onnx", "--against", "kmeans.json", "--report", "r.html"], "r.html: expected"),
    "restore": (["restore", "kmeans.onnx", "-o", "new.onnx"], "new.onnx: expected a name that ends in .json"),
    "restore: a folder": (["restore", "kmeans.onnx", "-o", "new/"], "new/: expected the name of a file"),
    "encoder": (["encoder", SMALL, "-o", "encoder.json"], "encoder.json: expected a name that ends in .onnx"),
    "encoder: a folder": (["encoder", SMALL, "-o", "encoders/"], "encoders/: expected the name of a file"),
    "train: an artifact": ([*TRAIN, "-o", "kmeans.onnx2"], "kmeans.onnx2: expected the name of a folder, or a file's"),
    "train: two to one": ([*TRAIN, "--algorithm", "knn", "-o", "x.json"], "x.json: expected a folder for 2 models"),
    "evaluate: plot": ([*EVALUATE, "--plot", "plot.pdf"], "plot.pdf: expected a name that ends in .svg or .png"),
    "evaluate: picks": ([*EVALUATE, "--picks", "picks.csv"], "picks.csv: expected a name that ends in .jsonl"),
    "select: picks": (
        ["select", "kmeans.onnx", "--input", "queries.jsonl", "--output", "picks.csv"],
        "picks.csv: expected a name that ends in .jsonl or .parquet",
    ),
    "report": (["report", "kmeans.onnx", "-o", "x.pdf"], "x.pdf: expected a name that ends in .html or .htm"),
    "report: a folder": (["report", "kmeans.onnx", "-o", "out/"], "out/: expected the name of a file"),
    "report: standard output": (["report", "kmeans.onnx", "-o", "-"], "-: expected the name of a file"),
    "report: summary": (["report", "kmeans.onnx", "--summary", "s.html"], "s.html: expected a name that ends in .md"),
    "pull": (["pull", "owner/name", "-o", "models.json"], "models.json: expected the name of a folder"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_names_that_lead_nowhere(here, arguments, message):
    before = sorted(here.rglob("*"))
    done = modelpick(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert sorted(here.rglob("*")) == before


WRITTEN = {
    "one artifact": (["convert", "kmeans.json", "-o", "new/KNN.ONNX"], "new/KNN.ONNX"),
    "a folder with a dot": (["convert", "kmeans.json", "-o", "v1.2"], "v1.2/kmeans.onnx"),
    "a new folder with a suffix": (["convert", "kmeans.json", "-o", "new.onnx/"], "new.onnx/kmeans.onnx"),
    "one model": ([*TRAIN, "-o", "new/mine.json"], "new/mine.json"),
    "a page": (["report", "kmeans.onnx", "--samples", "0", "-o", "p.htm", "--summary", "step_summary"], "step_summary"),
    "what mktemp makes": (
        ["verify", "kmeans.onnx", "--against", "kmeans.json", "--report", "tmp.AbCdEfGhIj"],
        "tmp.AbCdEfGhIj",
    ),
}


@pytest.mark.parametrize(("arguments", "written"), WRITTEN.values(), ids=WRITTEN)
def test_writes_what_the_name_says(here, arguments, written):
    done = modelpick(*arguments)
    assert done.returncode == 0, done.stderr
    assert (here / written).is_file()


def test_a_folder_that_exists_is_named_as_it_likes(here):
    Path("old.json").mkdir()
    assert modelpick("convert", "kmeans.json", "-o", "old.json").returncode == 0
    assert Path("old.json/kmeans.onnx").is_file()


def test_evaluates_the_artifacts_of_a_folder(here):
    Path("folder").mkdir()
    shutil.copy("kmeans.onnx", "folder")
    done, one = modelpick("evaluate", "folder", *EVALUATE[2:]), modelpick(*EVALUATE)
    assert (done.returncode, done.stdout) == (0, one.stdout)
    assert modelpick("evaluate", "models", *EVALUATE[2:]).stderr.endswith(".onnx file in this folder\n")


@pytest.mark.parametrize("output", [(), ("-o", "-")])
def test_restores_to_standard_output(here, output):
    assert modelpick("restore", "kmeans.onnx", *output).stdout.startswith('{"algorithm":"kmeans"')
    assert not Path("-").exists()


PROMPTS = [
    "How do I reverse a list?",
    "and so on...",
    "What is 1/2 of 3.5?",
    "Why?",
    "explain setup.py",
    "TCP/IP是什么",
]
PATHS = ["q.jsonl", "./q", "models/q", "/etc/hosts", "questions.json.gz", "a/b.c"]


def test_tells_prompts_from_names(here):
    assert [text for text in PROMPTS if looks_like_a_path(text)] == []
    assert [text for text in PATHS if not looks_like_a_path(text)] == []


def test_takes_any_prompt_with_the_option(here):
    with Selector.load("text.onnx") as selector:
        names = selector.model_names
    for arguments in (("--prompt", "models/question.jsonl"), ("How do I?",)):
        done = modelpick(*SELECT, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip() in names
