"""`modelpick select --input --output`: files of any size, resumable, bad rows with their errors."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from modelpick.converter.files import queries
from modelpick.converter.files.bulk import select_file
from modelpick.runtime import ModelpickError, Selector
from modelpick.runtime.deciding import Exploring
from support.artifacts import converted
from support.catalogue import kmeans
from support.command import modelpick

RNG = np.random.default_rng(0)
CATEGORIES = ["math", "law", "other"]
CENTROIDS = RNG.normal(size=(9, 20))
QUERIES = RNG.normal(size=(1_000, 20)).astype(np.float32)
EMBEDDINGS = QUERIES[:, :6]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tmp_path_factory.mktemp("artifact") / "kmeans.onnx"
    path.write_bytes(converted(kmeans(CENTROIDS, [f"model-{i}" for i in range(9)])))
    return path


@pytest.fixture(scope="module")
def picks(artifact):
    with Selector.load(artifact) as selector:
        return selector.select_batch(QUERIES)


def write(path, rows):
    if path.suffix == ".npy":
        np.save(path, np.array(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(np.asarray(row).tolist()) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.table({"features": [np.asarray(row).tolist() for row in rows]}), path)


def read(path):
    if path.suffix == ".parquet":
        table = parquet.read_table(path).to_pydict()
        assert table["row"] == list(range(len(table["row"])))
        return table["model"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(len(lines)))
    return [line["model"] for line in lines]


@pytest.mark.parametrize("target", ["jsonl", "parquet"])
@pytest.mark.parametrize("source", ["npy", "jsonl", "parquet"])
def test_picks_for_every_row(artifact, picks, tmp_path, source, target):
    write(tmp_path / f"queries.{source}", QUERIES)
    seen = []
    found = select_file(
        artifact,
        tmp_path / f"queries.{source}",
        tmp_path / f"picks.{target}",
        chunk=64,
        done=lambda done, total: seen.append((done, total)),
    )
    assert found == (1_000, 0, 0)
    total = None if source == "jsonl" else 1_000  # a small file of text is read at once, which says nothing of its rows
    assert seen == [(min(first + 64, 1_000), total) for first in range(0, 1_000, 64)]
    assert read(tmp_path / f"picks.{target}") == picks
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"picks.{target}", f"queries.{source}"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_builds_features_of_embeddings_and_categories(artifact, tmp_path, kind):
    source, rows = (
        tmp_path / f"queries.{kind}",
        [{"embedding": row.tolist(), "category": CATEGORIES[i % 3]} for i, row in enumerate(EMBEDDINGS)],
    )
    if kind == "jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), source)
    select_file(artifact, source, tmp_path / "picks.jsonl")
    with Selector.load(artifact) as selector:
        assert read(tmp_path / "picks.jsonl") == [selector.select(**row) for row in rows]


@pytest.mark.parametrize("source", ["npy", "jsonl", "parquet"])
def test_bad_rows_have_errors(artifact, picks, tmp_path, source):
    rows = [row.tolist() for row in QUERIES]
    rows[7][3] = float("nan")
    expected = {7: "expected finite numbers, got nan at [3]"}
    if source != "npy":
        rows[300] = [1.0, 2.0]
        expected[300] = "expected 20 numbers, got shape (2,)"
    path = tmp_path / f"queries.{source}"
    write(path, rows)
    if source == "jsonl":
        expected[7] = "expected JSON"
    done = modelpick("select", artifact, "--input", path, "--output", tmp_path / "picks.parquet")
    assert done.returncode == 1
    assert f"1000 rows, {len(expected)} bad" in done.stderr
    errors = parquet.read_table(tmp_path / "picks.parquet").to_pydict()["error"]
    assert {row: error.partition(": ")[0] for row, error in enumerate(errors) if error} == expected
    assert read(tmp_path / "picks.parquet") == [None if row in expected else pick for row, pick in enumerate(picks)]

    write(path, QUERIES)
    done = modelpick("select", artifact, "--input", path, "--output", tmp_path / "picks.jsonl")
    assert done.returncode == 0
    assert "error" not in (tmp_path / "picks.jsonl").read_text()


class StopHereError(Exception):
    pass


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_estimates_the_rows_of_large_text(artifact, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(queries, "WHOLE_BYTES", 2**12)
    lines = "".join(json.dumps(row.tolist()) + "\n" for row in QUERIES).encode()
    source = tmp_path / f"queries.{suffix}"
    source.write_bytes(gzip.compress(lines) if suffix.endswith("gz") else lines)
    seen = []
    select_file(artifact, source, tmp_path / "picks.jsonl", chunk=50, done=lambda *counts: seen.append(counts))
    estimates = [total for _, total in seen if total is not None]
    assert len(estimates) >= 10 or suffix.endswith("gz")
    assert estimates
    assert all(700 < total < 1_300 for total in estimates[2:])


def test_goes_on_where_it_was_interrupted(artifact, picks, tmp_path):
    source, target = tmp_path / "queries.npy", tmp_path / "picks.jsonl"
    write(source, QUERIES)
    answered = []

    def interrupt(done, total):
        answered.append(done)
        if len(answered) == 5:
            raise StopHereError

    with pytest.raises(StopHereError):
        select_file(artifact, source, target, chunk=100, done=interrupt)
    assert not target.exists()
    assert select_file(artifact, source, target, chunk=100) == (1_000, 0, 500)
    assert read(target) == picks

    answered.clear()
    with pytest.raises(StopHereError):
        select_file(artifact, source, target, chunk=100, done=interrupt)
    write(source, QUERIES[::-1])
    assert select_file(artifact, source, target, chunk=100) == (1_000, 0, 0), "another source is begun anew"
    assert read(target) == picks[::-1]


REFUSED = {
    "another kind": ("queries.csv", "picks.jsonl", "expected .npy, .parquet, or text named .jsonl or .jsonl.gz"),
    "another target": ("queries.npy", "picks.csv", "expected a name that ends in one of .jsonl, .parquet"),
    "missing": ("missing.npy", "picks.jsonl", "missing.npy: cannot be read"),
    "no npy": ("text.npy", "picks.jsonl", "text.npy: expected .npy, .parquet, or text"),
    "a cut npy": ("cut.npy", "picks.jsonl", "cut.npy: cannot be read"),
    "a cut parquet": ("cut.parquet", "picks.jsonl", "cut.parquet: cannot be read"),
    "UTF-16": ("wide.jsonl", "picks.jsonl", "wide.jsonl: expected UTF-8, got UTF-16"),
    "a folder": (".", "picks.jsonl", "cannot be read: Is a directory"),
    "one dimension": ("flat.npy", "picks.jsonl", "flat.npy: expected an array of shape (n, d), got (20,)"),
    "objects": ("objects.npy", "picks.jsonl", "objects.npy: cannot be read"),
    "no parquet": ("text.parquet", "picks.jsonl", "text.parquet: expected .npy, .parquet, or text"),
    "no column": ("other.parquet", "picks.jsonl", "other.parquet: expected a column features, or embedding"),
}


@pytest.mark.parametrize(("source", "target", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_files_of_other_kinds(artifact, tmp_path, source, target, message):
    write(tmp_path / "queries.npy", QUERIES)
    np.save(tmp_path / "flat.npy", QUERIES[0])
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "other.parquet")
    for name in ("queries.csv", "text.npy", "text.parquet"):
        (tmp_path / name).write_text("text")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    (tmp_path / "wide.jsonl").write_text("[1]", encoding="utf-16")
    with pytest.raises(ModelpickError) as caught:
        select_file(artifact, tmp_path / source, tmp_path / target)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / target).exists()


def test_a_large_file_is_read_line_by_line(artifact, picks, tmp_path, monkeypatch):
    monkeypatch.setattr(queries, "WHOLE_BYTES", 5_000)
    write(tmp_path / "queries.jsonl", QUERIES)
    assert select_file(artifact, tmp_path / "queries.jsonl", tmp_path / "picks.jsonl") == (1_000, 0, 0)
    assert read(tmp_path / "picks.jsonl") == picks


def test_a_column_of_another_type_holds_bad_rows(artifact, tmp_path):
    parquet.write_table(pyarrow.table({"features": ["a", "b"]}), tmp_path / "queries.parquet")
    assert select_file(artifact, tmp_path / "queries.parquet", tmp_path / "picks.jsonl") == (2, 2, 0)


def test_needs_input_and_output_together(artifact, tmp_path):
    done = modelpick("select", artifact, "--input", tmp_path / "queries.npy")
    assert (done.returncode, done.stderr) == (2, "error: expected --input and --output together\n")


def test_memory_is_bounded(artifact, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    np.save(tmp_path / "queries.npy", np.tile(QUERIES, (400, 1)))
    code = f"""
from pathlib import Path
from modelpick.converter.files import queries
from modelpick.converter.files.bulk import select_file
from modelpick.runtime import Selector
Selector.load({str(artifact)!r}).close()
def held(*_):
    sizes.append(int(dict(line.split(":") for line in open("/proc/self/status"))["RssAnon"].split()[0]))
sizes = []
held()
select_file(Path({str(artifact)!r}), Path("{tmp_path}/queries.npy"), Path("{tmp_path}/picks.jsonl"), done=held)
print(max(sizes) - sizes[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert int(done.stdout) < 20_000, "kilobytes, of queries that are 32,000"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("target", ["jsonl", "parquet"])
@pytest.mark.parametrize("source", ["npy", "jsonl", "parquet"])
def test_decides_on_every_row(artifact, picks, tmp_path, source, target):
    write(tmp_path / f"queries.{source}", QUERIES[:300])
    path = tmp_path / f"decisions.{target}"
    assert select_file(artifact, tmp_path / f"queries.{source}", path, chunk=64, exploring=Exploring(0.3)) == (
        300,
        0,
        0,
    )
    rows = parquet.read_table(path).to_pylist() if target == "parquet" else lines(path)
    assert [row["row"] for row in rows] == list(range(300))
    assert [row["default"] for row in rows] == picks[:300]
    assert len({row["decision_id"] for row in rows}) == 300
    assert {(row["model_name"] == row["default"], row["propensity"]) for row in rows} == {(True, 0.7), (False, 0.3 / 8)}
    with Selector.load(artifact) as selector:
        assert {row["policy"] for row in rows} == {selector.metadata.source_sha256}
    assert {row.get("error") for row in rows} == {None}


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
def test_keys_of_rows_decide_alike_again_and_bad_rows_keep_their_errors(artifact, tmp_path, source):
    rows = [{"features": row.tolist(), "user": f"u{i % 5}"} for i, row in enumerate(QUERIES[:40])]
    rows[7]["features"] = rows[7]["features"][:3]
    rows[9]["user"] = None
    path = tmp_path / f"queries.{source}"
    if source == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    made = []
    for name in ("first.jsonl", "again.jsonl"):
        assert select_file(artifact, path, tmp_path / name, chunk=16, exploring=Exploring(0.5, key="user"))[:2] == (
            40,
            2,
        )
        made.append(lines(tmp_path / name))
    assert made[0][7] == {"row": 7, "model_name": None, "error": "expected 20 numbers, got shape (3,)"}
    assert made[0][9] == {"row": 9, "model_name": None, "error": "user: expected a key, a text or a whole number"}
    first, again = ([(row["model_name"], row.get("session")) for row in rows] for rows in made)
    assert first == again
    with Selector.load(artifact) as selector:
        assert first[3][0] == selector.decide(QUERIES[3], key="u3", explore=0.5).model


def test_what_cannot_be_decided_on_is_refused_before_a_row_is_answered(artifact, tmp_path):
    np.save(tmp_path / "queries.npy", QUERIES)
    for exploring, message in (
        (Exploring(1.5), "explore: expected a number from 0 to 1"),
        (Exploring(0.1, margin=0.1), "margin: expected an algorithm that takes it"),
        (Exploring(0.1, key="user"), "expected rows with a key, .jsonl or .parquet"),
    ):
        with pytest.raises(ModelpickError, match=message):
            select_file(artifact, tmp_path / "queries.npy", tmp_path / "p.jsonl", exploring=exploring)
        assert not (tmp_path / "p.jsonl").exists()
