"""From records and texts to picks on the command line, with one encoder throughout."""

import io
import json
import shutil
import sys

import numpy as np
import pytest

from modelpick.converter.cli.app import main
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.training import encoding
from modelpick.converter.training.embeddings import embedding_key
from modelpick.runtime.text import Encoder, TextSelector
from support.folders import SMALL
from support.recorded import DATA

QUESTIONS = DATA.parent / "questions.jsonl"
CONVERSATION = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Write a Python function"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with records, encoders, and artifacts trained with one of them."""
    folder = tmp_path_factory.mktemp("pipeline")
    make_encoder(SMALL, folder / "e.onnx", name="small")
    make_encoder(SMALL, folder / "other.onnx", name="other", max_tokens=9)
    shutil.copy(DATA, folder / "data.jsonl")
    return folder


@pytest.fixture
def modelpick(monkeypatch, capsys, made):
    monkeypatch.chdir(made)

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["modelpick", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def trained(modelpick, made):
    if not (made / "svm.onnx").exists():
        options = ("--encoder", "e.onnx", "--features", "embedding", "--algorithm", "svm", "--algorithm", "knn")
        assert modelpick("train", "--data", "data.jsonl", "-o", ".", *options)[0] == 0
        for name in ("svm", "knn"):
            assert modelpick("convert", f"{name}_model.json", "-o", f"{name}.onnx")[0] == 0
    return modelpick


def test_training_embeds_once_and_records_the_encoder(trained, made, monkeypatch):
    encoder = Encoder.load(made / "e.onnx")
    model = json.loads((made / "knn_model.json").read_text())
    assert model["encoder"] == {"name": "small", "digest": encoder.digest}
    kept = made / f"data.jsonl.{encoder.digest[:12]}.npz"
    queries = list(dict.fromkeys(json.loads(line)["query"] for line in DATA.read_text().splitlines()))
    with np.load(kept) as arrays:
        assert arrays["key"].tolist() == [embedding_key(query) for query in queries]
        np.testing.assert_allclose(arrays["embedding"], encoder.embed(queries), atol=1e-5)
    with TextSelector.load(made / "knn.onnx", encoder) as selector:
        assert selector.metadata.encoder == encoder.identity
    restored = json.loads(trained("restore", "knn.onnx")[1])
    assert restored["encoder"] == model["encoder"]

    embedded = []
    monkeypatch.setattr(
        encoding.Encoder, "embed", lambda self, texts: embedded.extend(texts) or np.zeros((len(texts), 128))
    )
    again = ("train", "--data", "data.jsonl", "-o", "again", "--encoder", "e.onnx", "--algorithm", "knn")
    assert trained(*again)[0] == 0
    assert embedded == []
    kept.write_bytes(b"broken")
    assert trained(*again)[0] == 0
    assert embedded == queries
    kept.unlink()


def test_embeddings_of_a_folder_are_kept_beside_it(trained, made, monkeypatch):
    folder = made / "records"
    folder.mkdir()
    (folder / "data.jsonl").write_bytes(DATA.read_bytes())
    monkeypatch.chdir(folder)
    again = ("train", "--data", ".", "-o", "../of_a_folder", "--encoder", "../e.onnx", "--algorithm", "kmeans")
    code, _, err = trained(*again)
    assert code == 0, err
    assert [file.name for file in folder.iterdir()] == ["data.jsonl"]
    assert len(list(made.glob("records.*.npz"))) == 1


def test_evaluates_what_was_trained_with_the_same_encoder(trained):
    code, out, err = trained("evaluate", "svm.onnx", "--data", "data.jsonl", "--encoder", "e.onnx", "--json")
    # Questions that it was trained on say nothing of what it is worth.
    assert (code, json.loads(out)["verdicts"][0]["pays"]) == (0, False)
    code, out, err = trained("evaluate", "svm.onnx", "--data", "data.jsonl", "--encoder", "other.onnx")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: svm.onnx: expected the encoder small (")
    code, out, err = trained("train", "--data", "data.jsonl", "-o", ".", "--encoder", "e.onnx", "--embeddings", "x.npz")
    assert (code, err) == (2, "error: expected one of --embedder, --embeddings and --encoder\n")


def test_categories_are_predicted_where_vectors_have_them(trained, made):
    both = ("train", "--data", "data.jsonl", "--encoder", "e.onnx", "--algorithm", "svm")
    code, out, _ = trained(*both, "-o", "both")
    model = json.loads((made / "both/svm_model.json").read_text())["category_classifier"]
    assert (code, len(model["classes"]), len(model["coef"][0])) == (0, 14, 128)
    assert out.startswith(f"a category classifier is right on {100 * model['accuracy']:.1f} % of the questions")
    trained(*both, "-o", "again")
    assert (made / "both/svm_model.json").read_bytes() == (made / "again/svm_model.json").read_bytes()
    assert "category_classifier" not in json.loads((made / "svm_model.json").read_text())

    assert trained("convert", "both/svm_model.json", "-o", "both/svm.onnx")[0] == 0
    command = ("select", "both/svm.onnx", "--encoder", "e.onnx", "Solve the equation for x", "--json")
    found = json.loads(trained(*command)[1])
    assert (found["category"], found["category_predicted"]) == ("math", True)
    found = json.loads(trained(*command, "--category", "law")[1])
    assert (found["category"], found["category_predicted"]) == ("law", False)
    inspected = trained("inspect", "both/svm.onnx", "--json")[1]
    assert (len(json.loads(inspected)["category_classifier"]["classes"]), len(inspected) < 4_000) == (14, True)

    judged = ("evaluate", "--data", "data.jsonl", "--encoder", "e.onnx", "--predict-category", "--picks", "p.jsonl")
    assert trained(*judged, "both/svm.onnx")[0] == 0
    picks = {pick["query"]: pick["pick"] for pick in map(json.loads, (made / "p.jsonl").read_text().splitlines())}
    with TextSelector.load(made / "both/svm.onnx", made / "e.onnx") as selector:
        assert [*picks.values()] == selector.select_batch([*picks])
    assert trained(*judged, "svm.onnx")[0] == 0  # takes the embedding alone
    model = json.loads((made / "both/svm_model.json").read_text()) | {"category_classifier": None}
    (made / "given.json").write_text(json.dumps(model))
    assert trained("convert", "given.json", "-o", ".")[0] == 0
    code, _, err = trained(*judged, "given.onnx")
    assert code == 2
    assert err.splitlines()[-1] == "error: given.onnx: expected an artifact that predicts categories"


def test_picks_for_a_prompt_and_for_files_of_them(trained, made):
    texts = [json.loads(line)["query"] for line in QUESTIONS.read_text().splitlines()]
    with TextSelector.load(made / "svm.onnx", made / "e.onnx") as selector:
        picks = [selector.select(text) for text in texts]
        of_conversation = selector.select(messages=CONVERSATION)
    assert len({*picks}) > 1
    command = ("select", "svm.onnx", "--encoder", "e.onnx")
    assert trained(*command, texts[0]) == (0, f"{picks[0]}\n", "")
    assert trained(*command, QUESTIONS) == (0, "".join(f"{pick}\n" for pick in picks), "")
    lines = "\n".join(map(json.dumps, [texts[1], {"messages": CONVERSATION}]))
    assert trained(*command, stdin=lines) == (0, f"{picks[1]}\n{of_conversation}\n", "")
    code, out, _ = trained(*command, "a " * 600, "--json")
    assert (code, json.loads(out)["cut"]) == (0, True)
    code, out, err = trained(*command, "--message", "all", stdin=json.dumps({"messages": CONVERSATION}))
    assert (code, err) == (0, "")
    code, out, err = trained(*command, stdin='{"embedding": [1]}')
    assert (code, err) == (2, "error: <stdin>: expected a text, or an object with query or messages\n")
    code, out, err = trained(*command, stdin='{"query": "a", "messages": []}')
    assert (code, err) == (2, "error: <stdin>: expected one of query and messages\n")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_large_files_of_prompts(trained, made, kind):
    rows = [{"query": "Write a Python function"}, {"messages": CONVERSATION}, {"query": "Solve the equation for x"}]
    source = made / f"prompts.{kind}"
    if kind == "jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(
            pyarrow.Table.from_pylist([{"query": None, "messages": None} | row for row in rows]), source
        )
    command = ("select", "svm.onnx", "--encoder", "e.onnx", "--input", source, "--output", "picks.jsonl")
    code, _, err = trained(*command)
    assert (code, err) == (0, "3 rows, 0 bad, 0 from an earlier run\nwrote picks.jsonl\n")
    with TextSelector.load(made / "svm.onnx", made / "e.onnx") as selector:
        wanted = selector.select_batch([row.get("query") or row["messages"] for row in rows])
    picks = [json.loads(line)["model"] for line in (made / "picks.jsonl").read_text().splitlines()]
    assert picks == wanted


def test_bad_rows_of_prompts_stand_aside(trained, made):
    (made / "bad.jsonl").write_text('{"query": 3}\n{"query": "Solve x"}\n{"messages": [{"role": "system"}]}\n')
    code, _, err = trained("select", "svm.onnx", "--encoder", "e.onnx", "--input", "bad.jsonl", "--output", "p.jsonl")
    assert (code, err) == (1, "3 rows, 2 bad, 0 from an earlier run\nwrote p.jsonl\n")
    picks = [json.loads(line)["model"] for line in (made / "p.jsonl").read_text().splitlines()]
    assert [pick is None for pick in picks] == [True, False, True]
    np.save(made / "x.npy", np.zeros((2, 128)))
    code, _, err = trained("select", "svm.onnx", "--encoder", "e.onnx", "--input", "x.npy", "--output", "p.jsonl")
    assert code == 2
    assert "expected prompts" in err


def test_compares_on_prompts_and_on_records(trained, made):
    code, out, _ = trained("diff", "svm.onnx", "knn.onnx", "--queries", QUESTIONS, "--encoder", "e.onnx", "--json")
    found = json.loads(out)
    texts = [json.loads(line)["query"] for line in QUESTIONS.read_text().splitlines()]
    pair = [TextSelector.load(made / name, made / "e.onnx") for name in ("svm.onnx", "knn.onnx")]
    differ = [number for number, text in enumerate(texts) if pair[0].select(text) != pair[1].select(text)]
    assert (code, [pick["query"] for pick in found["picks"]]) == (0, differ)
    code, out, _ = trained("diff", "svm.onnx", "knn.onnx", "--data", "data.jsonl", "--encoder", "e.onnx", "--json")
    assert (code, json.loads(out)["queries"]) == (0, 56)
    code, _, err = trained("diff", "svm.onnx", "knn.onnx", "--queries", QUESTIONS, "--encoder", "other.onnx")
    assert code == 2
    assert "expected the encoder small" in err
