"""The command `select`, and the queries that commands read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelpick.runtime import Selector
from support.artifacts import contents, converted, encoded
from support.catalogue import kernel_ridge
from support.narrow import KNN, QUERIES, SMALL

COMMAND = Path(sys.executable).with_name("modelpick")


QUERY_FILES = {
    "one": (b"[1, 2]", QUERIES[:1]),
    "lines": ("\n".join(map(json.dumps, QUERIES)).encode(), QUERIES),
    "blank lines": (b"\n[1, 2]\r\n\r\n \n[4.5, 5]\n", QUERIES[:2]),
    "an array": (encoded(QUERIES), QUERIES),
    "an array over lines": (json.dumps(QUERIES, indent=1).encode(), QUERIES),
    "arrays, one a line": (b"[[1, 2], [4.5, 5]]\n[[0, 0]]\n[-3, 1e3]\n", QUERIES),
    "objects": (b"".join(encoded({"features": query}) + b"\n" for query in QUERIES), QUERIES),
    "embeddings": (b"".join(encoded({"embedding": query}) + b"\n" for query in QUERIES), QUERIES),
    "an array of objects": (
        encoded([{"features": QUERIES[0], "embedding": 1}, {"embedding": QUERIES[1]}]),
        QUERIES[:2],
    ),
    "a byte order mark": (b"\xef\xbb\xbf[1, 2]\r\n[4.5, 5]\r\n", QUERIES[:2]),
    "U+2028 and others": ('{"features": [1, 2], "note": "\u2028\x85"}\n\n[4.5,\r5]'.encode(), QUERIES[:2]),
}


@pytest.mark.parametrize("stdin", [True, False], ids=["stdin", "file"])
@pytest.mark.parametrize(
    ("name", "kind"), [*(("knn", kind) for kind in QUERY_FILES), *((name, "lines") for name in SMALL if name != "knn")]
)
def test_selects(small, name, kind, stdin):
    data, queries = QUERY_FILES[kind]
    Path("queries.jsonl").write_bytes(data)
    arguments, options = ([], {"stdin": data}) if stdin else (["queries.jsonl"], {})
    plain = small("select", f"{name}.onnx", *arguments, **options)
    as_json = small("select", f"{name}.onnx", *arguments, "--json", **options)
    with Selector.load(f"{name}.onnx") as selector:
        expected = [selector.explain(query) for query in queries]
    assert plain == (0, "".join(f"{why['model']}\n" for why in expected), "")
    assert (as_json.returncode, as_json.stderr) == (0, "")
    assert [json.loads(line) for line in as_json.stdout.splitlines()] == expected


@pytest.mark.parametrize(("data", "queries"), QUERY_FILES.values(), ids=QUERY_FILES)
def test_commands_read_the_same_queries(small, data, queries):
    Path("q.jsonl").write_bytes(data)
    with Selector.load("knn.onnx") as knn, Selector.load("mlp.onnx") as mlp:
        expected, others = ([selector.select(query) for query in queries] for selector in (knn, mlp))
    assert small("select", "knn.onnx", "--input", "q.jsonl", "--output", "picks.jsonl").returncode == 0
    assert [json.loads(line)["model"] for line in Path("picks.jsonl").read_text().splitlines()] == expected
    assert (
        small("verify", "knn.onnx", "--against", "knn.json", "--queries", "q.jsonl", "--report", "r.json").returncode
        == 0
    )
    assert json.loads(Path("r.json").read_bytes())[0]["queries"] == len(queries)
    found = json.loads(small("diff", "knn.onnx", "mlp.onnx", "--queries", "q.jsonl", "--json").stdout)
    assert found["queries"] == len(queries)
    assert [(pick["a"], pick["b"]) for pick in found["picks"]] == [
        (a, b) for a, b in zip(expected, others, strict=True) if a != b
    ]


NUMBERS = "expected 2 numbers, got"
NO_JSON = "expected JSON: "
OBJECT = "expected an object with features, or with embedding and category"
EMBEDDING = "expected an embedding of numbers, and a category that is a string"
BAD_QUERIES = {
    "empty": (b"", "", "expected at least one query"),
    "blank": (b"\n \r\n", "", "expected at least one query"),
    "bad JSON": (b"[1, 2", ":1", NO_JSON),
    "bad JSON in line 2": (b"[1, 2]\n[1, 2", ":2", NO_JSON),
    "bad JSON behind a blank line": (b"[1, 2]\n\n1, 2", ":3", NO_JSON),
    "text": (b"hello\n", ":1", NO_JSON),
    "NaN": (b"[1, NaN]", ":1", NO_JSON),
    "infinity in line 2": (b"[1, 2]\n[1, 1e999]", ":2", NO_JSON),
    "binary": (bytes(range(256)), ":1", NO_JSON),
    "not UTF-8": (b'["\xff"]', ":1", "expected UTF-8, got byte 0xff at 2"),
    "UTF-16": ("[1, 2]".encode("utf-16"), "", "expected UTF-8, got UTF-16"),
    "too deep": (b"[" * 100_000, ":1", NO_JSON),
    "wider": (b"[1, 2, 3]", "", f"{NUMBERS} shape (3,)"),
    "wider in line 2": (b"[1, 2]\n[1, 2, 3]", ":2", f"{NUMBERS} shape (3,)"),
    "narrower in line 3": (b"[1, 2]\n\n[1]\n[1, 2]", ":3", f"{NUMBERS} shape (1,)"),
    "no numbers": (b"[]", "", f"{NUMBERS} shape (0,)"),
    "an empty query": (b"[[1, 2], []]", ": $[1]", f"{NUMBERS} shape (0,)"),
    "wider in an array": (b"[[1, 2], [1, 2, 3]]", ": $[1]", f"{NUMBERS} shape (3,)"),
    "wider in an array in line 2": (b"[1, 2]\n[[1, 2], [1, 2, 3]]", ":2: $[1]", f"{NUMBERS} shape (3,)"),
    "nested too deep": (b"[[[1, 2]]]", ": $[0]", f"{NUMBERS} shape (1, 2)"),
    "ragged": (b"[1, [2]]", "", NUMBERS[:18]),
    "a number": (b"1", "", f"{NUMBERS} shape ()"),
    "another object": (b'{"query": [1, 2]}', "", OBJECT),
    "null features": (b'[1, 2]\n{"features": null}', ":2", OBJECT),
    "an object in an array": (b'[[1, 2], {"category": "law"}]', ": $[1]", OBJECT),
    "an embedding of strings": (b'{"embedding": ["1"], "category": "law"}', "", EMBEDDING),
    "a ragged embedding": (b'{"embedding": [1, [2]], "category": "law"}', "", EMBEDDING),
    "a category of another type": (b'{"embedding": [1, 2], "category": ["law"]}', "", EMBEDDING),
    "a wider embedding": (b'{"embedding": [1, 2, 3]}', "", "embedding: expected 2 features, got 3 numbers and no"),
    "U+2028 before an error": ('{"features": [1, 2], "note": "\u2028"}\n[1]'.encode(), ":2", f"{NUMBERS} shape (1,)"),
    "a string": (b'"[1, 2]"', "", "expected numbers, got a text: prompts are read with --encoder"),
    "strings": (b'["1", "2"]', "", f"{NUMBERS} dtype <U1"),
    "null": (b"[1, null]", "", f"{NUMBERS} dtype object"),
    "true": (b"[true, false]", "", f"{NUMBERS} dtype bool"),
    "beyond 64 bit": (b"[1, 1" + b"0" * 30 + b"]", "", f"{NUMBERS} dtype object"),
    "beyond Python": (b"[1, " + b"9" * 5000 + b"]", ":1", NO_JSON),
}


@pytest.mark.parametrize(("data", "place", "message"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_refuses_queries(small, data, place, message):
    Path("q.jsonl").write_bytes(data)
    for name, done in (
        ("q.jsonl", small("select", "knn.onnx", "q.jsonl")),
        ("<stdin>", small("select", "knn.onnx", "--json", stdin=data)),
    ):
        assert done.returncode == 2
        assert done._replace(stdout="").error.startswith(f"{name}{place}: {message}")


@pytest.mark.parametrize(("data", "place", "message"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_refuses_to_verify_on_bad_queries(small, data, place, message):
    Path("q.jsonl").write_bytes(data)
    before = contents()
    done = small("verify", "knn.onnx", "--against", "knn.json", "--queries", "q.jsonl", "--report", "r.json")
    assert done.returncode == 2
    assert done.error.startswith(f"q.jsonl{place}: {message}")
    assert contents() == before
    assert small("diff", "knn.onnx", "knn.onnx", "--queries", "q.jsonl").error == done.error


@pytest.mark.parametrize(("path", "reason"), [("missing", "No such file or directory"), (".", "Is a directory")])
def test_refuses_unreadable_queries(small, path, reason):
    for arguments in (["select", "knn.onnx"], ["verify", "knn.onnx", "--against", "knn.json", "--queries"]):
        done = small(*arguments, path)
        assert done.returncode == 2
        assert done.error.startswith(f"{path}: cannot be read: {reason}")


GOOD = converted(KNN)


def test_the_command_leaves_a_closed_pipe_quietly(tmp_path):
    (tmp_path / "knn.onnx").write_bytes(GOOD)
    (tmp_path / "q.jsonl").write_text("[1, 2]\n" * 20_000)
    reader, writer = os.pipe()
    with subprocess.Popen(
        [COMMAND, "select", "knn.onnx", "q.jsonl"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        assert process.communicate(timeout=600)[1] == b""


def test_select_picks_by_operating_points(modelpick):
    half = [0.1, 0.5, 0.9]
    point = {"seconds_weight": 0.0, "quality": half, "seconds": None, "kept": [1.0, 0.9, 1.1], "saved": half}
    points = [
        {**point, "cost_weight": 0.0, "cost": [9.0, 8.0, 10.0], "shares": {"a": 1.0}},
        {**point, "cost_weight": 1.0, "cost": [1.0, 0.5, 2.0], "kept": [0.96, 0.9, 1.0], "shares": {"b": 1.0}},
    ]
    outcomes = {"quality": ([[0.0, 0.0]], [0.9, 0.8]), "cost": ([[0.0, 0.0]], [2.0, 0.5])}
    single = {"model": "a", "quality": 0.9, "cost": 2.0, "seconds": None}
    measured = {"queries": 9, "folds": 3, "best_single": single, "points": points}
    model = kernel_ridge([[1.0, 0.0]], outcomes, ["a", "b"], operating_points=measured)
    Path("r.json").write_text(json.dumps(model))
    Path("q.jsonl").write_text("[1.0, 2.0]\n")
    assert modelpick("convert", "r.json", "-o", ".").returncode == 0
    for options, picked in (
        ((), "a"),
        (("--keep", "0.95"), "b"),
        (("--keep", "1"), "a"),
        (("--cost-weight", "1"), "b"),
    ):
        assert modelpick("select", "r.onnx", "q.jsonl", *options).stdout == f"{picked}\n"
        assert modelpick("select", "r.onnx", "--input", "q.jsonl", "--output", "p.jsonl", *options).returncode == 0
        assert json.loads(Path("p.jsonl").read_text())["model"] == picked
    done = modelpick("select", "r.onnx", "q.jsonl", "--keep", "1.5")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --keep: expected a share that an operating point promises, up to 1.000, got 1.5\n",
    )


def test_select_decides(small):
    queries = [{"features": query, "user": number} for number, query in enumerate(QUERIES)]
    data = b"".join(encoded(query) + b"\n" for query in queries)
    options = ("--decide", "--explore", "0.5", "--key", "user")
    done = small("select", "knn.onnx", *options, stdin=data)
    assert done.returncode == 0, done.stderr
    decided = [json.loads(line) for line in done.stdout.splitlines()]
    with Selector.load("knn.onnx") as selector:
        expected = [selector.decide(query["features"], key=str(query["user"]), explore=0.5) for query in queries]
    assert [(one["model_name"], one["propensity"], one["session"]) for one in decided] == [
        (one.model, one.propensity, one.key) for one in expected
    ]
    Path("q.jsonl").write_bytes(data)
    assert small("select", "knn.onnx", "--input", "q.jsonl", "--output", "d.jsonl", *options).returncode == 0
    rows = [json.loads(line) for line in Path("d.jsonl").read_text().splitlines()]
    assert [row["model_name"] for row in rows] == [one["model_name"] for one in decided]
    for wrong, message in (
        (("--explore", "0.5"), "--explore, --margin and --key: expected them with --decide"),
        (("--decide", "--explore", "1.5"), "--explore: expected a number from 0 to 1, got 1.5"),
        (("--decide", "--margin", "0.1"), "--margin: expected an algorithm that takes it"),
    ):
        for way in (("q.jsonl",), ("--input", "q.jsonl", "--output", "w.jsonl")):
            done = small("select", "knn.onnx", *way, *wrong)
            assert (done.returncode, done.stdout, message in done.stderr) == (2, "", True), done.stderr
