"""Queries that selectors refuse, and answers to those that they accept."""

import json
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import FeatureError, Selector

pytestmark = pytest.mark.filterwarnings("error")

MODELS = Path(__file__).parents[2] / "models"
NAMES = ("knn", "kmeans", "svm_rbf", "svm_linear")
D = 1038
QUERIES = np.array([json.loads(line) for line in (MODELS / "queries.jsonl").read_text().splitlines()])
Q = QUERIES[0]
TINY = 5e-324
HUGE = np.finfo(np.float64).max


@pytest.fixture(scope="module")
def estimators():
    return {name: load_estimator(MODELS / f"{name}.json") for name in NAMES}


@pytest.fixture(scope="module")
def artifacts(estimators):
    return {name: to_artifact(estimator) for name, estimator in estimators.items()}


@pytest.fixture(scope="module")
def selectors(artifacts):
    return {name: Selector.load(artifact) for name, artifact in artifacts.items()}


def with_value(value, place, dtype=np.float64):
    query = Q.astype(dtype)
    query[place] = value
    return query


def read_only(query):
    query = query.copy()
    query.flags.writeable = False
    return query


def refusal(call, query):
    with pytest.raises(FeatureError) as caught:
        call(query)
    assert caught.type is FeatureError
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


RAGGED = "ragged rows or non-numeric values"
NOT_NUMBERS = {
    "string": ("x", "dtype <U1"),
    "bytes": (b"x" * D, f"dtype |S{D}"),
    "strings": (["0.5"] * D, "dtype <U3"),
    "list of None": ([None] * D, "dtype object"),
    "one None": ([*Q[:-1], None], "dtype object"),
    "nested None": ([[None]], "dtype object"),
    "dict": ({"features": list(Q)}, "dtype object"),
    "set": ({1.0, 2.0}, "dtype object"),
    "generator": (iter(Q), "dtype object"),
    "object": (Q.astype(object), "dtype object"),
    "bool": (np.ones(D, dtype=bool), "dtype bool"),
    "complex": (Q.astype(complex), "dtype complex128"),
    "datetime64": (np.zeros(D, dtype="datetime64[s]"), "dtype datetime64[s]"),
    "timedelta64": (np.zeros(D, dtype="timedelta64[s]"), "dtype timedelta64[s]"),
    "record": (np.zeros(D, dtype=[("x", float)]), "dtype [('x', '<f8')]"),
    "integers beyond 64 bit": ([2**70] * D, "dtype object"),
    "ragged": ([1.0, [2.0]], RAGGED),
    "ragged rows": ([[1.0], [1.0, 2.0]], RAGGED),
}
REFUSED = {
    "None": (None, "expected features, or an embedding and its category"),
    **{name: (query, f"expected {D} numbers, got {got}") for name, (query, got) in NOT_NUMBERS.items()},
    "shorter": (Q[:-1], f"expected {D} numbers, got shape ({D - 1},)"),
    "longer": (np.append(Q, 0.0), f"expected {D} numbers, got shape ({D + 1},)"),
    "empty": ([], f"expected {D} numbers, got shape (0,)"),
    "scalar": (1.0, f"expected {D} numbers, got shape ()"),
    "2-D": (Q[None], f"expected {D} numbers, got shape (1, {D})"),
    "2-D of none": (np.empty((0, D)), f"expected {D} numbers, got shape (0, {D})"),
    "3-D": (Q[None, None], f"expected {D} numbers, got shape (1, 1, {D})"),
    "NaN": (with_value(np.nan, 3), "expected finite numbers, got nan at [3]"),
    "infinity": (with_value(np.inf, 0), "expected finite numbers, got inf at [0]"),
    "-infinity": (with_value(-np.inf, D - 1), f"expected finite numbers, got -inf at [{D - 1}]"),
    "NaN in a list": (with_value(np.nan, 3).tolist(), "expected finite numbers, got nan at [3]"),
    "float32 NaN": (with_value(np.nan, 3, np.float32), "expected finite numbers, got nan at [3]"),
    "float16 infinity": (with_value(np.inf, 3, np.float16), "expected finite numbers, got inf at [3]"),
    "infinity behind long values": (with_value(np.inf, 7) * 1e300, "expected finite numbers, got inf at [7]"),
}
if np.finfo(np.longdouble).max > HUGE:
    LONG = with_value(np.longdouble(HUGE) * 2, 5, np.longdouble)
    REFUSED["long double beyond float64"] = (LONG, "expected finite numbers, got inf at [5]")


@pytest.mark.parametrize("method", ["select", "scores", "explain"])
@pytest.mark.parametrize(("query", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", NAMES)
def test_refuses_queries(selectors, name, query, message, method):
    assert refusal(getattr(selectors[name], method), query) == message


def rows_with_value(value, row, column, dtype=np.float64):
    rows = np.tile(Q.astype(dtype), (row + 2, 1))
    rows[row, column] = value
    return rows


REFUSED_BATCHES = {
    "None": (None, "expected a matrix, or embeddings and their categories"),
    **{name: (query, f"expected rows of {D} numbers, got {got}") for name, (query, got) in NOT_NUMBERS.items()},
    "1-D": (Q, f"expected rows of {D} numbers, got shape ({D},)"),
    "scalar": (1.0, f"expected rows of {D} numbers, got shape ()"),
    "3-D": (Q[None, None], f"expected rows of {D} numbers, got shape (1, 1, {D})"),
    "shorter": (QUERIES[:, 1:], f"expected rows of {D} numbers, got shape (8, {D - 1})"),
    "longer": (np.zeros((2, D + 1)), f"expected rows of {D} numbers, got shape (2, {D + 1})"),
    "none of another width": (np.empty((0, D - 1)), f"expected rows of {D} numbers, got shape (0, {D - 1})"),
    "an empty row": ([[]], f"expected rows of {D} numbers, got shape (1, 0)"),
    "transposed": (QUERIES.T, f"expected rows of {D} numbers, got shape ({D}, 8)"),
    "NaN": (rows_with_value(np.nan, 3, 7), "expected finite numbers, got nan at [3][7]"),
    "infinity": (rows_with_value(-np.inf, 0, 0), "expected finite numbers, got -inf at [0][0]"),
    "float32 NaN": (rows_with_value(np.nan, 3, D - 1, np.float32), f"expected finite numbers, got nan at [3][{D - 1}]"),
    "Fortran-ordered NaN": (
        np.asfortranarray(rows_with_value(np.nan, 3, 7)),
        "expected finite numbers, got nan at [3][7]",
    ),
    "NaN in a later chunk": (rows_with_value(np.nan, 300, 7), "expected finite numbers, got nan at [300][7]"),
}


@pytest.mark.parametrize(("rows", "message"), REFUSED_BATCHES.values(), ids=REFUSED_BATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_refuses_batches(selectors, name, rows, message):
    assert refusal(selectors[name].select_batch, rows) == message


ACCEPTED = {
    "float64": Q,
    "list": Q.tolist(),
    "tuple": tuple(Q.tolist()),
    "numpy scalars": [np.float32(value) for value in Q],
    "mixed list": [1, *Q[1:].tolist()],
    "float32": Q.astype(np.float32),
    "float16": Q.astype(np.float16),
    "long double": Q.astype(np.longdouble),
    "integers": (Q * 1000).astype(np.int64),
    "int8": (Q * 100).astype(np.int8),
    "unsigned": np.abs(Q * 1000).astype(np.uint8),
    "unsigned beyond int64": np.uint64(2**63) + np.abs(Q * 2.0**60).astype(np.uint64),
    "big-endian": Q.astype(">f8"),
    "big-endian float32": Q.astype(">f4"),
    "every other": np.repeat(Q, 2)[::2],
    "backwards": Q[::-1].copy()[::-1],
    "column": QUERIES.T.copy()[:, 1],
    "read-only": read_only(Q),
    "subnormal": np.full(D, TINY),
    "mostly subnormal": np.where(np.arange(D) % 7, TINY, Q),
    "zero": np.zeros(D),
    "negative zero": -np.zeros(D),
    "one-hot only": np.eye(D)[1030],
    "1e-200": Q * 1e-200,
    "1e30": Q * 1e30,
    "1e154": Q * 1e154,
    "1e200": Q * 1e200,
    "1e308": Q * 1e308,
    "largest": np.where(Q < 0, -HUGE, HUGE),
}


def answer(estimator, name, query):
    """The estimator's answer; SVMs are asked with the unit vector, which cannot overflow."""
    query = np.asarray(query).astype(np.float64)
    largest = np.abs(query).max()
    if name.startswith("svm") and largest > 1e-10:
        query = query / largest
        query /= np.linalg.norm(query)
    with np.errstate(all="ignore"):
        return estimator.predict(query[None])[0]


@pytest.mark.parametrize("query", ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("name", NAMES)
def test_answers_as_in_float64(selectors, estimators, name, query):
    expected = answer(estimators[name], name, query)
    selector = selectors[name]
    scores = selector.scores(query)
    assert selector.select(query) == expected
    assert selector.select_batch([query]) == [expected]
    assert selector.explain(query)["model"] == expected
    assert max(scores.values()) == scores[expected]


BATCHES = {
    "list of lists": QUERIES.tolist(),
    "tuple of arrays": tuple(QUERIES),
    "Fortran-ordered": np.asfortranarray(QUERIES),
    "every other": np.repeat(np.repeat(QUERIES, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": QUERIES[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only(QUERIES),
    "float32": QUERIES.astype(np.float32),
    "big-endian": QUERIES.astype(">f8"),
    "integers": (QUERIES * 1000).astype(np.int16),
    "one row": QUERIES[:1],
    "long rows": QUERIES * 1e200,
    "long and short rows": QUERIES * np.logspace(-300, 300, len(QUERIES))[:, None],
}


@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_answers_batches_row_by_row(selectors, estimators, name, rows):
    expected = [answer(estimators[name], name, row) for row in rows]
    assert selectors[name].select_batch(rows) == expected
    assert [selectors[name].select(row) for row in rows] == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [[], (), np.empty(0), np.empty((0, D)), np.empty((0, D), dtype=np.float32)])
def test_answers_no_rows(selectors, name, rows):
    assert selectors[name].select_batch(rows) == []


@pytest.mark.parametrize("values", [1, 100_000, 1_000_000])
@pytest.mark.parametrize("name", NAMES)
def test_answers_across_chunks(selectors, artifacts, monkeypatch, name, values):
    rng = np.random.default_rng(values)
    rows = QUERIES[rng.integers(len(QUERIES), size=150)] + rng.normal(0, 0.01, (150, D))
    monkeypatch.setattr("modelpick.runtime.selector.CHUNK_VALUES", values)
    chunked = Selector.load(artifacts[name])
    expected = [selectors[name].select(row) for row in rows]
    assert len(set(expected)) > 1
    assert chunked.select_batch(rows) == selectors[name].select_batch(rows) == expected
    rows[103, 7] = np.nan
    assert refusal(chunked.select_batch, rows) == "expected finite numbers, got nan at [103][7]"


def test_masked_values_are_refused_and_others_taken(selectors):
    selector = selectors["knn"]
    assert selector.select(np.ma.masked_array(Q, np.zeros(D, dtype=bool))) == selector.select(Q)
    masked = np.ma.masked_array(Q, np.arange(D) == 3)
    for call in (selector.select, lambda query: selector.select_batch(np.ma.stack([query, query]))):
        with pytest.raises(FeatureError, match="got masked values"):
            call(masked)


def test_numbers_of_numpy_are_weights(selectors):
    selector = selectors["knn"]
    assert selector.scores(Q, quality_weight=np.float32(0.5)) == selector.scores(Q, quality_weight=0.5)
    assert selector.select_batch(QUERIES, quality_weight=np.float16(0.5)) == selector.select_batch(
        QUERIES, quality_weight=0.5
    )


def test_candidates_may_be_a_generator(selectors):
    selector = selectors["knn"]
    for names in (selector.model_names[:1], selector.model_names[1:]):
        expected = selector.select(Q, candidates=names)
        assert selector.select(Q, candidates=(name for name in names)) == expected
        assert selector.select_batch([Q], candidates=(name for name in names)) == [expected]
        assert selector.explain(Q, candidates=(name for name in names))["model"] == expected
    with pytest.raises(FeatureError, match="expected at least one"):
        selector.select(Q, candidates=(name for name in ()))
