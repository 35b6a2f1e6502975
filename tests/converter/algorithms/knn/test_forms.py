"""KNN files of version 2: every check of the original, and what it accepts."""

import json
import warnings

import pytest

from modelpick.converter import DocumentWarning, load_estimator
from modelpick.runtime import DocumentError
from support.catalogue import knn

MODEL = knn(
    [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
    ["a", "b"],
    k=2,
    format_version=2,
    qualities=[0.9, 0.2, 0.3],
    latencies=[1, 2, 3],
)
EMPTY = {"embeddings": [], "labels": [], "qualities": [], "latencies": []}

REFUSED = [
    ({"k": 0}, "$.k: expected `int` >= 1"),
    ({"k": -1}, "$.k: expected `int` >= 1"),
    ({"k": 2.5}, "$.k: expected `int`, got `float`"),
    ({"k": None}, "$.k: expected `int`, got `null`"),
    (EMPTY, "$.embeddings: expected at least one row"),
    ({"embeddings": [[], [], []]}, "$.embeddings[0]: expected at least one number"),
    ({"embeddings": [[1.0, 0.0], [0.0], [1.0, 1.0]]}, "$.embeddings[1]: expected 2 numbers, got 1"),
    ({"embeddings": [[1.0, 0.0], [0.0, 1.0], [1.0, "1"]]}, "$.embeddings[2][1]: expected `float`, got `str`"),
    ({"labels": ["a", "b"]}, "$.labels: expected 3 values, one per row of $.embeddings, got 2"),
    ({"labels": ["a", "", "b"]}, "$.labels[1]: expected `str`"),
    ({"labels": ["a", 3, "b"]}, "$.labels[1]: expected `str`, got `int`"),
    ({"qualities": [0.9, 0.2]}, "$.qualities: expected 3 values, one per row of $.embeddings, got 2"),
    ({"latencies": [1, 2]}, "$.latencies: expected 3 values, one per row of $.embeddings, got 2"),
    ({"latencies": [1, -2, 3]}, "$.latencies[1]: expected `int` >= 0"),
    ({"latencies": [1, 2.5, 3]}, "$.latencies[1]: expected `int`, got `float`"),
    ({"latencies": [1, 2, 2**63]}, "$.latencies[2]: expected `int` <= 9223372036854775807"),
    ({"trained": False}, "$.trained: expected true"),
    ({"format_version": 3}, "$.format_version: expected 1 or 2, got 3"),
    ({"format_version": 0}, "$.format_version: expected 1 or 2, got 0"),
    ({"format_version": "2"}, "$.format_version: expected `int | null`, got `str`"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
def test_refuses(fields, message):
    with pytest.raises(DocumentError) as caught:
        load_estimator(json.dumps(MODEL | fields).encode())
    assert str(caught.value).startswith(f"<bytes>: {message}")


@pytest.mark.parametrize("literal", ["NaN", "-Infinity", "1e400"])
@pytest.mark.parametrize("field", ["embeddings", "qualities"])
def test_refuses_what_is_not_finite(field, literal):
    data = json.dumps(MODEL | {field: "HERE"}).replace('"HERE"', f"[[{literal}, 0], [0, 1], [1, 1]]")
    with pytest.raises(DocumentError, match="<bytes>: "):
        load_estimator((data if field == "embeddings" else data.replace("[[", "[").replace("]]", "]")).encode())


@pytest.mark.parametrize("field", ["algorithm", "trained", "k", "embeddings", "labels"])
def test_refuses_missing_fields(field):
    with pytest.raises(DocumentError, match=f"missing required field `{field}`"):
        load_estimator(json.dumps({name: value for name, value in MODEL.items() if name != field}).encode())


ACCEPTED = [
    {"qualities": [], "latencies": []},
    {"qualities": None, "latencies": None},
    {"qualities": [-1.0, 0.0, 5e3]},
    {"embeddings": [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]},
    {"latencies": [0, 2**63 - 1, 0]},
    {"model_names": 5, "num_samples": "3", "unknown": {}},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=str)
def test_accepts(fields):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_estimator(json.dumps(MODEL | fields).encode()).semantics == "native/2"


def test_more_neighbours_than_rows_are_all_rows():
    with pytest.warns(DocumentWarning, match=r"\$\.k: 9 neighbours asked of 3 rows"):
        load_estimator(json.dumps(MODEL | {"k": 9}).encode())


@pytest.mark.parametrize("version", [None, 1])
def test_files_of_version_1_keep_their_rules(version):
    assert load_estimator(json.dumps(MODEL | {"format_version": version}).encode()).semantics == "native/1"
