"""Nothing that a file, a record or an artifact holds drives a terminal, forges a line, or breaks XML and UTF-8."""

import json
import logging
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.errors import one_line
from modelpick.runtime.events import logger
from modelpick.runtime.serving.store import SelectorStore
from support.attacks import entries, parsed, resealed
from support.catalogue import kmeans
from support.command import modelpick
from support.folders import SMALL

BAD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
CLOSED = re.compile("\u2068([^\u2066-\u2069]*)\u2069")
# Sets a title; erases; C1, as terminals take it too; turns what follows; ends a line; is no XML; is half a surrogate.
NASTY = ["\x1b]0;pwned\x07", "\x1b[2J", "\x9b31m", "\u202egnp", "a\nerror: forged", "a\ufffe\uffff", "\udcff\r"]
# What the name of a language model may hold.
NAMES = ["\u202egnp", "a\ufffe\uffff", "x\u2066y"]


def bad(text):
    """Find what must not be shown as it is; a closed isolate may stand around a name."""
    return BAD.search(CLOSED.sub(r"\1", text))


@given(st.text() | st.sampled_from(NASTY))
@example("".join(NASTY))
@example("\u2068a\u2068\u202eb\u2069\u2069")
def test_makes_any_text_printable(text):
    line = one_line(text)
    assert not bad(line) and "\n" not in line
    line.encode()
    assert json.loads(one_line(json.dumps(text, ensure_ascii=False))) == text
    ElementTree.fromstring(f"<a>{line.replace('&', '').replace('<', '').replace(']]>', '')}</a>")


def check(done, codes=(0,)):
    assert done.returncode in codes, done.stderr
    assert not bad(done.stdout + done.stderr)
    assert not re.search("^(error|warning): forged", done.stdout + done.stderr, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Models and records that name what they can."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for place, name in enumerate(NASTY):
        names = [NAMES[place % len(NAMES)], "b"]
        Path(f"in/{name}.json").write_text(json.dumps(kmeans([[1, 2], [3, 4]], names)))
    records = [
        {
            "query": f"{NASTY[i % 6]} {i}",
            "category": NASTY[i % 6],
            "model_name": name,
            "performance": (i + j) % 2,
            "cost": j + 1,
            "embedding": [i % 2, i],
        }
        for i in range(24)
        for j, name in enumerate(NAMES)
    ]
    Path("records.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names of files")
def test_no_command_prints_what_is_not_printable(folder):
    check(modelpick("convert", "in", "-o", "out", "--junit", "j.xml", "--report", "r.json"))
    assert {case.get("name") for case in ElementTree.parse("j.xml").getroot()} == {
        one_line(f"in/{name}.json") for name in NASTY
    }
    Path("q.jsonl").write_text("[1, 2]\n[3, 4]")
    for name in NASTY:
        artifact, source = f"out/{name}.onnx", f"in/{name}.json"
        check(modelpick("select", artifact, "q.jsonl"))
        check(modelpick("select", artifact, "q.jsonl", "--json"))
        check(modelpick("inspect", artifact))
        check(modelpick("inspect", artifact, "--json"))
        check(modelpick("verify", artifact, "--against", source, "--junit", "j.xml", "--samples", "5"))
        assert json.loads(modelpick("restore", artifact).stdout) == json.loads(Path(source).read_text())
        check(modelpick("restore", artifact))
        check(modelpick("select", artifact, f"{name}.jsonl"), codes=[2])
        check(modelpick("select", artifact, "--encoder", name, name), codes=[2])
    artifact, other = (f"out/{name}.onnx" for name in NASTY[:2])
    check(modelpick("diff", artifact, other, "--queries", "q.jsonl"))
    check(modelpick("diff", artifact, other, "--queries", "q.jsonl", "--json"))
    train = ("train", "--data", "records.jsonl", "-o", f"trained {NASTY[0]}", "--features", "embedding")
    check(modelpick(*train, "--algorithm", "kmeans"))
    check(modelpick("convert", f"trained {NASTY[0]}/kmeans_model.json", "-o", "t.onnx"))
    check(modelpick("evaluate", "t.onnx", "--data", "records.jsonl", "--picks", "p.jsonl"))
    check(modelpick("evaluate", "t.onnx", "--data", "records.jsonl", "--json"))
    check(modelpick("report", "t.onnx", "--data", "records.jsonl", "--summary", "-", "--samples", "5"))
    check(modelpick("report", "t.onnx", "--data", "records.jsonl", "--json", "--samples", "5"))
    page = Path("report.html").read_text()
    assert not bad(page)
    assert "\u2068" in page and "\\u2068" not in page
    check(modelpick("encoder", SMALL, "-o", "e.onnx", "--name", NASTY[0]))
    check(modelpick("inspect", "e.onnx"))


def test_pull_prints_no_name_of_a_repository_as_it_is(folder, monkeypatch):
    source = Path("in/a.json")
    shutil.copy(f"in/{NASTY[0]}.json", source)

    def download(repository, name, revision, local_dir, **options):
        return shutil.copy(source, Path(local_dir, name))

    listed = [f"{name}.json" for name in NASTY[:4]]
    hub = SimpleNamespace(
        HfApi=lambda: SimpleNamespace(
            list_repo_tree=lambda repository, revision: [SimpleNamespace(path=name, size=9) for name in listed]
        ),
        hf_hub_download=download,
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    check(modelpick("pull", "owner/name", "-o", "pulled"), codes=[0, 2])


@pytest.mark.parametrize("name", ["", *(name for name in NASTY if name not in NAMES)])
def test_artifacts_with_other_names_are_refused(folder, name):
    modelpick("convert", f"in/{NASTY[0]}.json", "-o", "a.onnx")
    names = json.dumps([name, "b"])
    renamed = entries(parsed(Path("a.onnx").read_bytes()), model_names=names, choices=names)
    with pytest.raises(ArtifactError, match="expected names without control characters"):
        Selector.load(resealed(renamed))


def test_no_line_of_the_log_is_forged(folder, caplog):
    modelpick("convert", "in", "-o", "out")
    Path("out/bad\nerror: forged\x1b[2J.onnx").write_bytes(b"")
    with caplog.at_level(logging.INFO, logger="modelpick"):
        with SelectorStore("out", poll_seconds=60) as store:
            assert len(store.names) == len(NASTY)
        logger.warning("%s of %d", "a\nb", 3)
        try:
            raise ValueError("\x1b[2J\nforged")
        except ValueError:
            logger.exception("failed on %s", Path("a\x9bb"))
    assert len(caplog.records) == len(NASTY) + 3
    for record in caplog.records:
        assert not bad(record.getMessage()) and "\n" not in record.getMessage()
    assert caplog.records[-2].args == ("a\\u000ab", 3)
    assert not bad(caplog.text)


def test_texts_of_standard_input_leave_nothing(folder, made):
    before = {path.name for path in folder.iterdir()}
    done = modelpick(
        *("train", "--data", "-", "-o", "t", "--encoder", made / "e.onnx", "--algorithm", "knn"),
        stdin=(made / "benchmark.jsonl").read_bytes(),
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == before | {"t"}
