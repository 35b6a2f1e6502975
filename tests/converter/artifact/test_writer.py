"""What an artifact is made of, and that a failed conversion leaves the one before it."""

import errno
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from modelpick.converter import convert, restore, to_artifact
from modelpick.converter.algorithms.kmeans.estimators import KMeansModelSelector
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector
from modelpick.converter.algorithms.mlp.estimators import MLPModelSelector
from modelpick.converter.algorithms.svm.estimators import OneVsRestModelSelector
from modelpick.runtime import DocumentError, ModelpickError, Selector
from support import reference
from support.artifacts import built, contents, converted, encoded
from support.attacks import attack
from support.catalogue import batch_norm, dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm

pytestmark = pytest.mark.filterwarnings("error")

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "models").glob("*.json"))
OPSETS = range(17, 22)
RNG = np.random.default_rng(0)
D = 6
ROWS = RNG.normal(size=(40, D)).round(3).tolist()
LABELS = [f"model-{i % 3}" for i in range(len(ROWS))]
KNN = knn(
    ROWS, LABELS, k=4, qualities=RNG.uniform(0.1, 1, len(ROWS)).round(3), latencies=RNG.integers(10**9, size=len(ROWS))
)
KMEANS = kmeans(ROWS[:5], ["model-1", "model-0", "model-1", "模型", "model-2"])
LINEAR = [linear_classifier(f"linear-{i}", ROWS[i], rho=0.1 * i) for i in range(3)]
RBF = [
    rbf_classifier(f"rbf-{i}", ROWS[4 * i : 4 * i + 8], RNG.normal(size=8).round(3), rho=0.1 * i, gamma=0.5 + i // 2)
    for i in range(3)
]
STEEP = [
    machine | {"gamma": 1e5, "support_vectors": [(v / np.linalg.norm(v)).tolist() for v in machine["support_vectors"]]}
    for machine in RBF
]
MLP = mlp(
    dense(ROWS[:8], RNG.normal(size=8)),
    batch_norm(RNG, 8),
    {"type": "relu"},
    {"type": "dropout", "p": 0.1},
    dense(RNG.normal(size=(3, 8)), [0, 0.1, 0.2]),
)
MODELS = {
    "knn": KNN,
    "knn of repeated rows": KNN | {"embeddings": [ROWS[i // 3] for i in range(len(ROWS))]},
    "knn of few rows": KNN | {"k": 7, "embeddings": ROWS[:7], "labels": LABELS[:7], "qualities": [], "latencies": []},
    "kmeans": KMEANS,
    "svm linear": svm(LINEAR),
    "svm rbf": svm(rbf=RBF),
    "svm rbf steep": svm(rbf=STEEP),
    "svm both": svm(LINEAR, RBF),
    "mlp": MLP,
}
QUERIES = np.vstack([RNG.normal(size=(30, D)), ROWS[:10]])


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.mark.parametrize("search", ["auto", "quantised"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_converts_to_the_same_bytes_each_time(file, search, tmp_path):
    (tmp_path / "copy.json").write_bytes(file.read_bytes())
    for number, source in enumerate((file, tmp_path / "copy.json", file.read_bytes())):
        convert(source, tmp_path / f"{number}.onnx", samples=1, exact_search=search)
    first, *others = ((tmp_path / f"{number}.onnx").read_bytes() for number in range(3))
    assert others == [first, first]


DIGESTS = """
import hashlib, sys
from modelpick.converter import load_estimator, to_artifact
for file in sys.argv[1:]:
    for search in ("plain", "quantised"):
        estimator = load_estimator(file)
        data = to_artifact(estimator, exact_search=search)
        print(hashlib.sha256(data).hexdigest())
"""


def test_converts_to_the_same_bytes_in_every_process():
    """With another seed of hashes, and more threads."""
    environment = os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", DIGESTS, *FILES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.split() == [
        hashlib.sha256(converted(file, exact_search=search)).hexdigest()
        for file in FILES
        for search in ("plain", "quantised")
    ]


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_selects_the_same(model, opset):
    estimator = built(model)
    expected = reference.select(model, QUERIES)
    assert list(estimator.predict(QUERIES)) == expected
    for search in ("plain", "quantised") if model["algorithm"] == "knn" else ("plain",):  # others search nothing
        data = to_artifact(estimator, exact_search=search, target_opset=opset)
        opsets = {entry.domain: entry.version for entry in onnx.load_model_from_string(data).opset_import}
        assert opsets == {"": opset}
        with Selector.load(data) as selector:
            assert selector.select_batch(QUERIES) == [selector.select(query) for query in QUERIES] == expected


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_large_tensors_stand_where_small_ones_do(model, search, monkeypatch):
    expected = converted(model, exact_search=search)
    monkeypatch.setattr("modelpick.converter.graphs.builder.LARGE", 16)
    monkeypatch.setattr("modelpick.converter.graphs.tensors.BLOCK", 100)
    assert converted(model, exact_search=search) == expected


def test_refuses_what_no_file_can_hold(model, monkeypatch):
    monkeypatch.setattr("modelpick.converter.artifact.filling.LARGEST_FILE", 1_000)
    with pytest.raises(DocumentError, match=r"expected a graph that fits the 2 GB of an ONNX file, got [0-9,]+ bytes"):
        converted(model)


def all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)


@pytest.mark.parametrize("search", ["plain", "quantised"])
@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_is_one_standard_file(model, opset, search, tmp_path):
    (tmp_path / "model.onnx").write_bytes(converted(model, exact_search=search, target_opset=opset))
    proto = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert {node.domain for node in all_nodes(proto.graph)} == {""}
    assert not proto.functions
    assert {tensor.data_location for tensor in proto.graph.initializer} == {onnx.TensorProto.DEFAULT}
    features = proto.graph.input[0]
    batch, width = features.type.tensor_type.shape.dim
    assert (features.name, batch.HasField("dim_value"), width.dim_value) == ("features", False, D)
    assert features.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


@pytest.mark.parametrize("search", ["plain", "quantised"])
@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_passes_the_checker_of_onnx(model, opset, search):
    data = converted(model, exact_search=search, target_opset=opset)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)


DESCRIPTIONS = {
    "knn": {
        "algorithm": "knn",
        "model_names": list(dict.fromkeys(LABELS)),
        "k": 4,
        "metric": "euclidean",
        "quality_weight": 0.9,
        "speed_weight": 0.1,
        "min_quality": 0.01,
        "tie_rule": "distance, then row; vote, then best-ranked neighbour",
        "rows": 40,
    },
    "knn of few rows": {"k": 7, "rows": 7},
    "kmeans": {
        "algorithm": "kmeans",
        "model_names": ["model-1", "model-0", "模型", "model-2"],
        "choices": KMEANS["cluster_models"],
        "metric": "euclidean",
        "tie_rule": "distance, then cluster",
        "rows": 5,
    },
    "svm linear": {"algorithm": "svm", "model_names": ["linear-0", "linear-1", "linear-2"]},
    "svm both": {
        "algorithm": "svm",
        "model_names": [f"{kind}-{i}" for kind in ("linear", "rbf") for i in range(3)],
        "tie_rule": "score, then classifier",
        "rows": 24,
    },
    "mlp": {
        "algorithm": "mlp",
        "model_names": ["a", "b", "c"],
        "choices": ["a", "b", "c"],
        "tie_rule": "score, then the last model",
    },
}
TOOLS = ("modelpick", "numpy", "onnx", "scikit-learn", "skl2onnx")


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_metadata_describe_the_model(name, tmp_path):
    (tmp_path / "model.json").write_bytes(encoded(MODELS[name]))
    convert(tmp_path / "model.json", tmp_path / "model.onnx")
    entries = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    common = {
        "format_version": 2,
        "n_features_in": D,
        "source_sha256": hashlib.sha256(encoded(MODELS[name])).hexdigest(),
        "tools": {tool: version(tool) for tool in TOOLS},
    }
    expected = {f"modelpick.{key}": value for key, value in (common | DESCRIPTIONS[name]).items()}
    assert {key: json.loads(entries[key]) for key in expected} == expected
    assert all(key.startswith("modelpick.") for key in entries)


def run(proto, queries):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": queries}), strict=True))


def check_knn(found, estimator, queries, tolerance):
    distances, rows = estimator.kneighbors(queries)
    np.testing.assert_array_equal(found["row"], rows)
    np.testing.assert_allclose(found["distance"], distances, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(found["model"], estimator.model_indices_[rows])
    np.testing.assert_array_equal(found["quality"], estimator.qualities_[rows])
    np.testing.assert_array_equal(found["speed"], estimator.speeds_[rows])
    return estimator.classes_[estimator.vote(found["row"]).picks]


def check_kmeans(found, estimator, queries, tolerance):
    np.testing.assert_allclose(found["distance"], estimator.transform(queries), rtol=tolerance, atol=tolerance)
    return estimator.choice_models_[found["cluster"]]


def check_scores(found, estimator, queries, tolerance):
    np.testing.assert_allclose(found["score"], estimator.choice_scores(queries), rtol=tolerance, atol=tolerance)
    return estimator.choice_models_[found["classifier"]]


CHECKS = {
    KNNModelSelector: check_knn,
    KMeansModelSelector: check_kmeans,
    OneVsRestModelSelector: check_scores,
    MLPModelSelector: check_scores,
}
TYPES = {"float": (FloatTensorType, np.float32, 2e-5), "double": (DoubleTensorType, np.float64, 1e-12)}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("scaled", [False, True], ids=["alone", "pipeline"])
def test_skl2onnx_exports_estimators(model, scaled, kind):
    tensor_type, dtype, tolerance = TYPES[kind]
    estimator, queries = built(model), QUERIES.astype(dtype)
    scaler = StandardScaler().fit(QUERIES * 2 + 0.5)
    exported = Pipeline([("scale", scaler), ("select", estimator)]) if scaled else estimator
    found = run(to_onnx(exported, initial_types=[("X", tensor_type([None, D]))]), queries)

    features = scaler.transform(QUERIES) if scaled else queries.astype(np.float64)
    picked = CHECKS[type(estimator)](found, estimator, features, tolerance)
    assert list(picked) == list(estimator.predict(features))


def test_knn_graph_tells_the_neighbours():
    estimator = built(KNN)
    found = run(to_onnx(estimator, QUERIES), QUERIES)
    assert found["certified"].all()
    order, distances = zip(*(reference.knn_order(KNN, query) for query in QUERIES), strict=True)
    rows = np.array(order)[:, :4]
    np.testing.assert_array_equal(found["row"], rows)
    np.testing.assert_allclose(found["distance"], np.take_along_axis(np.array(distances), rows, axis=1), rtol=1e-12)
    assert [estimator.classes_[found["model"][i]].tolist() for i in range(len(rows))] == [
        [LABELS[row] for row in nearest] for nearest in rows
    ]
    np.testing.assert_array_equal(found["quality"], np.array(KNN["qualities"])[rows])
    low, high = min(KNN["latencies"]), max(KNN["latencies"])
    np.testing.assert_allclose(found["speed"], 1 - (np.array(KNN["latencies"])[rows] - low) / (high - low), rtol=1e-12)


@pytest.mark.parametrize("width", [D - 1, D + 1])
def test_skl2onnx_refuses_another_width(model, width):
    with pytest.raises(ValueError, match=f"expected {D} features, got {width}"):
        to_onnx(built(model), initial_types=[("X", DoubleTensorType([None, width]))])


CLASSES = {"knn": NearestNeighbors, "kmeans": KMeans}


def test_estimators_are_fitted_estimators_of_scikit_learn(model):
    estimator = built(model)
    check_is_fitted(estimator)
    assert estimator.n_features_in_ == D
    assert list(estimator.predict(QUERIES)) == reference.select(model, QUERIES)
    if model["algorithm"] in CLASSES:
        assert isinstance(estimator, CLASSES[model["algorithm"]])
        return
    scores = {"svm": lambda *of: [score for _, score in reference.svm_scores(*of)], "mlp": reference.mlp_probabilities}
    expected = [scores[model["algorithm"]](model, query) for query in QUERIES]
    np.testing.assert_allclose(estimator.choice_scores(QUERIES), expected, rtol=1e-9, atol=1e-12)


BAD_FEATURES = {
    "narrower": QUERIES[:, 1:],
    "wider": np.hstack([QUERIES, QUERIES]),
    "NaN": np.full((1, D), np.nan),
    "1-D": QUERIES[0],
}


@pytest.mark.parametrize("features", BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_estimators_refuse_features(model, features):
    with pytest.raises(ValueError):
        built(model).predict(features)


@pytest.mark.parametrize("estimator_class", CHECKS)
def test_unfitted_estimators_refuse_to_predict(estimator_class):
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator_class())
    with pytest.raises(NotFittedError):
        estimator_class().predict(QUERIES)


def stored(data, name):
    tensors = {tensor.name: tensor for tensor in onnx.load_model_from_string(data).graph.initializer}
    return numpy_helper.to_array(tensors[name])


def test_repeated_rows_are_stored_once():
    rows = np.random.default_rng(1).normal(size=(20, 500))
    once = converted(KNN | {"embeddings": rows.tolist(), "labels": LABELS[:20], "qualities": [], "latencies": []})
    repeated = {"embeddings": rows.repeat(9, axis=0).tolist(), "labels": LABELS[:20] * 9}
    often = converted(KNN | repeated | {"qualities": [], "latencies": []})
    np.testing.assert_array_equal(stored(often, "rows"), rows)
    assert len(often) < 1.2 * len(once)


def test_shared_support_vectors_are_stored_once():
    once = converted(svm(rbf=RBF[:1]))
    shared = converted(svm(rbf=[RBF[0], RBF[0] | {"model_name": "other", "rho": 7}]))
    np.testing.assert_array_equal(stored(shared, "support_vectors"), stored(once, "support_vectors"))


def test_values_are_stored_in_float32_only_where_it_holds_them():
    halves = np.round(np.array(ROWS) * 2) / 2
    narrow = converted(KMEANS | {"centroids": halves[:5].tolist()})
    wide = converted(KMEANS)
    np.testing.assert_array_equal(stored(narrow, "centroids").astype(np.float64), halves[:5])
    np.testing.assert_array_equal(stored(wide, "centroids"), ROWS[:5])
    assert (stored(narrow, "centroids").dtype, stored(wide, "centroids").dtype) == (np.float32, np.float64)


SIZES = {f"{scale:g}": (np.array(ROWS) * scale).tolist() for scale in (1e-320, 1e-200, 1e150, 1e160, 1e300)}


@pytest.mark.parametrize("rows", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("algorithm", ["knn", "kmeans", "svm"])
def test_converts_values_of_any_size(algorithm, rows, tmp_path):
    model = {
        "knn": KNN | {"embeddings": rows},
        "kmeans": KMEANS | {"centroids": rows[:5]},
        "svm": svm([c | {"weights": rows[i]} for i, c in enumerate(LINEAR)], [RBF[0] | {"support_vectors": rows[:8]}]),
    }[algorithm]
    with np.errstate(all="ignore"):
        assert convert(encoded(model), tmp_path / "model.onnx").passed


@pytest.mark.parametrize("samples", [0, 1, 7])
def test_converts_with_any_number_of_samples(model, samples, tmp_path):
    report = convert(encoded(model), tmp_path / "model.onnx", samples=samples)
    assert (report.passed, report.queries, report.agreed) == (True, samples, samples)
    assert (tmp_path / "model.onnx").read_bytes() == converted(model)


@pytest.fixture
def old(tmp_path):
    """A folder with an artifact, its restored JSON and nothing else."""
    convert(encoded(KNN), tmp_path / "model.onnx", samples=1)
    restore(tmp_path / "model.onnx", tmp_path / "model.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]
    return tmp_path


BAD_SOURCES = {
    "missing": "missing.json",
    "a folder": ".",
    "empty": b"",
    "truncated": encoded(KNN)[:-9],
    "not trained": encoded(KNN | {"trained": False}),
    "ragged": encoded(KNN | {"embeddings": [[1, 2], *ROWS[1:]]}),
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("source", BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_a_refused_source_leaves_the_old_artifact(old, source):
    before = contents(old)
    for target in ("model.onnx", "new.onnx", "folder/new.onnx"):
        with pytest.raises(ModelpickError):
            convert(source if isinstance(source, bytes) else old / source, old / target)
    assert contents(old) == before


BAD_TARGETS = {
    "below a file": "model.onnx/new.onnx",
    "a folder": "folder",
    "name too long": "x" * 300,
    "null byte": "a\0.onnx",
}


@pytest.mark.parametrize("target", BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_a_bad_target_leaves_the_folder(old, target):
    (old / "folder").mkdir()
    before = contents(old)
    for write in (
        lambda: convert(encoded(KMEANS), old / target, samples=1),
        lambda: restore(old / "model.onnx", old / target),
    ):
        with pytest.raises(ModelpickError, match="cannot be written") as caught:
            write()
        assert len(str(caught.value).splitlines()) == 1
        assert contents(old) == before


@pytest.mark.parametrize("name", ["x" * 245 + ".onnx", "a b", "-", ".onnx", "模型.onnx"])
def test_writes_any_name_that_the_file_system_takes(name, tmp_path):
    convert(encoded(KMEANS), tmp_path / "new" / name, samples=1)
    assert contents(tmp_path / "new") == {name: converted(KMEANS)}


@contextmanager
def small_files(monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def failing(function, error):
    @contextmanager
    def patched(monkeypatch):
        def fail(*args, **kwargs):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(function, fail)
            yield

    return patched


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def no_new_files(monkeypatch):
    opened = os.open

    def fail(path, flags, *args, **kwargs):
        if flags & os.O_EXCL:
            raise NO_SPACE
        return opened(path, flags, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        yield


FAULTS = {
    "file size limit": (small_files, ModelpickError),
    "no space to make a file": (no_new_files, ModelpickError),
    "no space when flushed": (failing("os.fsync", NO_SPACE), ModelpickError),
    "no renaming": (failing("os.replace", OSError(errno.EIO, os.strerror(errno.EIO))), ModelpickError),
    "interrupt": (failing("os.fsync", KeyboardInterrupt()), KeyboardInterrupt),
}


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS)
def test_a_failing_write_leaves_the_folder(old, monkeypatch, fault, error):
    before = contents(old)
    for write in (
        lambda: convert(encoded(KMEANS), old / "model.onnx", samples=1),
        lambda: convert(encoded(KMEANS), old / "new.onnx", samples=1),
        lambda: restore(old / "model.onnx", old / "model.json"),
    ):
        with fault(monkeypatch), pytest.raises(error) as caught:
            write()
        assert len(str(caught.value).splitlines()) <= 1
        assert contents(old) == before
    with Selector.load(old / "model.onnx") as selector:
        assert selector.algorithm == "knn"


def test_a_written_file_is_as_readable_as_any(tmp_path):
    previous = os.umask(0o027)
    try:
        convert(encoded(KMEANS), tmp_path / "model.onnx", samples=1)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(previous)
    assert (tmp_path / "model.onnx").stat().st_mode & 0o777 == 0o640


def converted_until(step, source, target):
    """Convert, and end at a step by a signal."""
    replace = os.replace

    def kill(*args, **kwargs):
        if step == "renamed":
            replace(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, {"flush": "fsync", "rename": "replace", "renamed": "replace"}[step], kill)
    convert(source, target)


def test_killed_at_any_step_the_old_artifact_or_the_new_one_stands(tmp_path):
    for step in ("flush", "rename", "renamed"):
        (tmp_path / step).mkdir()
        convert(encoded(KNN), tmp_path / step / "model.onnx", samples=1)
        outcome = attack(converted_until, step, encoded(KMEANS), tmp_path / step / "model.onnx")
        assert (outcome.kind, outcome.what) == ("died", "SIGKILL")
    expected = {"flush": KNN, "rename": KNN, "renamed": KMEANS}
    for step, model in expected.items():
        target = tmp_path / step / "model.onnx"
        assert target.read_bytes() == converted(model)
        convert(encoded(KMEANS), target, samples=1)
        assert target.read_bytes() == converted(KMEANS)


def killed_at_random(sources, target):
    """Convert some models again and again, in processes that are killed at random."""
    whole, moment = [], random.Random(0)
    for source in sources:
        convert(source, target, samples=1)
        whole.append(target.read_bytes())
    for _ in range(40):
        process = os.fork()
        while process == 0:
            for source in sources:
                convert(source, target, samples=1)
        time.sleep(moment.uniform(0.005, 0.1))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        assert target.read_bytes() in whole


def test_killed_at_random_an_artifact_stands(tmp_path):
    target = tmp_path / "model.onnx"
    outcome = attack(killed_at_random, [encoded(KNN), encoded(KMEANS)], target)
    assert outcome.kind == "answered", outcome
    with Selector.load(target) as selector:
        assert selector.n_features_in_ == D
