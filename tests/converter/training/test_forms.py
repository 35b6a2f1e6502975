"""Reading what other routers' tools write: each form from each kind of file, and what is refused."""

import csv
import gzip
import io
import json
import pickle
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter.training.embeddings import embedding_key
from modelpick.converter.training.forms import FORMS
from modelpick.converter.training.records import read_records, required_embeddings
from modelpick.runtime import DocumentError, ModelpickError
from support.command import modelpick
from support.pages import ROOT
from support.recorded import ROUTING, encoded, record

MISSING = np.nan
LLMROUTER = [
    {"task_name": task, "query": query, "metric": "em", "model_name": model, "performance": score, "token_num": 300}
    | {"input_tokens": 100, "output_tokens": 200, "response_time": 0.5, "embedding_id": place}
    for place, (task, query) in enumerate([("gsm8k", "q"), ("math", "r")])
    for model, score in (("a", 1.0), ("b", 0.25))
]
WIDE = [
    {"query": "q", "query_type": "gsm8k", "best_model": "a", "model_scores": {"a": 1, "b": 0.25}, "embedding_id": 0},
    {"query": "r", "query_type": "math", "best_model": "b", "model_scores": {"a": None, "b": 1}, "embedding_id": 1},
]
ROUTELLM = [
    {"prompt": "q\nA. 1, 2", "org/a": True, "b": 0.25, "b_response": "7"},
    {"prompt": "r", "org/a": None, "b": False, "b_response": "no"},
]
ROUTERBENCH = [
    {"sample_id": "gsm8k.1", "prompt": "['q', 'p']", "eval_name": "gsm8k", "a": 1.0, "b": 0.25, "a|total_cost": 0.5}
    | {"b|total_cost": 2.0, "a|model_response": "x", "oracle_model_to_route_to": "a"},
    {"sample_id": "math.1", "prompt": "r", "eval_name": "math", "a": None, "b": False, "b|total_cost": 4.0},
]
RAW = [
    {"sample_id": "s", "prompt": "q", "eval_name": "gsm8k", "model_name": model, "performance": score, "cost": 0.5}
    | {"model_response": "x"}
    for model, score in (("a", 1.0), ("b", 0.25))
]
# Rows -> form, queries, categories by {"gsm8k": "math"}, models, quality, cost.
EXAMPLES = {
    "records": (
        [record(performance=1.0, cost=0.5), record(performance=0.25, model_name="b", cost=2.0)],
        ("records", ["q"], ["math"], ["a", "b"], [[1, 0.25]], [[0.5, 2]]),
    ),
    "LLMRouter": (
        LLMROUTER,
        ("LLMRouter's routing data", ["q", "r"], ["math", "math"], ["a", "b"], [[1, 0.25]] * 2, [[MISSING] * 2] * 2),
    ),
    "wide": (
        WIDE,
        ("wide records", ["q", "r"], ["math", "math"], ["a", "b"], [[1, 0.25], [MISSING, 1]], [[MISSING] * 2] * 2),
    ),
    "RouteLLM": (
        ROUTELLM,
        (
            "RouteLLM's table",
            ["q\nA. 1, 2", "r"],
            ["other", "other"],
            ["org/a", "b"],
            [[1, 0.25], [MISSING, 0]],
            [[MISSING] * 2] * 2,
        ),
    ),
    "RouterBench": (
        ROUTERBENCH,
        (
            "RouterBench's frame",
            ["q\np", "r"],
            ["math", "math"],
            ["a", "b"],
            [[1, 0.25], [MISSING, 0]],
            [[0.5, 2], [MISSING, 4]],
        ),
    ),
    "RouterBench, raw": (
        RAW,
        ("RouterBench's raw frame", ["q"], ["math"], ["a", "b"], [[1, 0.25]], [[0.5, 0.5]]),
    ),
}


def columns(rows):
    return list(dict.fromkeys(column for row in rows for column in row))


def as_csv(rows, names=None):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names or columns(rows))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows):
    file = io.BytesIO()
    texts = [
        {name: str(row[name]) if name == "b" and "b" in row else row.get(name) for name in columns(rows)}
        for row in rows
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(texts), file)
    return file.getvalue()


KINDS = {
    "JSON lines": lambda rows: encoded(*rows),
    "CSV": as_csv,
    "CSV, gzipped": lambda rows: gzip.compress(b"\xef\xbb\xbf" + as_csv(rows).replace(b"\n", b"\r\n")),
    "Parquet": as_parquet,
}


# No cell of CSV is an object.
CASES = [(example, kind) for example in EXAMPLES for kind in KINDS if (example, kind[:3]) != ("wide", "CSV")]


@pytest.mark.parametrize(("example", "kind"), CASES)
def test_each_form_is_recognised_and_read(example, kind, tmp_path):
    rows, (form, queries, categories, models, quality, cost) = EXAMPLES[example]
    (tmp_path / "categories.json").write_text('{"gsm8k": "math", "other task": "law"}')
    known = {} if example in ("records", "RouteLLM") else {"categories": tmp_path / "categories.json"}
    benchmark = read_records(KINDS[kind](rows), **known)
    assert (benchmark.form, benchmark.model_names, benchmark.bad) == (form, models, [])
    assert [query.replace("\r", "") for query in benchmark.queries] == queries
    assert benchmark.categories == categories
    assert benchmark.quality == pytest.approx(np.array(quality), nan_ok=True)
    assert benchmark.cost == pytest.approx(np.array(cost), nan_ok=True)
    assert not [warning for warning in benchmark.warnings if "strings" in warning and kind.startswith("CSV")]


def test_every_form_has_an_example_and_a_row_in_the_page():
    assert {example[1][0] for example in EXAMPLES.values()} == {form.name for form in FORMS}
    page = (ROOT / "docs/records.md").read_text()
    for form in FORMS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {form.name} |")]
        assert [column for column in form.needs if f"`{column}`" not in row] == []


def test_a_csv_that_pandas_wrote_has_an_index():
    numbered = [{"": place, "Unnamed: 0": place} | row for place, row in enumerate(ROUTELLM)]
    assert read_records(as_csv(numbered)).model_names == ["org/a", "b"]


def test_records_in_csv_hold_embeddings_as_json():
    embedded = [record(embedding="[1, 2.5]", success="True"), record(query="r", success="", embedding="[0.5]")]
    benchmark = read_records(as_csv([*embedded, *[record(query="s", embedding="[1, 2]")] * 150]))
    assert benchmark.embeddings.tolist() == [[1, 2.5], [1, 2]]
    assert benchmark.bad == ["<bytes>:3: embedding: expected 2 numbers as in most records, got 1"]


def test_prices_make_costs_of_tokens(tmp_path):
    prices = tmp_path / "default_llm.json"
    prices.write_text(
        '{"a": {"size": "7B", "input_price": 0.2, "output_price": 0.4}, "b": {"input_price": 1, "output_price": 1}}'
    )
    lines = [*LLMROUTER[:2], record(query="r", cost=9.0), record(query="r", model_name="b", token_num=50)]
    lines += [record(query="s", token_num=50), record(query="s", model_name="b")]
    cost = read_records(encoded(*lines), prices=prices).cost
    expected = [[(100 * 0.2 + 200 * 0.4) / 1e6, 300 / 1e6], [9.0, 50 / 1e6], [MISSING, MISSING]]
    assert cost == pytest.approx(np.array(expected), nan_ok=True)


def test_a_task_called_like_a_category_is_of_that_and_others_are_named():
    lines = [*LLMROUTER, record(query="s", category=None, task_name="mbpp"), record(query="t", task_name="gsm8k")]
    benchmark = read_records(encoded(*lines))
    assert benchmark.categories == ["other", "math", "other", "math"]
    assert (
        "<bytes>: 3 of 6 records have no category: they count as other; use --categories for 'gsm8k', 'mbpp'"
        in benchmark.warnings
    )


def test_an_answer_that_the_tools_call_an_error_has_failed():
    lines = [
        record(performance=0, response="ERROR: timed out"),
        record(query="r", performance=0, response="Error: Connection refused"),
        record(query="s", performance=0.5, response="Error: is the first word of an answer"),
        record(query="t", performance=0, success=True, response="Error: as I said"),
    ]
    assert read_records(encoded(*lines)).failures.ravel().tolist() == [1, 1, 0, 0]


def test_embeddings_are_looked_up_by_id(tmp_path):
    path = tmp_path / "embeddings.npz"
    np.savez(path, embedding_id=[1, 7, 0], embedding=np.float32([[3, 4], [0, 0], [1, 2]]))
    lines = [*LLMROUTER, record(query="s", embedding_id="7"), record(query="t", embedding_id=5), record(query="u")]
    benchmark = read_records(encoded(*lines), embeddings=path)
    expected = [[1, 2], [3, 4], [0, 0], [MISSING] * 2, [MISSING] * 2]
    assert benchmark.embeddings == pytest.approx(np.array(expected), nan_ok=True)
    with pytest.raises(DocumentError, match=r"^<bytes>:6: embedding: .* query 't'.*; 2 of 5 queries have none$"):
        required_embeddings(benchmark)
    floats = [one | {"embedding_id": float(one["embedding_id"])} for one in LLMROUTER]
    for lines in (encoded(*floats), as_csv(floats)):
        assert read_records(lines, embeddings=path).embeddings.tolist() == [[1, 2], [3, 4]]


def test_one_query_of_two_ids_is_refused_unless_their_embeddings_are_the_same(tmp_path):
    path = tmp_path / "embeddings.npz"
    lines = encoded(record(embedding_id=0), record(model_name="b", embedding_id=1))
    np.savez(path, embedding_id=[0, 1], embedding=[[1.0, 2.0], [1.0, 2.0005]])
    assert read_records(lines, embeddings=path).embeddings.tolist() == [[1, 2]]
    np.savez(path, embedding_id=[0, 1], embedding=[[1.0, 2.0], [1.0, 3.0]])
    with pytest.raises(DocumentError, match=r"^<bytes>:2: embedding_id: <bytes>:1 is of the same query, 'q'"):
        read_records(lines, embeddings=path)


def test_tensors_of_torch_are_read_without_running_code(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "query_embeddings.pt"
    for value in ({1: torch.tensor([3.0, 4.0]), 0: torch.tensor([[1.0, 2.0]])}, torch.tensor([[1.0, 2.0], [3.0, 4.0]])):
        torch.save(value, path)
        assert read_records(encoded(*LLMROUTER), embeddings=path).embeddings.tolist() == [[1, 2], [3, 4]]

    class Harm:
        def __reduce__(self):
            return open, (str(tmp_path / "harm"), "w")

    for value in ({0: Harm()}, Harm()):
        torch.save(value, path)
        with pytest.raises(DocumentError, match="expected a dictionary of tensors"):
            read_records(encoded(*LLMROUTER), embeddings=path)
    assert not (tmp_path / "harm").exists()


def test_tensors_need_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "e.pt").write_bytes(b"")
    with pytest.raises(
        DocumentError, match=r"e\.pt: needs torch; or write it as \.npz with embedding_id and embedding$"
    ):
        read_records(encoded(*LLMROUTER), embeddings=tmp_path / "e.pt")


def test_a_folder_is_read_file_by_file_and_each_is_a_task(tmp_path):
    folder = tmp_path / "responses"
    folder.mkdir()
    for name, query in (("mmlu_law.csv", "q"), ("mmlu_anatomy.csv.gz", "r"), (".hidden", "s")):
        data = as_csv([{"prompt": query, "a": True, "b": False}])
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    np.savez(folder / "embeddings.npz", key=[embedding_key("q")], embedding=[[1.0]])
    (tmp_path / "categories.json").write_text('{"mmlu_law": "law", "mmlu_anatomy": "health"}')
    benchmark = read_records(folder, categories=tmp_path / "categories.json")
    assert (benchmark.queries, benchmark.categories) == (["r", "q"], ["health", "law"])
    assert benchmark.places == [f"{folder}/mmlu_anatomy.csv.gz:2", f"{folder}/mmlu_law.csv:2"]
    (folder / "z.jsonl").write_bytes(encoded(record()))
    with pytest.raises(DocumentError) as caught:
        read_records(folder)
    assert str(caught.value) == (
        f"{folder}/z.jsonl: expected RouteLLM's table as in {folder}/mmlu_anatomy.csv.gz, got records"
    )


GOOD = b"prompt,a,b\n" + b'"two\nlines",True,False\n' * 150
BAD_ROWS = {
    "a word": (b"q,True,good\n", "b: expected True, False or a number, got 'good'"),
    "NaN": (b"q,nan,1\n", "a: expected True, False or a number, got 'nan'"),
    "no prompt": (b",True,1\n", "prompt: expected text"),
    "no score": (b"q,,\n", "a: expected a score of this model or another"),
    "too few cells": (b"q,1\n", "expected 3 cells as in the header, got 2"),
}


@pytest.mark.parametrize(("line", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named_by_file_line_and_column(line, message, tmp_path):
    path = tmp_path / "mmlu.csv"
    path.write_bytes(GOOD + line + b"r,1,0\n")
    benchmark = read_records(path)
    assert benchmark.bad == [f"{path}:302: {message}"]
    assert benchmark.places == [f"{path}:2", f"{path}:303"]


BOTH = (
    "expected the columns of one form, got columns of records (model_name, query) or wide records (model_scores, query)"
)
REFUSED = {
    "no form": (
        b'{"question": "q", "model": "a"}',
        "expected the columns query, model_name and performance, or those of another form: ",
    ),
    "no form, CSV": (b"question,a,b\nq,1,2\n", "got question, a, b"),
    "semicolons": (b"prompt;a;b\nq;1;2\n", "got prompt;a;b"),
    "two forms": (encoded(record(model_scores={"a": 1})), BOTH),
    "two forms, among rows": (encoded(record(), WIDE[0]), BOTH),
    "a column twice": (b"prompt,a,a\nq,1,2\n", "<bytes>:1: expected each column once, got 'a' twice"),
    "an open quote": (b'prompt,a\nq,1\n"r,0\n', "<bytes>:3: expected CSV: "),
    "not UTF-8": (b"prompt,a\n\xff,1\n", "expected UTF-8, got byte 0xff at 9"),
    "costs without scores": (
        b"prompt,eval_name,a|total_cost\nq,m,1\n",
        "expected the columns query, model_name and performance, or those of another form",
    ),
    "a pickle": (pickle.dumps(ROUTERBENCH), "expected JSON lines, CSV or Parquet, got a pickle"),
    "an old pickle": (pickle.dumps(ROUTERBENCH, protocol=2), "expected JSON lines, CSV or Parquet, got a pickle"),
    "nothing": (b"", "got an empty file"),
    "a header alone": (b"prompt,a\n", "expected records"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_of_no_form_is_refused(data, message):
    with pytest.raises(DocumentError) as caught:
        read_records(data)
    assert message in str(caught.value)
    assert str(caught.value).startswith("<bytes>:")
    assert len(str(caught.value).splitlines()) == 1


GIVEN = {
    "a category": ("categories", '{"gsm8k": "maths"}', "$.gsm8k: expected one of math, physics, "),
    "no string": ("categories", '{"gsm8k": 1}', "$.gsm8k: expected `str`"),
    "no JSON": ("categories", "gsm8k: math", "expected JSON: "),
    "a list": ("categories", "[]", "$: expected `object`"),
    "a price": ("prices", '{"a": {"input_price": -1, "output_price": 1}}', "$.a.input_price: expected `float` >= 0"),
    "half a price": ("prices", '{"a": {"input_price": 1}}', "output_price"),
    "infinite": ("prices", '{"a": {"input_price": 1e999, "output_price": 1}}', "$.a.input_price: expected a finite"),
}


@pytest.mark.parametrize(("option", "text", "message"), GIVEN.values(), ids=GIVEN)
def test_what_is_given_beside_the_records_is_checked(option, text, message, tmp_path):
    path = tmp_path / "given.json"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        read_records(encoded(*LLMROUTER), **{option: path})
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_model_without_a_price_and_what_is_of_no_use_are_refused(tmp_path):
    path = tmp_path / "given.json"
    path.write_text('{"a": {"input_price": 1, "output_price": 1}}')
    with pytest.raises(DocumentError, match="<bytes>:2: model_name: expected one of those with a price, got 'b'"):
        read_records(encoded(*LLMROUTER), prices=path)
    with pytest.raises(DocumentError, match=r"given\.json: expected records with input_tokens or token_num, got none"):
        read_records(encoded(record()), prices=path)
    path.write_text('{"gsm8k": "math"}')
    with pytest.raises(DocumentError, match=r"given\.json: expected records with task_name, got none in <bytes>"):
        read_records(encoded(record()), categories=path)


CELLS = st.sampled_from(["", "q", "1", "True", "nan", '"', '"a\n"', "[1]", "['q']", "\x00", "\r", "模", ","])
HEADS = st.sampled_from(
    [*columns(ROUTELLM), *columns(ROUTERBENCH), *columns(LLMROUTER), "embedding", "model_scores", "category", "success"]
)


@given(st.lists(HEADS, max_size=6), st.lists(st.lists(CELLS, max_size=6), max_size=4))
def test_any_table_is_read_or_refused_in_a_line(header, rows):
    data = "\n".join(",".join(cells) for cells in [header, *rows]).encode()
    try:
        assert read_records(data).queries
    except ModelpickError as error:
        assert len(str(error).splitlines()) == 1


def test_the_commands_read_and_say_the_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    queries = [f"q{place}" for place in range(40)]
    rows = [{"prompt": query, "a": place % 2 == 0, "b": place % 2 == 1} for place, query in enumerate(queries)]
    (tmp_path / "mmlu.csv").write_bytes(as_csv(rows))
    vectors = rng.normal(size=(40, 4)) + 9 * (np.arange(40) % 2)[:, None]
    np.savez("e.npz", key=[embedding_key(query) for query in queries], embedding=vectors)
    (tmp_path / "c.json").write_text('{"mmlu": "law"}')
    given = ("--data", "mmlu.csv", "--embeddings", "e.npz", "--categories", "c.json")
    line = "mmlu.csv: read as RouteLLM's table: 40 questions, 2 models: a, b\n"
    trained = modelpick("train", *given, "-o", "out", "--algorithm", "kernel_ridge")
    assert (trained.returncode, trained.stderr.startswith(line)) == (0, True), trained.stderr
    (model,) = (tmp_path / "out").glob("kernel_ridge*.json")
    assert modelpick("convert", str(model), "-o", "a").returncode == 0
    (artifact,) = (tmp_path / "a").glob("*.onnx")
    for command in (
        ("evaluate", str(artifact), *given, "--json"),
        ("report", str(artifact), *given, "-o", "r.html"),
        ("diff", str(artifact), str(artifact), *given),
    ):
        done = modelpick(*command)
        assert (done.returncode, line in done.stderr) == (0, True), done.stderr
        if command[0] == "evaluate":
            result = json.loads(done.stdout)["results"][0]
            assert (result["quality"]["value"], list(result["categories"])) == (1.0, ["law"])


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_reads_real_tables_as_the_records_that_they_came_from():
    known = read_records(ROUTING / "routellm_mmlu.jsonl.gz")
    rows = [
        {"prompt": query, "mixtral-8x7b": bool(weak), "gpt-4-1106": bool(strong)}
        for query, (weak, strong) in zip(known.queries, known.quality, strict=True)
    ]
    benchmark = read_records(as_csv(rows))
    assert (benchmark.form, benchmark.queries, benchmark.model_names) == (
        "RouteLLM's table",
        known.queries,
        known.model_names,
    )
    assert np.array_equal(benchmark.quality, known.quality)
