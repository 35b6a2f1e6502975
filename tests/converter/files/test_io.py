"""Reading and writing files of users: nothing of theirs is lost, and nothing blocks."""

import gzip
import json
import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from modelpick.converter import convert
from modelpick.converter.files.bulk import select_file
from modelpick.converter.files.io import give_back, read_bytes, read_contents, write_atomically
from modelpick.converter.files.text import place_not_utf8
from modelpick.converter.training.records import read_records
from modelpick.runtime import ModelpickError
from support.attacks import attack
from support.catalogue import kmeans
from support.command import modelpick, with_streams
from support.recorded import ROOT

MODEL = kmeans([[0.0, 0.0], [5.0, 5.0]], ["near", "far"])
QUERIES = "[0, 1]\n\n[6, 5]\r\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.json").write_text(json.dumps(MODEL))
    convert("m.json", "m.onnx", samples=0)
    Path("q.jsonl").write_text(QUERIES)
    return tmp_path


def in_shell(*arguments, streams):
    """Run the command in a process of its own, with redirections."""
    command = ["bash", "-c", '"$@" ' + streams, "bash", sys.executable, "-m", "modelpick", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=600)


def contents():
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["q.jsonl", "link.jsonl", "hard.jsonl", "onto.jsonl"])
def test_refuses_to_write_over_what_is_read(folder, target):
    Path("link.jsonl").symlink_to("q.jsonl")
    os.link("q.jsonl", "hard.jsonl")
    Path("onto.jsonl").symlink_to("m.onnx")
    before = contents()
    done = modelpick("select", "m.onnx", "--input", "q.jsonl", "--output", target)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {target}: expected another file than ")
    assert contents() == before


def test_converting_and_restoring_write_over_no_source(folder):
    Path("out").mkdir()
    os.link("m.json", "out/m.onnx")
    Path("again.json").symlink_to("m.onnx")
    Path("copy.onnx").symlink_to(ROOT / "models/encoder/tokenizer.json")
    before = contents()
    for arguments in (
        ("convert", "m.json", "-o", "out"),
        ("convert", "m.json", "-o", "o", "--report", "m.json"),
        ("restore", "m.onnx", "-o", "again.json"),
        ("verify", "m.onnx", "--against", "m.json", "--report", "again.json"),
        ("encoder", ROOT / "models/encoder", "-o", "copy.onnx"),
    ):
        done = modelpick(*arguments)
        assert (done.returncode, "expected another file than" in done.stderr) == (2, True)
        assert contents() == before


def test_leaves_alone_what_users_made(folder):
    theirs = {".p.jsonl.modelpick-parts/notes": "mine", "p.jsonl.bad.jsonl": "mine", "p.jsonl.parts/a": "mine"}
    for name, text in theirs.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    with pytest.raises(ModelpickError, match="expected the parts of an earlier run, or nothing"):
        select_file(Path("m.onnx"), Path("q.jsonl"), Path("p.jsonl"))
    Path(".p.jsonl.modelpick-parts").rename("moved")
    assert select_file(Path("m.onnx"), Path("q.jsonl"), Path("p.jsonl")) == (2, 0, 0)
    assert [Path(name).read_text() for name in ("moved/notes", "p.jsonl.bad.jsonl", "p.jsonl.parts/a")] == ["mine"] * 3


def test_a_link_is_written_through_and_a_mode_kept(folder):
    Path("real").write_text("old")
    Path("real").chmod(0o640)
    Path("link").symlink_to("real")
    write_atomically(Path("link"), b"new")
    assert (Path("link").is_symlink(), Path("real").read_text()) == (True, "new")
    assert Path("real").stat().st_mode & 0o777 == 0o640
    Path("p.real").touch(0o600)
    Path("p.jsonl").symlink_to("p.real")
    select_file(Path("m.onnx"), Path("q.jsonl"), Path("p.jsonl"))
    assert (Path("p.jsonl").is_symlink(), len(Path("p.real").read_text().splitlines())) == (True, 2)


def test_a_device_is_written_to_and_stays(folder):
    write_atomically(Path(os.devnull), b"data")
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", ["folder", "pipe", "/dev/zero"])
def test_refuses_what_is_no_file(folder, name):
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for arguments in (
        ("convert", name, "-o", "out") if name != "folder" else ("verify", "m.onnx", "--against", name),
        ("select", name, "q.jsonl"),
        ("select", "m.onnx", name),
        ("select", "m.onnx", "--input", name, "--output", "p.jsonl"),
        *([] if name == "folder" else [("train", "--data", name, "-o", "out"), ("evaluate", "m.onnx", "--data", name)]),
    ):
        done = modelpick(*arguments)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, line.startswith(f"error: {name}: cannot be read: Is a d")) == (2, True), line


def test_pipes_of_the_shell_are_read(folder):
    done = in_shell("select", "m.onnx", streams="<(cat q.jsonl)")
    assert (done.returncode, done.stdout) == (0, b"near\nfar\n")


def test_a_minus_is_standard_input(folder):
    assert modelpick("select", "m.onnx", "-", stdin=QUERIES.encode()).stdout == "near\nfar\n"
    assert modelpick("convert", "-", "-o", "out", stdin=json.dumps(MODEL).encode()).returncode == 0
    assert Path("out/stdin.onnx").exists()
    assert modelpick("verify", "m.onnx", "--against", "-", stdin=json.dumps(MODEL).encode()).returncode == 0


TEXTS = {
    "plain": QUERIES.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + QUERIES.encode(),
    "gzip": gzip.compress(QUERIES.encode()),
    "gzip and a mark": gzip.compress(b"\xef\xbb\xbf" + QUERIES.encode()),
    "carriage returns": QUERIES.replace("\r", "").replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_text_is_read_alike_everywhere(folder, data):
    Path("t.jsonl").write_bytes(data)
    assert modelpick("select", "m.onnx", "t.jsonl").stdout == "near\nfar\n"
    assert modelpick("select", "m.onnx", stdin=data).stdout == "near\nfar\n"
    assert select_file(Path("m.onnx"), Path("t.jsonl"), Path("p.jsonl")) == (2, 0, 0)


def test_records_are_read_by_their_content(folder):
    rows = [{"query": "a", "model_name": "m", "performance": 0.5}, {"query": "b", "model_name": "m", "performance": 1}]
    text = "\r\n\r\n".join(map(json.dumps, rows)).encode()
    table = pyarrow.Table.from_pylist([{**row, "performance": float(row["performance"])} for row in rows])
    parquet.write_table(table, "records")
    for data in (text, b"\xef\xbb\xbf" + text, gzip.compress(text), Path("records").read_bytes()):
        assert read_records(data).quality.tolist() == [[0.5], [1.0]]
    with pytest.raises(ModelpickError, match="expected UTF-8, got UTF-16"):
        read_records(text.decode().encode("utf-16"))
    with pytest.raises(ModelpickError, match="<bytes>: expected gzip"):
        read_records(gzip.compress(text)[:-9])


def test_an_endless_line_is_refused(folder, monkeypatch):
    monkeypatch.setattr("modelpick.converter.files.queries.WHOLE_BYTES", 100)
    monkeypatch.setattr("modelpick.converter.files.text.LINE_BYTES", 1_000)
    Path("q.jsonl").write_bytes(b"[0, 1]\n" + b"\0" * 3_000)
    with pytest.raises(ModelpickError, match=r"q.jsonl: line 2: expected at most"):
        select_file(Path("m.onnx"), Path("q.jsonl"), Path("p.jsonl"))


@pytest.mark.parametrize("size", [0, 5, 10, 15])
def test_a_file_that_grows_or_is_cut_meanwhile_is_read_to_its_end(tmp_path, monkeypatch, size):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    status = SimpleNamespace(st_size=size, st_mode=path.stat().st_mode)
    monkeypatch.setattr("modelpick.converter.files.io.os.fstat", lambda descriptor: status)
    assert read_contents(path, ModelpickError)[1][:] == b"0123456789"


def test_bytes_that_are_given_back_leave_the_others(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 256)
    _, contents = read_contents(path, ModelpickError)
    for start, stop in ((0, 10), (mmap.PAGESIZE - 1, 3 * mmap.PAGESIZE + 1)):
        give_back(contents, start, stop)
        assert contents[:start] + contents[stop:] == path.read_bytes()[:start] + path.read_bytes()[stop:]
    give_back(path.read_bytes(), 0, 256 * 256)


@pytest.mark.parametrize("text", [b"", b"abcd", "a\u00e9\u20ac\U0001f600z".encode()])
def test_the_first_byte_that_is_not_utf8_is_found_across_blocks(monkeypatch, text):
    monkeypatch.setattr("modelpick.converter.files.text.DECODED_AT_ONCE", 3)
    assert place_not_utf8(text) is None
    for wrong in (b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xe2\x82"):
        with pytest.raises(UnicodeDecodeError) as caught:
            (text + wrong + b"zzz").decode()
        assert place_not_utf8(text + wrong + b"zzz") == caught.value.start
        assert place_not_utf8(text + wrong) == len(text)


def test_unreadable_bytes_name_the_file():
    with pytest.raises(ModelpickError, match="missing: cannot be read: No such file"):
        read_bytes("missing", ModelpickError)


def test_converts_what_can_be_and_lists_every_refusal(folder):
    Path("models").mkdir()
    for name, data in {
        "a.json": MODEL,
        "config.json": {"model_type": "bert"},
        "deep.json": MODEL | {"num_clusters": 0},
        "odd.json": MODEL | {"trained": False},
        "z.json": MODEL,
        ".hidden.json": {},
    }.items():
        (Path("models") / name).write_text(json.dumps(data))
    done = modelpick("convert", "models", "-o", "out")
    assert done.returncode == 2
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.onnx", "z.onnx"]
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["models/config.json", "error", "error"]
    assert [line.split(":")[1] for line in lines[1:]] == [" models/deep.json", " models/odd.json"]
    assert "a.json" in done.stdout and "z.json" in done.stdout


STREAMS = {
    "both": ({"stdout": None, "stderr": None}, 0),
    "output": ({"stdout": None}, 0),
    "errors": ({"stderr": None}, 0),
    "input": ({"stdin": None}, 0),
    "all": ({"stdin": None, "stdout": None, "stderr": None}, 0),
    "full": ({"stdout": "/dev/full"}, 2),
    "errors full": ({"stderr": "/dev/full"}, 0),
}


@pytest.mark.parametrize(("streams", "code"), STREAMS.values(), ids=STREAMS)
def test_work_is_done_whatever_the_streams_are(folder, streams, code):
    done = attack(with_streams, folder, streams, "convert", "m.json", "-o", "out")
    assert (done.kind, done.what) == ("answered", code), done
    assert Path("out/m.onnx").read_bytes() == Path("m.onnx").read_bytes()
    written = "error: standard output: cannot be written: No space left on device\n"
    assert "stdout" not in streams or done.output == (written if code else "")
    refused = attack(with_streams, folder, streams, "convert", "missing.json", "-o", "out")
    assert (refused.kind, refused.what) == ("answered", 2), refused
    assert "Traceback" not in done.output + refused.output


def test_work_is_done_where_the_shell_closes_every_stream(folder):
    assert in_shell("convert", "m.json", "-o", "out", streams="<&- >&- 2>&-").returncode == 0
    assert Path("out/m.onnx").read_bytes() == Path("m.onnx").read_bytes()


def test_an_endless_stream_ends_where_nobody_reads(folder):
    code = "yes '[0, 1]' | timeout 20 \"$@\" select m.onnx | head -n 1; echo ${PIPESTATUS[1]}"
    command = ["bash", "-c", code, "bash", sys.executable, "-m", "modelpick"]
    done = subprocess.run(command, capture_output=True, timeout=600)
    assert (done.stdout, done.stderr) == (b"near\n0\n", b"")


NAMES = ["x[/INST]", "qwen[instruct]", ":warning:", "[bold]b", "[link=x]y", "$x^{"]


def test_names_are_data(folder):
    """No model's name is read as markup: it is printed as it is, in every table."""
    model = MODEL | {"num_clusters": len(NAMES), "cluster_models": NAMES}
    model["centroids"] = [[10.0 * place, 0.0] for place in range(len(NAMES))]
    Path("n.json").write_text(json.dumps(model))
    Path("o.json").write_text(json.dumps(model | {"cluster_models": NAMES[::-1]}))
    records = [
        {"query": f"q{q}", "model_name": name, "performance": float((q + i) % 3), "cost": 0.1 * i, "embedding": [q, 0]}
        for q in range(12)
        for i, name in enumerate(NAMES)
    ]
    Path("r.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    Path("[red]").mkdir()
    for arguments in (
        ("convert", "n.json", "o.json", "-o", "[red]"),
        ("inspect", "[red]/n.onnx"),
        ("diff", "[red]/n.onnx", "[red]/o.onnx"),
        ("select", "[red]/n.onnx", "q.jsonl"),
        ("train", "--data", "r.jsonl", "-o", "[red]", "--features", "embedding"),
        ("convert", "[red]", "-o", "[red]"),
        ("evaluate", "[red]/kernel_ridge_model.onnx", "--data", "r.jsonl", "--plot", "p.svg", "--full"),
    ):
        done = modelpick(*arguments)
        assert done.returncode == 0, done.stderr
        if arguments[0] in ("inspect", "evaluate", "diff"):
            shown = done.stdout
            assert [name for name in NAMES if name not in shown] == []


def test_any_column_holds_bad_rows_at_worst(folder):
    tensor = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.array([[0.0, 1.0], [6.0, 5.0]]))
    columns = {
        "strings": (pyarrow.array(["[0, 1]", "x"]), 2),
        "numbers": (pyarrow.array([1.0, 2.0]), 2),
        "structs": (pyarrow.array([{"a": 1}, {"a": 2}]), 2),
        "binary": (pyarrow.array([b"x", b"y"]), 2),
        "null": (pyarrow.nulls(2), 2),
        "dictionary": (pyarrow.array(["x", "y"]).dictionary_encode(), 2),
        "map": (pyarrow.array([[("a", 1)], []], pyarrow.map_(pyarrow.string(), pyarrow.int64())), 2),
        "ragged": (pyarrow.array([[1.0], [1.0, 2.0, 3.0]]), 2),
        "words": (pyarrow.array([["x", "y"], ["y", "z"]]), 2),
        "one null": (pyarrow.array([[0.0, 1.0], None]), 1),
        "tensor": (tensor, 0),
        "halves": (pyarrow.array([np.array([0, 1], np.float16), np.array([6, 5], np.float16)]), 0),
    }
    for name, (column, bad) in columns.items():
        parquet.write_table(pyarrow.table({"features": column}), "c.parquet")
        found = select_file(Path("m.onnx"), Path("c.parquet"), Path("p.jsonl"))
        assert (name, found) == (name, (2, bad, 0))


BAD_LINES = [
    '{"embedding": [1, 2], "category": ["math"]}',
    '{"embedding": [[1], [2, 3]], "category": "math"}',
    '{"embedding": [1, "2"], "category": "math"}',
    f"[{'9' * 400}, 1]",
    f'{{"features": [{"9" * 400}, 1]}}',
    "[[1, 2], [3]]",
    '{"features": {"a": 1}}',
    '"\\ud800"',
    "{",
    "null",
    "[null, 1]",
    "[1e400, 1]",
]


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_one_bad_line_is_one_bad_row(folder, line):
    Path("b.jsonl").write_text(f"[0, 1]\n{line}\n[6, 5]\n")
    for _ in range(2):
        found = select_file(Path("m.onnx"), Path("b.jsonl"), Path("p.jsonl"))
        picks = [json.loads(pick) for pick in Path("p.jsonl").read_text().splitlines()]
        assert (picks[0]["model"], picks[-1]["model"]) == ("near", "far")
        assert found.bad == sum("error" in pick for pick in picks) >= 1
