"""What `load_estimator` refuses, accepts and warns about, and what becomes of what it accepts."""

import codecs
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from sklearn.base import BaseEstimator

from modelpick.converter import DocumentWarning, load_estimator, to_artifact
from modelpick.converter.algorithms.base import Estimator
from modelpick.converter.formats.decoding import Name
from modelpick.runtime import DocumentError, ModelpickError, Selector
from support import reference, strategies
from support.artifacts import MISSING, edited, encoded
from support.catalogue import kmeans, knn, linear_classifier, rbf_classifier, svm

pytestmark = pytest.mark.filterwarnings("error", "ignore::modelpick.converter.DocumentWarning")

KNN = knn([[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]], ["a", "b"], k=2, qualities=[0.25, 0.5, 0.75], latencies=[1, 2, 3])
SAMPLES = {
    **{"algorithm": "knn", "trained": True, "k": 2},
    "samples": [
        {"feature_vector": [1.0, 2.0], "model_name": "a", "quality": 0.25, "latency_ms": 5},
        {"feature_vector": [3.0, 4.0], "model_name": "b", "latency_ms": 0.0625},
    ],
}
KMEANS = kmeans([[1.0, 2.0], [3.0, 4.0]])
KMEANS_DICT = {**KMEANS, "cluster_models": {"0": "a", "1": "b"}}
SVM = svm(
    rbf=[
        rbf_classifier("a", [[1.0, 2.0], [3, 4]], [1.0, -1.0]),
        rbf_classifier("b", [[1.0, 2.0]], [1.0], gamma=2.0),
    ],
    model_names=["a", "b"],
    kernel_type="Rbf",
    gamma=1.0,
)
LINEAR = svm(
    [linear_classifier("a", [1.0, 2.0], rho=0.5), linear_classifier("b", [3.0, 4.0], rho=0.5)], kernel_type="Linear"
)
MODELS = {
    "knn": KNN,
    "samples": SAMPLES,
    "kmeans": KMEANS,
    "kmeans_dict": KMEANS_DICT,
    "svm": SVM,
    "linear": LINEAR,
}
NAMED = f"expected `str` matching regex {Name.__metadata__[0].pattern!r}"
FULL = "expected at least one row"
WIDE = "expected at least one number"
LATENCY = "expected milliseconds that fit 64-bit nanoseconds"
ALGORITHM = "$.algorithm: expected one of knn, kmeans, svm, mlp, hiershrink, kernel_ridge"
AT_LEAST_ONE = "expected `int` >= 1"
INT64 = "expected `int` <= 9223372036854775807"
FINITE = "expected a finite number"
# The library that decodes says the rest, in words of its own.
NOT_JSON = "expected JSON: "
BEYOND_PYTHON = b"9" * 5000  # more digits than int() takes


def replaced(model, old, new):
    data = encoded(model)
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


def json_path(path):
    return "$" + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in path.split(".") if step)


def contents(estimator):
    """Everything that an estimator was fitted with, but what it was loaded from."""

    def plain(value):
        if isinstance(value, BaseEstimator):
            return contents(value)
        if hasattr(value, "_asdict"):
            return {name: plain(one) for name, one in value._asdict().items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return value.tolist() if isinstance(value, np.ndarray) else value

    return {name: plain(value) for name, value in vars(estimator).items() if name != "source_"}


def quietly_loaded(source):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return contents(load_estimator(source))


def refusal(source):
    with pytest.raises(DocumentError) as caught:
        load_estimator(source)
    assert caught.type is DocumentError
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    if isinstance(source, bytes):  # files are read otherwise
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(source)
            assert refusal(file.name) == message.replace("<bytes>", file.name, 1)
    return message


VALUES = [
    (KNN, "trained", False, "$.trained: expected true: the model is not trained"),
    (KMEANS, "trained", False, "$.trained: expected true: the model is not trained"),
    (SVM, "trained", False, "$.trained: expected true: the model is not trained"),
    (
        KNN,
        "algorithm",
        "mlp?",
        f"{ALGORITHM}, got 'mlp?'",
    ),
    (
        KNN,
        "algorithm",
        "KNN",
        f"{ALGORITHM}, got 'KNN'",
    ),
    (KNN, "algorithm", "", f"{ALGORITHM}, got ''"),
    (
        KNN,
        "algorithm",
        "k\nnn",
        rf"{ALGORITHM}, got 'k\u000ann'",
    ),
    (KNN, "algorithm", None, "$.algorithm: expected `str`"),
    (KNN, "algorithm", ["knn"], "$.algorithm: expected `str`"),
    # empty models
    (KNN, "embeddings", [], f"$.embeddings: {FULL}"),
    (KNN, "embeddings", [[]], f"$.embeddings[0]: {WIDE}"),
    (KNN, "embeddings", [[], [1, 2], [3]], f"$.embeddings[0]: {WIDE}"),
    (KNN, "embeddings", None, f"$.embeddings: {FULL}"),
    (SAMPLES, "samples", [], f"$.embeddings: {FULL}"),
    (SAMPLES, "samples", None, f"$.embeddings: {FULL}"),
    (SAMPLES, "samples", [{"feature_vector": [], "model_name": "a"}], f"$.samples[0].feature_vector: {WIDE}"),
    (KMEANS, "centroids", [], f"$.centroids: {FULL}"),
    (KMEANS, "centroids", [[]], f"$.centroids[0]: {WIDE}"),
    (KMEANS, "num_clusters", 0, f"$.num_clusters: {AT_LEAST_ONE}"),
    (SVM, "rbf_classifiers", [], "$: expected at least one of linear_classifiers or rbf_classifiers"),
    (SVM, "rbf_classifiers", None, "$: expected at least one of linear_classifiers or rbf_classifiers"),
    (SVM, "rbf_classifiers", MISSING, "$: expected at least one of linear_classifiers or rbf_classifiers"),
    (LINEAR, "linear_classifiers", [], "$: expected at least one of linear_classifiers or rbf_classifiers"),
    (LINEAR, "linear_classifiers.1.weights", [], "$.linear_classifiers[1].weights: expected at least one number"),
    (SVM, "rbf_classifiers.0.support_vectors", [], f"$.rbf_classifiers[0].support_vectors: {FULL}"),
    (SVM, "rbf_classifiers.0.support_vectors", [[]], f"$.rbf_classifiers[0].support_vectors[0]: {WIDE}"),
    # counts and integers
    (KNN, "k", 0, f"$.k: {AT_LEAST_ONE}"),
    (KNN, "k", -1, f"$.k: {AT_LEAST_ONE}"),
    (KNN, "k", 1.0, "$.k: expected `int`, got `float`"),
    (KNN, "k", Raw(b"2e0"), "$.k: expected `int`, got `float`"),
    (KNN, "k", 2**63, f"$.k: {INT64}"),
    (KNN, "k", Raw(b"1" + b"0" * 30), f"$.k: {INT64}"),
    (KNN, "k", Raw(BEYOND_PYTHON), f"$.k: {INT64}"),
    (KNN, "k", Raw(b"1e999"), f"$.k: {FINITE}"),
    (KMEANS, "num_clusters", -1, f"$.num_clusters: {AT_LEAST_ONE}"),
    (KMEANS, "num_clusters", 2**63, f"$.num_clusters: {INT64}"),
    (KNN, "latencies.0", 2**63, f"$.latencies[0]: {INT64}"),
    (KNN, "latencies.2", Raw(b"1" + b"0" * 30), f"$.latencies[2]: {INT64}"),
    (KNN, "latencies.1", Raw(b"-9223372036854775809"), "$.latencies[1]: expected `int` >= -9223372036854775808"),
    (KNN, "latencies.1", 2.0, "$.latencies[1]: expected `int`, got `float`"),
    (SVM, "rbf_classifiers.1.gamma", -1, "$.rbf_classifiers[1].gamma: expected `float` > 0"),
    # ragged rows
    (KNN, "embeddings.1", [1.0], "$.embeddings[1]: expected 2 numbers, got 1"),
    (KNN, "embeddings", [[1, 2], [3], [4, 5, 6]], "$.embeddings[1]: expected 2 numbers, got 1"),
    (KNN, "embeddings.2", [], "$.embeddings[2]: expected 2 numbers, got 0"),
    (SAMPLES, "samples.1.feature_vector", [1, 2, 3], "$.samples[1].feature_vector: expected 2 numbers, got 3"),
    (KMEANS, "centroids", [[1, 2, 3], [4]], "$.centroids[1]: expected 3 numbers, got 1"),
    (
        SVM,
        "rbf_classifiers.0.support_vectors",
        [[1, 2, 3], [4]],
        "$.rbf_classifiers[0].support_vectors[1]: expected 3 numbers, got 1",
    ),
    # lengths that disagree
    (KNN, "labels", ["a", "b"], "$.labels: expected 3 values, one per row of $.embeddings, got 2"),
    (KNN, "labels", ["a"] * 4, "$.labels: expected 3 values, one per row of $.embeddings, got 4"),
    (KNN, "labels", None, "$.labels: expected 3 values, one per row of $.embeddings, got 0"),
    (KNN, "labels", MISSING, "$.labels: expected 3 values, one per row of $.embeddings, got 0"),
    (KNN, "qualities", [0.5], "$.qualities: expected 3 values, one per row of $.embeddings, got 1"),
    (KNN, "latencies", [1] * 4, "$.latencies: expected 3 values, one per row of $.embeddings, got 4"),
    (KMEANS, "num_clusters", 1, "$.centroids: expected 1 rows or fewer, $.num_clusters, got 2"),
    (KMEANS, "cluster_models", ["a"], '$.cluster_models: expected a model for each of 2 centroids, got none for "1"'),
    (KMEANS, "cluster_models", [], '$.cluster_models: expected a model for each of 2 centroids, got none for "0"'),
    (
        KMEANS,
        "cluster_models",
        {"0": "a", "2": "b", "3": "c"},
        '$.cluster_models: expected a model for each of 2 centroids, got none for "1"',
    ),
    (
        KMEANS,
        "cluster_models",
        {"0": "a", "01": "b"},
        '$.cluster_models: expected a model for each of 2 centroids, got none for "1"',
    ),
    (
        SVM,
        "rbf_classifiers.0.alpha",
        [1.0],
        "$.rbf_classifiers[0].alpha: expected 2 values, one per row of support_vectors, got 1",
    ),
    (
        SVM,
        "rbf_classifiers.1.alpha",
        [],
        "$.rbf_classifiers[1].alpha: expected 1 values, one per row of support_vectors, got 0",
    ),
    (
        SVM,
        "rbf_classifiers.0.support_vectors",
        [[1], [2]],
        "$.rbf_classifiers[1].support_vectors: expected 1 columns as in $.rbf_classifiers[0].support_vectors, got 2",
    ),
    (
        LINEAR,
        "linear_classifiers.1.weights",
        [1.0],
        "$.linear_classifiers[1].weights: expected 2 columns as in $.linear_classifiers[0].weights, got 1",
    ),
    (
        LINEAR,
        "rbf_classifiers",
        [{"model_name": "c", "alpha": [1], "support_vectors": [[1]], "rho": 0, "gamma": 1}],
        "$.rbf_classifiers[0].support_vectors: expected 2 columns as in $.linear_classifiers[0].weights, got 1",
    ),
    # names
    (SVM, "kernel_type", "", f"$.kernel_type: {NAMED}"),
    *(
        (model, path, name, f"{json_path(path)}: {NAMED}")
        for name in ("", "a\nb", "a\n", "a\0b", "\x7f")
        for model, path in (
            (KNN, "labels.1"),
            (SAMPLES, "samples.1.model_name"),
            (KMEANS, "cluster_models.1"),
            (SVM, "rbf_classifiers.1.model_name"),
            (LINEAR, "linear_classifiers.0.model_name"),
        )
    ),
    (KMEANS_DICT, "cluster_models.1", "", f"$.cluster_models.1: {NAMED}"),
    # the old form, with holes
    (SAMPLES, "samples.0.latency_ms", MISSING, "$.samples[0].latency_ms: expected a number: other samples have one"),
    (SAMPLES, "samples.1.latency_ms", None, "$.samples[1].latency_ms: expected a number: other samples have one"),
    (SAMPLES, "samples.0.latency_ms", 1e300, f"$.samples[0].latency_ms: {LATENCY}"),
    (SAMPLES, "samples.1.latency_ms", -1e300, f"$.samples[1].latency_ms: {LATENCY}"),
    (SAMPLES, "samples.1.latency_ms", 9223372036854.776, f"$.samples[1].latency_ms: {LATENCY}"),
]


@pytest.mark.parametrize(("model", "path", "value", "message"), VALUES)
def test_refuses_values(model, path, value, message):
    assert refusal(encoded(model, (path, value))) == f"<bytes>: {message}"


REQUIRED = {
    ("knn", ""): ("algorithm", "trained", "k"),
    ("samples", "samples.1"): ("feature_vector", "model_name"),
    ("kmeans", ""): ("algorithm", "trained", "num_clusters", "centroids", "cluster_models"),
    ("svm", ""): ("algorithm", "trained"),
    ("svm", "rbf_classifiers.1"): ("model_name", "alpha", "support_vectors", "rho", "gamma"),
    ("linear", "linear_classifiers.0"): ("model_name", "weights", "rho"),
}


@pytest.mark.parametrize(
    ("model", "path", "field"), [(*place, field) for place, fields in REQUIRED.items() for field in fields]
)
def test_refuses_missing_fields(model, path, field):
    data = encoded(MODELS[model], (f"{path}.{field}".strip("."), MISSING))
    assert refusal(data) == f"<bytes>: {json_path(path)}: object missing required field `{field}`"


OF_EACH_TYPE = {"null": None, "bool": True, "int": 1, "float": 1.5, "str": "x", "array": [], "object": {}}
TYPES = {
    ("knn", "trained"): "bool",
    ("knn", "k"): "int",
    ("knn", "embeddings"): "array | null",
    ("knn", "embeddings.1"): "array",
    ("knn", "embeddings.2.1"): "float",
    ("knn", "labels"): "array | null",
    ("knn", "labels.2"): "str",
    ("knn", "qualities"): "array | null",
    ("knn", "qualities.0"): "float",
    ("knn", "latencies"): "array | null",
    ("knn", "latencies.1"): "int",
    ("samples", "samples"): "array | null",
    ("samples", "samples.1"): "object",
    ("samples", "samples.0.feature_vector"): "array",
    ("samples", "samples.1.feature_vector.0"): "float",
    ("samples", "samples.1.model_name"): "str",
    ("samples", "samples.1.quality"): "float",
    ("samples", "samples.1.latency_ms"): "float | null",
    ("kmeans", "trained"): "bool",
    ("kmeans", "num_clusters"): "int",
    ("kmeans", "centroids"): "array",
    ("kmeans", "centroids.1"): "array",
    ("kmeans", "centroids.0.1"): "float",
    ("kmeans", "cluster_models"): "array | object",
    ("kmeans", "cluster_models.1"): "str",
    ("kmeans_dict", "cluster_models.1"): "str",
    ("svm", "trained"): "bool",
    ("svm", "model_names"): "array | null",
    ("svm", "model_names.1"): "str",
    ("svm", "kernel_type"): "str | null",
    ("svm", "gamma"): "float | null",
    ("svm", "rbf_classifiers"): "array | null",
    ("svm", "rbf_classifiers.1"): "object",
    ("svm", "rbf_classifiers.0.model_name"): "str",
    ("svm", "rbf_classifiers.0.alpha"): "array",
    ("svm", "rbf_classifiers.0.alpha.1"): "float",
    ("svm", "rbf_classifiers.0.support_vectors"): "array",
    ("svm", "rbf_classifiers.0.support_vectors.1"): "array",
    ("svm", "rbf_classifiers.0.support_vectors.1.0"): "float",
    ("svm", "rbf_classifiers.0.rho"): "float",
    ("svm", "rbf_classifiers.0.gamma"): "float",
    ("linear", "linear_classifiers"): "array | null",
    ("linear", "linear_classifiers.0"): "object",
    ("linear", "linear_classifiers.1.model_name"): "str",
    ("linear", "linear_classifiers.1.weights"): "array",
    ("linear", "linear_classifiers.1.weights.1"): "float",
    ("linear", "linear_classifiers.1.rho"): "float",
}
WRONG_TYPES = [
    (*place, expected, got)
    for place, expected in TYPES.items()
    for got in OF_EACH_TYPE
    if got not in expected.split(" | ") and not (got == "int" and "float" in expected)
]


@pytest.mark.parametrize(("model", "path", "expected", "got"), WRONG_TYPES)
def test_refuses_wrong_types(model, path, expected, got):
    data = encoded(MODELS[model], (path, OF_EACH_TYPE[got]))
    place = f"$.{path}" if model == "kmeans_dict" else json_path(path)
    assert refusal(data) == f"<bytes>: {place}: expected `{expected}`, got `{got}`"


NUMBERS = [place for place, expected in TYPES.items() if "float" in expected or place == ("knn", "latencies.1")]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(("model", "path"), NUMBERS)
def test_refuses_numbers_that_json_does_not_have(model, path, literal):
    data = encoded(MODELS[model], (path, Raw(literal.encode())))
    assert refusal(data).startswith(f"<bytes>: {NOT_JSON}")


@pytest.mark.parametrize("literal", [b"1e999", b"-1e999", BEYOND_PYTHON], ids=["1e999", "-1e999", "digits"])
@pytest.mark.parametrize(("model", "path"), [place for place in NUMBERS if "latencies" not in place[1]])
def test_refuses_numbers_that_float64_does_not_have(model, path, literal):
    data = encoded(MODELS[model], (path, Raw(literal)))
    assert refusal(data) == f"<bytes>: {json_path(path)}: {FINITE}"


IN_A_NAME = encoded(KNN).index(b'"a"') + 1
TEXTS = {
    "empty": (b"", NOT_JSON),
    "white space": (b" \r\n\t", NOT_JSON),
    "array": (b"[]", "$: expected `object`, got `array`"),
    "number": (b"1.5", "$: expected `object`, got `float`"),
    "string": (b'"knn"', "$: expected `object`, got `str`"),
    "null": (b"null", "$: expected `object`, got `null`"),
    "empty object": (b"{}", "$: object missing required field `algorithm`"),
    "BOM": (codecs.BOM_UTF8 + encoded(KNN), "expected UTF-8 without a byte order mark"),
    "UTF-16": (encoded(KNN).decode().encode("utf-16"), "expected UTF-8, got byte 0xff at 0"),
    "Latin-1": (
        replaced(KNN, b'"a"', b'"\xe9"'),
        f"expected UTF-8, got byte 0xe9 at {IN_A_NAME}",
    ),
    "surrogate in UTF-8": (
        replaced(KNN, b'"a"', b'"\xed\xa0\x80"'),
        f"expected UTF-8, got byte 0xed at {IN_A_NAME}",
    ),
    "trailing garbage": (encoded(KNN) + b" x", NOT_JSON),
    "two documents": (encoded(KNN) * 2, NOT_JSON),
    "deep array": (b"[" * 100_000, "$: expected `object`, got `array`"),
    "deep object": (b'{"a":' * 100_000, NOT_JSON),
    "deep unknown field": (replaced(KNN, b'"k"', b'"more":' + b"[" * 100_000 + b',"k"'), NOT_JSON),
    "deep closed unknown field": (
        replaced(KNN, b'"k"', b'"more":' + b"[" * 100_000 + b"]" * 100_000 + b',"k"'),
        NOT_JSON,
    ),
    "algorithm twice": (
        replaced(KNN, b'"trained"', b'"algorithm":"kmeans","trained"'),
        "$.algorithm: expected once, found again",
    ),
    "k twice": (replaced(KNN, b'"k":2', b'"k":2,"k":2'), "$.k: expected once, found again"),
    "escaped k twice": (replaced(KNN, b'"k":2', rb'"k":2,"\u006b":2'), "$.k: expected once, found again"),
    "unknown field twice": (replaced(KNN, b'"k":2', b'"k":2,"x":1,"x":1'), "$.x: expected once, found again"),
    "k twice behind white space": (
        b" " * 100 + replaced(KNN, b'"k":2', b'"k":2,"k":3'),
        "$.k: expected once, found again",
    ),
    "twice in a sample": (
        replaced(SAMPLES, b'"quality":0.25', b'"quality":0.25,"quality":0.25'),
        "$.samples[0].quality: expected once, found again",
    ),
    "twice in a classifier": (
        replaced(SVM, b'"gamma":2.0', b'"gamma":2.0,"gamma":2.0'),
        "$.rbf_classifiers[1].gamma: expected once, found again",
    ),
    "twice in a classifier behind white space": (
        replaced(LINEAR, b'"linear_classifiers":[{', b'"linear_classifiers":[' + b" " * 100 + b'{"rho":1,'),
        "$.linear_classifiers[0].rho: expected once, found again",
    ),
    "cluster twice": (
        replaced(KMEANS_DICT, b'{"0":"a"', b'{"0":"a","0":"b"'),
        "$.cluster_models.0: expected once, found again",
    ),
}


@pytest.mark.parametrize(("data", "message"), TEXTS.values(), ids=TEXTS)
def test_refuses_texts(data, message):
    expected = f"<bytes>: {message}"
    assert refusal(data)[: len(expected) if message == NOT_JSON else None] == expected


def test_refuses_a_lone_surrogate_escaped():
    assert refusal(replaced(KNN, b'"a"', rb'"\ud800"')).startswith(f"<bytes>: {NOT_JSON}")


@pytest.mark.parametrize("twentieth", range(20))
@pytest.mark.parametrize("model", MODELS)
def test_refuses_cut_json(model, twentieth):
    data = encoded(MODELS[model])
    assert refusal(data[: len(data) * twentieth // 20]).startswith(f"<bytes>: {NOT_JSON}")


FILES = {
    "missing": ("none.json", "No such file or directory"),
    "folder": (".", "Is a directory"),
    "in a file": ("bad.json/knn.json", "Not a directory"),
    "NUL": ("a\0b", "embedded null byte"),
    "newline": ("a\nb", "No such file or directory"),
}


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(("name", "reason"), FILES.values(), ids=FILES)
def test_refuses_files_that_cannot_be_read(tmp_path, name, reason, kind):
    (tmp_path / "bad.json").touch()
    path = kind(tmp_path / name)
    shown = str(path).replace("\0", r"\u0000").replace("\n", r"\u000a")
    assert refusal(path) == f"{shown}: cannot be read: {reason}"


@pytest.mark.parametrize("form", ["rows", "samples"])
def test_reads_many_rows_of_a_file_as_of_bytes(tmp_path, form):
    rows = np.random.default_rng(0).normal(size=(3_000, 9)).tolist()
    labels = [f"m{index % 3}" for index in range(len(rows))]
    model = {**KNN, "embeddings": rows, "labels": labels, "qualities": [], "latencies": []}
    if form == "samples":
        samples = [{"feature_vector": row, "model_name": label} for row, label in zip(rows, labels, strict=True)]
        model = {**SAMPLES, "samples": samples}
    path = tmp_path / "knn.json"
    path.write_bytes(encoded(model))
    read = contents(load_estimator(path))
    assert read["embeddings_"] == rows
    assert read == contents(load_estimator(path.read_bytes()))
    places = {"rows": "embeddings.2999.8", "samples": "samples.2999.feature_vector.8"}
    assert refusal(encoded(model, (places[form], "x"))).endswith(": expected `float`, got `str`")


@pytest.mark.parametrize("kind", [str, Path])
def test_names_the_file(tmp_path, kind):
    path = tmp_path / "bad\n.json"
    path.write_bytes(encoded(KNN, ("k", 0)))
    assert refusal(kind(path)) == rf"{tmp_path}/bad\u000a.json: $.k: {AT_LEAST_ONE}"


@pytest.mark.parametrize("model", MODELS)
def test_good_documents_warn_nothing(model, tmp_path):
    data = encoded(MODELS[model])
    (tmp_path / "model.json").write_bytes(data)
    assert quietly_loaded(tmp_path / "model.json") == quietly_loaded(data)


ACCEPTED = [
    (KNN, "k", 3, "n_neighbors", 3),
    (KNN, "embeddings.0.0", Raw(b"1" + b"0" * 30), "embeddings_.0.0", 1e30),
    (KNN, "embeddings.0.0", Raw(b"9" * 300), "embeddings_.0.0", 1e300),
    (KNN, "embeddings.0.0", Raw(b"-18446744073709551617"), "embeddings_.0.0", -(2.0**64)),
    (KNN, "embeddings.0.0", Raw(b"1e-400"), "embeddings_.0.0", 0.0),
    (KNN, "qualities.0", Raw(b"1" + b"0" * 30), "qualities_.0", 1e30),
    (KNN, "qualities", None, "qualities_", [0.5] * 3),
    (KNN, "qualities", [], "qualities_", [0.5] * 3),
    (KNN, "qualities", MISSING, "qualities_", [0.5] * 3),
    (KNN, "latencies", None, "speeds_", [1.0] * 3),
    (KNN, "latencies", [], "speeds_", [1.0] * 3),
    (KNN, "latencies", MISSING, "speeds_", [1.0] * 3),
    (KNN, "latencies.1", -(2**63), "speeds_", [0.0, 1.0, 0.0]),
    (KNN, "latencies.1", 2**63 - 1, "speeds_", [1.0, 0.0, 1.0]),
    (KNN, "labels", ["é", "模型", "🙂"], "classes_", ["é", "模型", "🙂"]),
    (KNN, "labels", ["a", "a", "a"], "model_indices_", [0, 0, 0]),
    (SAMPLES, "samples.1.quality", 0.75, "qualities_", [0.25, 0.75]),
    (KMEANS, "centroids.0.0", Raw(b"1" + b"0" * 30), "cluster_centers_.0.0", 1e30),
    (KMEANS, "cluster_models", ["é", "é"], "choice_models_", ["é", "é"]),
    (KMEANS, "cluster_models", {"1": "b", "0": "模型"}, "choice_models_", ["模型", "b"]),
    (SVM, "rbf_classifiers.1.model_name", "a", "choice_models_.1", "a"),
    (SVM, "rbf_classifiers.0.rho", Raw(b"1" + b"0" * 30), "machines_.0.intercept", -1e30),
    (SVM, "rbf_classifiers.0.gamma", 1e-300, "machines_.0.gamma", 1e-300),
    (SVM, "kernel_type", None, "coef_", []),
    (LINEAR, "linear_classifiers.0.model_name", "模型", "choice_models_.0", "模型"),
    (LINEAR, "linear_classifiers.1.weights.0", Raw(b"1" + b"0" * 30), "coef_.1.0", 1e30),
    (LINEAR, "rbf_classifiers", None, "machines_", []),
]


@pytest.mark.parametrize(("model", "path", "value", "read", "expected"), ACCEPTED)
def test_accepts(model, path, value, read, expected):
    found = quietly_loaded(encoded(model, (path, value)))
    for step in read.split("."):
        found = found[int(step)] if isinstance(found, list | tuple) else found[step]
    assert (list(found) if isinstance(found, tuple) else found) == expected


UNKNOWN = {"null": None, "object": {"k": "x", "embeddings": {}}, "array": [[{"k": 1}], 2], "digits": Raw(BEYOND_PYTHON)}


@pytest.mark.parametrize("place", ["", "samples.0.", "rbf_classifiers.0.", "linear_classifiers.1."])
@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
def test_ignores_unknown_fields(place, value):
    for model in MODELS.values():
        if not place or place.split(".")[0] in model:
            data = encoded(model, (f"{place}more", value))
            assert quietly_loaded(data) == quietly_loaded(encoded(model))


WARNED = [
    (KNN, "k", 4, "$.k: 4 neighbours asked of 3 rows: all rows vote"),
    (KNN, "k", 2**63 - 1, f"$.k: {2**63 - 1} neighbours asked of 3 rows: all rows vote"),
    (SAMPLES, "k", 3, "$.k: 3 neighbours asked of 2 rows: all rows vote"),
    (KNN, "qualities", [0, 0.01, -1], "$: 2 qualities below 0.01 count as 0.01"),
    (SAMPLES, "samples.0.quality", 0.009, "$: 1 qualities below 0.01 count as 0.01"),
    (KNN, "samples", SAMPLES["samples"], "$.samples: ignored, since there are $.embeddings"),
    (SVM, "kernel_type", "Linear", "$.kernel_type: 'Linear' disagrees with the classifiers, which are scored"),
    (SVM, "kernel_type", "Poly", "$.kernel_type: 'Poly' disagrees with the classifiers, which are scored"),
    (LINEAR, "kernel_type", "Rbf", "$.kernel_type: 'Rbf' disagrees with the classifiers, which are scored"),
    (
        SVM,
        "linear_classifiers",
        LINEAR["linear_classifiers"],
        "$.kernel_type: 'Rbf' disagrees with the classifiers, which are scored",
    ),
    (KMEANS, "num_clusters", 3, "$.num_clusters: 3 clusters, 2 centroids: the rest is ignored"),
    (
        {**KMEANS, "num_clusters": 3},
        "cluster_models",
        ["a", "b", "c"],
        "$.num_clusters: 3 clusters, 2 centroids: the rest is ignored",
    ),
    (KMEANS, "cluster_models", ["a", "b", "c"], "$.cluster_models: 3 models for 2 centroids: the rest is ignored"),
    (
        KMEANS,
        "cluster_models",
        {"0": "a", "1": "b", "x": "c"},
        "$.cluster_models: 3 models for 2 centroids: the rest is ignored",
    ),
]


@pytest.mark.parametrize(("model", "path", "value", "message"), WARNED)
def test_warns(model, path, value, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_estimator(encoded(model, (path, value)))
    found = [(warning.category, str(warning.message), warning.filename) for warning in caught]
    assert found == [(DocumentWarning, f"<bytes>: {message}", __file__)]


OLD_FORMS = {
    "samples": (
        SAMPLES,
        {
            "embeddings": [[1.0, 2.0], [3.0, 4.0]],
            "labels": ["a", "b"],
            "qualities": [0.25, 0.5],
            "latencies": [5_000_000, 62_500],
        },
    ),
    "samples without latencies": (
        edited(SAMPLES, ("samples.0.latency_ms", MISSING), ("samples.1.latency_ms", None)),
        {"embeddings": [[1.0, 2.0], [3.0, 4.0]], "labels": ["a", "b"], "qualities": [0.25, 0.5]},
    ),
    "samples with null": (
        edited(SAMPLES, ("embeddings", None)),
        {
            "embeddings": [[1.0, 2.0], [3.0, 4.0]],
            "labels": ["a", "b"],
            "qualities": [0.25, 0.5],
            "latencies": [5_000_000, 62_500],
        },
    ),
    "cluster_models": (KMEANS_DICT, {"cluster_models": ["a", "b"]}),
}


@pytest.mark.parametrize(("old", "fields"), OLD_FORMS.values(), ids=OLD_FORMS)
def test_reads_old_forms_as_the_new(old, fields):
    new = {field: value for field, value in old.items() if field != "samples"} | fields
    assert quietly_loaded(encoded(old)) == quietly_loaded(encoded(new))


@pytest.mark.parametrize("latencies", [None, [], MISSING])
def test_without_latencies_every_speed_is_1(latencies):
    estimator = load_estimator(encoded(KNN, ("latencies", latencies), ("qualities", MISSING)))
    assert estimator.speeds_.tolist() == [1.0] * 3
    assert estimator.qualities_.tolist() == [0.5] * 3


def load_or_refuse(data):
    try:
        assert isinstance(load_estimator(data), Estimator)
    except DocumentError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).startswith("<bytes>: ")


def paths(value, path=()):
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, step)
            yield from paths(inner, (*path, step))


@st.composite
def mutated_json(draw):
    data = bytearray(json.dumps(draw(strategies.models), ensure_ascii=False).encode())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 3))
        data[start : start + length] = draw(st.binary(max_size=3) | st.sampled_from([b'"', b",", b"]", b"9", b"e9"]))
    return bytes(data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def replaced_json(draw):
    model = draw(strategies.models)
    *parents, last = draw(st.sampled_from(list(paths(model))))
    place = model
    for step in parents:
        place = place[step]
    place[last] = draw(JSON_VALUES)
    return json.dumps(model, ensure_ascii=draw(st.booleans())).encode()


@settings(max_examples=250, deadline=None)
@given(st.binary() | mutated_json() | replaced_json())
def test_any_bytes_load_or_are_refused(data):
    load_or_refuse(data)


def new_form(model):
    samples = model.get("samples")
    if not samples:
        return model
    columns = {
        "embeddings": [sample["feature_vector"] for sample in samples],
        "labels": [sample["model_name"] for sample in samples],
        "qualities": [sample.get("quality", 0.5) for sample in samples],
    }
    if samples[0].get("latency_ms") is not None:
        columns["latencies"] = [round(sample["latency_ms"] * 1e6) for sample in samples]
    return model | columns


def tied(model, query):
    """Whether rounding decides; never on a small grid of integers, where distances are exact."""
    if model["algorithm"] == "svm":
        return svm_tied(model, query)
    rows = np.array(model.get("embeddings") or model.get("centroids"), dtype=np.float64)
    if all(np.all((values == values.round()) & (abs(values) < 1e6)) for values in (rows, query)):
        return False
    distances = np.sort(np.linalg.norm(np.unique(rows, axis=0) - query, axis=1))
    reach = model.get("k", 1)
    return np.any(np.diff(distances)[:reach] <= 1e-9 * distances[1 : reach + 1])


def svm_tied(model, query):
    norm = np.linalg.norm(query)
    unit = query / norm if norm > 1e-10 else query
    scored = {}
    for classifier, (_, score) in zip(classifiers(model), reference.svm_scores(model, query), strict=True):
        if "weights" in classifier:
            size = np.abs(np.array(classifier["weights"]) * unit).sum()
        else:
            squared = ((np.array(classifier["support_vectors"], dtype=np.float64) - unit) ** 2).sum(axis=1)
            size = np.abs(classifier["alpha"]) @ np.exp(-classifier["gamma"] * squared)
        # Equal classifiers score the same: no rounding tells them apart.
        scored[json.dumps(classifier | {"model_name": ""})] = (score, size + abs(classifier["rho"]))
    (best, size), *others = sorted(scored.values(), reverse=True)
    return any(best - score <= 1e-9 * max(size, other) for score, other in others)


def classifiers(model):
    return [*(model.get("linear_classifiers") or []), *(model.get("rbf_classifiers") or [])]


ONE_OF_REPEATED = KNN | {"k": 1, "embeddings": [[1, 2], [1, 2], [3, 4]]}


@example((ONE_OF_REPEATED, [[3, 4], [1, 2]]))
@settings(max_examples=120, deadline=None)
@given(strategies.models_with_queries())
def test_any_model_answers_as_the_reference(pair):
    model, queries = pair
    selector = Selector.load(to_artifact(load_estimator(json.dumps(model).encode())))

    clear = [query for query in queries if not tied(new_form(model), np.array(query, dtype=np.float64))]
    expected = reference.select(new_form(model), clear)

    assert selector.select_batch(clear) == expected
    assert [selector.select(query) for query in clear] == expected


UNIT = (np.array([3, 5]) / np.linalg.norm([3, 5])).tolist()
STEEP = {"model_name": "a", "alpha": [1], "support_vectors": [UNIT], "rho": 1e-4, "gamma": 1e12}
FLAT = {"model_name": "b", "alpha": [1], "support_vectors": [[0, 0]], "rho": 2e-4, "gamma": 1e-300}
EXTREMES = {
    "vote sums overflow": (edited(KNN, ("qualities", [1.7e308] * 3), ("k", 3)), [1, 2]),
    "distances overflow": (edited(KNN, ("embeddings", [[1e200, 0], [0, 1e200], [0, 0]]), ("k", 1)), [0, 1e200]),
    "centroids overflow": (edited(KMEANS, ("centroids", [[1e200, 0], [0, 1e200]])), [0, 1e200]),
    "support vectors overflow": (edited(SVM, ("rbf_classifiers.0.support_vectors", [[1e200, 0], [0, 1e200]])), [1, 2]),
    "steep kernel": (edited(SVM, ("rbf_classifiers", [STEEP, FLAT])), [3, 5]),
}


@pytest.mark.parametrize(("model", "query"), EXTREMES.values(), ids=EXTREMES)
def test_extreme_models_answer_as_the_reference_or_are_refused(model, query):
    with np.errstate(all="ignore"):
        expected = reference.select(model, [query])
        try:
            selector = Selector.load(to_artifact(load_estimator(encoded(model))))
        except ModelpickError:
            return
        assert selector.select_batch([query]) == expected
        assert [selector.select(query)] == expected
