"""From records to an artifact and its verdict in one step: `fit`, and the command."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelpick.converter import convert, evaluate, fit, read_records, train, training_data
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.statistics.folds import folds
from modelpick.runtime import DocumentError, Selector
from support.command import modelpick
from support.folders import SMALL
from support.recorded import encoded, record, routed

RECORDS = [json.loads(line) for line in routed(60, dear=0.6).splitlines()]


def test_fit_is_the_whole_way_by_hand(tmp_path):
    records = read_records(encoded(*RECORDS))
    found = fit(records, tmp_path / "router.onnx", seed=3)
    fold = folds(records.embeddings, 3)
    learned, held_out = records.of(np.flatnonzero(fold)), records.of(np.flatnonzero(fold == 0))
    assert (found.trained, found.judgement.evaluation.queries) == (48, 12)
    assert not set(learned.queries) & set(held_out.queries)
    document = json.dumps(train(training_data(learned, Settings(seed=3), one_hot=False), "kernel_ridge"))
    assert json.loads(found.model.read_bytes()) == json.loads(document)
    convert(found.model, tmp_path / "hand.onnx", samples=0, embedding_dim=6)
    assert found.artifact.read_bytes() == (tmp_path / "hand.onnx").read_bytes()
    by_hand = evaluate([found.artifact], held_out, learned=learned, seed=3)
    assert by_hand.headlines == found.judgement.headlines == [found.verdict]
    assert found.report.passed
    assert found.verdict.text.startswith("Worth calling: +")
    with Selector.load(tmp_path / "router.onnx", keep=0.9) as selector:
        assert selector.n_features_in_ == 6
    assert not found.needs_category


def rows(records):
    """Rows of a table, with embeddings as JSON."""
    return [one | {"embedding": json.dumps(one["embedding"])} for one in records]


def written(folder, kind):
    path = folder / f"records.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, RECORDS[0])
            table.writeheader()
            table.writerows(rows(RECORDS))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    else:
        path.write_bytes(encoded(*RECORDS))
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_command_prints_the_verdict_and_what_to_run_next(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    records = written(tmp_path, kind).name
    done = modelpick("fit", records, "-o", "router.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 25
    assert lines[0].startswith("Trained kernel_ridge on their embeddings, 48 questions; 12 others were held out.")
    assert lines[1] == "✓ Verified: onnxruntime picks as scikit-learn on 200 of 200 queries."
    assert any(line.startswith("✓ router: Worth calling: +") for line in lines)
    assert "! intervals from fewer than 30 questions are narrower than they should be" in lines
    assert any(line.startswith("Wrote router.onnx, the artifact (0.0") for line in lines)
    assert any(line.startswith("Wrote router.json, its JSON model (0.0") for line in lines)
    assert lines[-2:] == [
        "  modelpick select router.onnx QUERIES.jsonl",
        f"  modelpick report router.onnx --data {records}",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["router.onnx", "router.json", records])


def test_a_log_and_a_verdict_as_json(tmp_path):
    rng = np.random.default_rng(0)
    logged = [RECORDS[3 * number + int(rng.integers(3))] | {"propensity": 1 / 3} for number in range(60)]
    (tmp_path / "log.jsonl").write_bytes(encoded(*logged))
    done = modelpick("fit", tmp_path / "log.jsonl", "-o", tmp_path / "r.onnx", "--json", "--cost-weight", "0.01")
    found = json.loads(done.stdout)
    assert found["evaluation"]["estimator"].startswith("doubly robust")
    assert found["evaluation"]["objective"] == {"cost_weight": 0.01, "seconds_weight": 0.0}
    assert found["verdict"]["answer"] == "cannot tell"
    assert found["verdict"]["text"].startswith("Cannot tell: it rests on ")


def test_the_share_that_is_held_out_is_the_users(tmp_path):
    (tmp_path / "records.jsonl").write_bytes(encoded(*RECORDS))
    asked = ["fit", tmp_path / "records.jsonl", "-o", tmp_path / "r.onnx", "--held-out"]
    assert "40 questions; 20 others were held out" in modelpick(*asked, "0.334").stdout.replace("\n", " ")
    refused = modelpick(*asked, "1")
    assert (refused.returncode, refused.error) == (
        2,
        "held out: expected a share of the questions above 0 and below 1, got 1",
    )


def test_texts_need_an_encoder_and_then_nothing_else(tmp_path):
    texts = [{name: value for name, value in one.items() if name != "embedding"} for one in RECORDS[:90]]
    (tmp_path / "texts.jsonl").write_bytes(encoded(*texts))
    asked = ["fit", tmp_path / "texts.jsonl", "-o", tmp_path / "r.onnx"]
    done = modelpick(*asked)
    assert done.returncode == 2
    assert "embedding: expected one in a record of query 'q0', or --encoder, --embeddings or --embedder" in done.error
    assert [path.name for path in tmp_path.iterdir()] == ["texts.jsonl"]
    modelpick("encoder", SMALL, "-o", tmp_path / "e.onnx")
    done = modelpick(*asked, "--encoder", tmp_path / "e.onnx")
    assert done.returncode == 0, done.stderr
    assert f"modelpick select {tmp_path / 'r.onnx'} --encoder {tmp_path / 'e.onnx'} 'What is a monad?'" in done.stdout
    assert modelpick("select", tmp_path / "r.onnx", "hello", "--encoder", tmp_path / "e.onnx").returncode == 0


def test_wrong_files_say_what_they_need(tmp_path):
    (tmp_path / "wrong.csv").write_text("question,model,score\nhi,a,0.5\n")
    done = modelpick("fit", tmp_path / "wrong.csv", "-o", tmp_path / "r.onnx")
    assert done.returncode == 2
    assert "expected the columns query, model_name and performance, or those of another form: " in done.error
    assert done.error.endswith("got question, model, score")
    done = modelpick("fit", tmp_path / "r.json", "-o", tmp_path / "r.onnx")
    assert done.returncode == 2
    one = record(embedding=[1.0, 2.0])
    with pytest.raises(DocumentError, match="expected two distinct queries or more"):
        fit(read_records(encoded(one, one | {"model_name": "b"})), tmp_path / "r.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.csv"]


def test_other_algorithms_and_categories(tmp_path):
    records = read_records(encoded(*(one | {"category": ("math", "law")[len(one["query"]) % 2]} for one in RECORDS)))
    found = fit(records, tmp_path / "knn.onnx", algorithm="knn")
    assert (found.row.semantics.partition("/")[0], found.needs_category) == ("queries", True)
    with Selector.load(tmp_path / "knn.onnx") as selector:
        assert (selector.n_features_in_, selector.metadata.semantics) == (20, found.row.semantics)
