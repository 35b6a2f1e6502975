"""Reading benchmark records: what is missing, odd or bad, and what is said of it."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter.formats.outcomes import filled
from modelpick.converter.training.embeddings import embedding_key, read_embeddings
from modelpick.converter.training.records import read_records, required_embeddings
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, ModelpickError
from support.recorded import DATA, ROUTING, encoded, record

LINES = DATA.read_bytes().splitlines(keepends=True)
MISSING = np.nan


def test_reads_records():
    data = encoded(
        record(embedding=[1.0, 2.0]),
        record(model_name="b", performance=1.0),
        record(query="r\u2028r", category="law", model_name="b", embedding=[0.0, 1.0]),
    )
    for source in (data, gzip.compress(data), data.replace(b"\n", b"\r\n\n"), b"\xef\xbb\xbf" + data):
        benchmark = read_records(source)
        assert benchmark.queries == ["q", "r\u2028r"]
        assert benchmark.categories == ["math", "law"]
        assert benchmark.model_names == ["a", "b"]
        assert benchmark.quality == pytest.approx(np.array([[0.5, 1.0], [MISSING, 0.5]]), nan_ok=True)
        assert benchmark.seconds == pytest.approx(np.array([[1.0, 1.0], [MISSING, 1.0]]), nan_ok=True)
        assert np.isnan(benchmark.cost).all()
        assert benchmark.embeddings.tolist() == [[1, 2], [0, 1]]
        assert (benchmark.bad, benchmark.warnings) == ([], [])


def outcomes(*records):
    """Quality, seconds, cost of one model on one query."""
    benchmark = read_records(encoded(*records))
    return [benchmark.quality[0, 0], benchmark.seconds[0, 0], benchmark.cost[0, 0]]


OUTCOMES = {
    "all": ([record(cost=0.25)], [0.5, 1, 0.25]),
    "strings": ([record(performance="0.25", response_time="2", cost="3")], [0.25, 2, 3]),
    "milliseconds": ([record(response_time=None, latency_ms=1500)], [0.5, 1.5, MISSING]),
    "both times": ([record(latency_ms=1500)], [0.5, 1, MISSING]),
    "no time": ([record(response_time=None)], [0.5, MISSING, MISSING]),
    "success": ([record(success=True)], [0.5, 1, MISSING]),
    "failure": ([record(success=False, cost=2)], [0, 1, 2]),
    "failure unmarked": ([record(success=False, performance=None, cost=2)], [0, 1, 2]),
    "two, one failed": ([record(success=False, response_time=0.1, cost=2), record(cost=4)], [0.25, 1, 3]),
    "two, one failed, the other untimed": (
        [record(success=False, response_time=0.1), record(response_time=None)],
        [0.25, MISSING, MISSING],
    ),
    "two failed": ([record(success=False), record(success=False, response_time=3.0)], [0, 2, MISSING]),
    "two": ([record(), record(performance=1.0, response_time=3.0)], [0.75, 2, MISSING]),
    "two, one with cost": ([record(cost=2), record(response_time=None)], [0.5, 1, 2]),
}


@pytest.mark.parametrize(("records", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_is_missing_stays_missing(records, expected):
    assert outcomes(*records) == pytest.approx(expected, nan_ok=True)


FEW = [record(model_name=name, query=query) for name in "ab" for query in "qr"]
WARNINGS = {
    "no category": ([record(category=None)], "1 of 5 records have no category: they count as other"),
    "strings": ([record(performance="1")], "1 of 5 records have numbers that are strings: they are read as numbers"),
    "milliseconds": (
        [record(response_time=None, latency_ms=3)],
        "1 of 5 records have latency_ms instead of response_time: it is read as seconds",
    ),
    "no time": (
        [record(model_name="c", response_time=None)],
        "1 of 5 records have no response time: it stays unknown, and training takes the model's mean",
    ),
    "some cost": ([record(model_name="c", cost=1)], "4 of 5 records have no cost: it stays unknown"),
    "failed": ([record(success=False)], "1 of 5 records are failed answers: their quality counts as 0"),
    "failed by its response": (
        [record(performance=0, response="Error: timeout")],
        "1 of 5 records are failed answers: their quality counts as 0",
    ),
    "quality": ([record(performance=1.01)], "1 of 5 records have a quality outside 0 to 1: it counts as it is"),
    "repeated": ([record()] * 3, "3 of 7 records repeat a query and model: the mean counts"),
    "like milliseconds": (
        [record(query=query, response_time=700) for query in "stuvw"],
        "the median response time is 700, which counts as seconds: write milliseconds as latency_ms",
    ),
    "categories": (
        [record(query=query, category=query) for query in "stuvwxyz"],
        "8 queries have an unknown category, 's', 't', 'u', 'v', 'w' and 3 others: it counts as other",
    ),
}


@pytest.mark.parametrize(("records", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_says_how_odd_records_count(records, warning):
    assert f"<bytes>: {warning}" in read_records(encoded(*FEW, *records)).warnings


def test_says_that_one_model_or_query_is_few():
    warnings = read_records(encoded(record())).warnings
    assert warnings == [
        "<bytes>: all records are of one model, a: nothing else can be picked",
        "<bytes>: all records are of one query: nothing can be learned of others",
    ]


def test_the_originals_runner_is_read():
    """Its records have no category, and latencies in milliseconds."""
    lines = [
        {"query": query, "model_name": name, "performance": "0.5", "latency_ms": "20"}
        for query in "qr"
        for name in "ab"
    ]
    benchmark = read_records(encoded(*lines))
    assert benchmark.categories == ["other", "other"]
    assert benchmark.seconds.tolist() == [[0.02, 0.02]] * 2
    assert len(benchmark.warnings) == 3


def test_training_takes_the_mean_for_unknown_response_times():
    seconds = np.array([[1.0, MISSING, MISSING], [3.0, 5.0, MISSING]])
    assert filled(seconds).tolist() == [[1, 5, 3], [3, 5, 3]]
    assert filled(seconds * np.nan).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("form", ["knn", "hiershrink"])
def test_files_tell_failed_answers_no_faster_than_successful_ones(form):
    """One failed in 0.1 s where others succeeded in 30 and 2 s; of the other question none succeeded."""
    asked = {"embedding": [1.0, 0.0]}
    lines = [
        record(model_name="a", success=False, response_time=0.1, **asked),
        record(model_name="b", response_time=30.0),
        record(model_name="c", response_time=2.0),
        record(model_name="a", query="r", success=False, response_time=0.1, **asked),
    ]
    document = train(training_data(read_records(encoded(*lines))), trainer(form))
    told = document["latencies"] if form == "knn" else [row["response_latency_ns"] for row in document["training"]]
    assert [latency / 1e9 for latency in told] == [30, 30, 2, 16]


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_is_read_as_its_lines_are(indent, tmp_path):
    rows = [json.loads(line) for line in LINES]
    path = tmp_path / "records.json"
    path.write_text(json.dumps([*rows, {"query": "q"}], indent=indent))
    benchmark, expected = read_records(path), read_records(DATA)
    assert np.array_equal(benchmark.quality, expected.quality)
    assert np.array_equal(benchmark.embeddings, expected.embeddings)
    assert [bad.split(": ")[0] for bad in benchmark.bad] == [f"{path}:{len(rows) + 1}"]
    path.write_text(json.dumps(rows)[:-1])
    with pytest.raises(DocumentError, match=r"records\.json: expected JSON: "):
        read_records(path)


BAD = {
    "not JSON": (b"{", "expected JSON: "),
    "not UTF-8": (b'{"query": "\xff"}', "expected UTF-8, got byte 0xff at 11"),
    "an array": (b"[]", "expected an object"),
    "no performance": (encoded(record(performance=None)), "performance: expected a number, or success false"),
    "no number": (encoded(record(performance="good")), "performance"),
    "NaN": (encoded(record(performance=MISSING)), "performance: expected a finite number, got nan"),
    "NaN in a string": (encoded(record(performance="nan")), "performance: expected a finite number, got nan"),
    "infinity": (encoded(record(embedding=[0, np.inf])), "embedding[1]: expected a finite number, got inf"),
    "infinity in a string": (
        encoded(record(embedding=["inf"] * 1024)),
        "embedding[0]: expected a finite number, got inf",
    ),
    "a time that is NaN": (encoded(record(response_time=MISSING)), "response_time: expected a finite number, got nan"),
    "a negative time": (encoded(record(response_time=-1)), "response_time"),
    "a negative cost": (encoded(record(cost=-1)), "cost"),
    "an empty query": (encoded(record(query="")), "query"),
    "a name of two lines": (encoded(record(model_name="a\nb")), "model_name"),
    "another width": (encoded(record(embedding=[1.0])), "expected 1024 numbers as in most records, got 1"),
    "an empty embedding": (encoded(record(embedding=[])), "embedding: expected at least one number"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_leaves_out_bad_records_and_names_them(line, message, tmp_path):
    path = tmp_path / "benchmark.jsonl"
    line = line.rstrip(b"\n") + b"\n"
    path.write_bytes(b"".join([*LINES[:100], line, *LINES[100:]]))
    benchmark = read_records(path)
    (bad,) = benchmark.bad
    assert bad.startswith(f"{path}:101: ")
    assert message in bad
    assert len(bad.splitlines()) == 1
    assert np.array_equal(benchmark.quality, read_records(DATA).quality)
    path.write_bytes(b"".join([*LINES, *[line] * 3]))
    with pytest.raises(DocumentError, match="at most 1 % bad, got 3 bad of 227, the first of them") as caught:
        read_records(path)
    assert len(str(caught.value).splitlines()) == 1


def test_blames_the_odd_width_wherever_it_stands():
    records = [record(query=f"q{i}", embedding=[0.0] * (3 if i else 2)) for i in range(200)]
    assert read_records(encoded(*records)).bad == ["<bytes>:1: embedding: expected 3 numbers as in most records, got 2"]


CONFLICTS = {
    "categories": ({"category": "law"}, "category: <bytes>:2 is of the same query, 'q': expected 'math', got 'law'"),
    "embeddings": (
        {"embedding": [9.0, 2.0]},
        "embedding: <bytes>:2 is of the same query, 'q': expected the same, got another",
    ),
    "a later digit": ({"embedding": [1.0, 2.01]}, "embedding: <bytes>:2 is of the same query"),
    "opposite": ({"embedding": [-1.0, -2.0]}, "embedding: <bytes>:2 is of the same query"),
    "zero": ({"embedding": [0.0, 0.0]}, "embedding: <bytes>:2 is of the same query"),
}


@pytest.mark.parametrize(("fields", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_refuses_a_query_with_two_categories_or_embeddings(fields, message):
    """Nothing says which is right, and the first would be trained on silently."""
    lines = [record(category=None), record(embedding=[1.0, 2.0]), record(model_name="b", **fields)]
    with pytest.raises(DocumentError) as caught:
        read_records(encoded(*lines))
    assert str(caught.value).startswith(f"<bytes>:3: {message}")


def test_a_query_may_repeat_its_category_and_embedding_up_to_rounding():
    rounded = np.float16([0.1, 0.2]).tolist()
    lines = [
        record(embedding=[0.1, 0.2]),
        record(model_name="b", embedding=rounded),
        record(model_name="c", category=None),
    ]
    benchmark = read_records(encoded(*lines))
    assert benchmark.categories == ["math"]
    assert benchmark.embeddings.tolist() == [[0.1, 0.2]]


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"\n", b"{}", b"\x1f\x8b\x08", LINES[1]])).map(b"".join))
def test_any_bytes_are_read_or_refused(data):
    try:
        assert read_records(data).queries
    except ModelpickError as error:
        assert len(str(error).splitlines()) == 1


def test_names_the_query_that_lacks_an_embedding():
    benchmark = read_records(encoded(record(embedding=[1]), record(query="r" * 100), record(query="s")))
    with pytest.raises(DocumentError, match=rf"^<bytes>:2: .* query '{'r' * 60}\.\.\.'.*; 2 of 3 queries have none$"):
        required_embeddings(benchmark)


def test_looks_embeddings_up_by_the_digest_of_the_query(tmp_path):
    path = tmp_path / "embeddings.npz"
    np.savez(path, key=[embedding_key("模型"), embedding_key("q")], embedding=np.float16([[1, 2], [3, 4]]))
    assert embedding_key("q") == "22ea1c649c82946a"
    found = read_embeddings(path, ["q", "r", "模型"])
    assert found.dtype == np.float64
    assert found == pytest.approx(np.array([[3, 4], [MISSING, MISSING], [1, 2]]), nan_ok=True)


LAYOUTS = {
    "no key": ({"embedding": [[1.0]]}, "expected .npz with key"),
    "other lengths": ({"key": ["a", "b"], "embedding": [[1.0]]}, "got shapes (2,) and (1, 1)"),
    "a vector": ({"key": ["a"], "embedding": [1.0]}, "got shapes (1,) and (1,)"),
    "text": ({"key": ["a"], "embedding": [["b"]]}, "of <U1"),
    "NaN": ({"key": ["a"], "embedding": [[MISSING]]}, "embedding: expected finite numbers"),
    "objects": ({"key": np.array([{}]), "embedding": [[1.0]]}, "expected .npz with key"),
}


@pytest.mark.parametrize(("arrays", "message"), LAYOUTS.values(), ids=LAYOUTS)
def test_refuses_embeddings_of_another_layout(arrays, message, tmp_path):
    np.savez(tmp_path / "embeddings.npz", **arrays)
    with pytest.raises(DocumentError) as caught:
        read_embeddings(tmp_path / "embeddings.npz", ["q"])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'embeddings.npz'}: ")


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_reads_real_records():
    path = ROUTING / "llmrouter_test500.jsonl.gz"
    benchmark = read_records(path)
    assert (benchmark.bad, benchmark.quality.shape) == ([], (500, 9))
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = [json.loads(line) for line in file]
    total = sum(line["cost"] for line in lines)
    assert np.nansum(benchmark.cost) == pytest.approx(total)
    embeddings = read_embeddings(ROUTING / "embeddings.npz", benchmark.queries)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(500), abs=1e-3)
