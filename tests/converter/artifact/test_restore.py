"""The JSON model that an artifact gives back."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from modelpick.converter import load_estimator, to_artifact, to_json
from modelpick.runtime import ArtifactError
from support import strategies
from support.artifacts import encoded

pytestmark = pytest.mark.filterwarnings("error", "ignore::modelpick.converter.DocumentWarning")

ROOT = Path(__file__).parents[3]
FILES = [
    *sorted((ROOT / "models").glob("*.json")),
    *(file for name in ("knn", "kmeans", "svm") for file in sorted(ROOT.glob(f"tests/data/conformance/*/{name}_*"))),
]
READ = {
    "mlp": {"model_names", "n_classes", "hidden_sizes", "dropout", "layers"},
    "knn": {"k", "embeddings", "labels", "qualities", "latencies", "samples", "num_samples"},
    "kmeans": {"model_names", "num_clusters", "n_clusters", "centroids", "cluster_models"},
    "svm": {"model_names", "kernel_type", "gamma", "linear_classifiers", "rbf_classifiers", "n_classes"},
}


def restored(data):
    return json.loads(to_json(to_artifact(load_estimator(data))))


def read_fields(model):
    read = READ[model["algorithm"]] | {"algorithm", "trained", "feature_dim", "training_questions"}
    return {field: value for field, value in model.items() if field in read}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_gives_back_files(file):
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    assert restored(data) == read_fields(json.loads(data))


@settings(max_examples=80, deadline=None)
@given(strategies.models)
def test_gives_back_any_model(model):
    assert restored(encoded(model)) == model


KNN = {"algorithm": "knn", "trained": True, "k": 1}
KMEANS = {"algorithm": "kmeans", "trained": True, "num_clusters": 2, "centroids": [[1, 2], [3, 4]]}
SVM = {"algorithm": "svm", "trained": True}
RBF = {"model_name": "a", "alpha": [1, -1], "support_vectors": [[0.1, 2], [3, 4]], "rho": 0.1, "gamma": 0.3}
LINEAR = {"model_name": "b", "weights": [0.1, 2], "rho": 0.1}
ROWS = [[1, 2], [3, 4], [1, 2], [1, 2], [3, 4]]
SAMPLES = [
    {"feature_vector": [3, 4], "model_name": "a", "quality": 0.1, "latency_ms": 0.3},
    {"feature_vector": [1, 2], "model_name": "b", "latency_ms": 7},
    {"feature_vector": [3, 4], "model_name": "a", "quality": 1, "latency_ms": -2.5},
]
WIDE = [0.1, 1 / 3, 1e-320, -1e300, 16_777_217, 2**53 + 2]  # none of them is a float32
SURVIVORS = {
    "float64 rows": KNN | {"embeddings": [[number] for number in WIDE], "labels": list("abcdef")},
    "float64 qualities": KNN
    | {"embeddings": [[number] for number in WIDE], "labels": list("abcdef"), "qualities": WIDE},
    "latencies beyond float64": KNN
    | {"embeddings": [[0], [1]], "labels": ["a", "b"], "latencies": [2**63 - 1, -(2**63)]},
    "k beyond the rows": KNN | {"k": 2**63 - 1, "embeddings": [[1]], "labels": ["a"]},
    "repeated rows": KNN | {"embeddings": ROWS, "labels": list("abcde")},
    "zeros of both signs": KNN | {"embeddings": [[0.0], [-0.0], [1]], "labels": list("aba")},
    "samples": KNN | {"samples": SAMPLES},
    "samples with empty lists": KNN | {"samples": SAMPLES, "embeddings": [], "labels": [], "latencies": []},
    "samples with nulls": KNN | {"samples": SAMPLES, "embeddings": None, "labels": None, "qualities": None},
    "latencies that are null": KNN | {"samples": [sample | {"latency_ms": None} for sample in SAMPLES]},
    "nulls": KNN | {"embeddings": ROWS, "labels": list("abcde"), "qualities": None, "latencies": None, "samples": None},
    "empty lists": KNN | {"embeddings": ROWS, "labels": list("abcde"), "qualities": [], "latencies": [], "samples": []},
    "names": KNN | {"embeddings": ROWS, "labels": ["模型", "é", '"', "\\", "🙂"]},
    "float64 centroids": KMEANS | {"centroids": [WIDE, WIDE[::-1]], "cluster_models": ["a", "b"]},
    "repeated centroids": KMEANS | {"centroids": [[1, 2], [1, 2]], "cluster_models": ["a", "b"]},
    "a dict of models": KMEANS | {"cluster_models": {"1": "b", "0": "a"}},
    "more models than clusters": KMEANS | {"cluster_models": ["a", "b", "c"]},
    "keys that are no cluster": KMEANS | {"cluster_models": {"0": "a", "1": "b", "02": "c", "\0": "d"}},
    "float64 weights": SVM | {"linear_classifiers": [LINEAR | {"weights": WIDE}, LINEAR | {"weights": WIDE[::-1]}]},
    "repeated classifiers": SVM | {"linear_classifiers": [LINEAR] * 3, "rbf_classifiers": [RBF] * 3},
    "float64 support vectors": SVM | {"rbf_classifiers": [RBF | {"alpha": WIDE[:2], "support_vectors": [WIDE, WIDE]}]},
    "shared support vectors": SVM
    | {"rbf_classifiers": [RBF, RBF | {"gamma": 2, "support_vectors": [[3, 4], [0.1, 2]]}]},
    "equal matrices": SVM
    | {
        "linear_classifiers": [LINEAR],
        "rbf_classifiers": [RBF | {"alpha": [0.1], "support_vectors": [LINEAR["weights"]]}],
    },
    "equal matrix and coefficients": SVM
    | {"rbf_classifiers": [RBF | {"alpha": [0.1], "support_vectors": [[0.1]], "rho": 0.1}]},
    "svm nulls": SVM
    | {"model_names": None, "kernel_type": None, "gamma": None, "linear_classifiers": None, "rbf_classifiers": [RBF]},
    "svm empty lists": SVM | {"model_names": [], "linear_classifiers": [LINEAR], "rbf_classifiers": []},
}


@pytest.mark.parametrize("model", SURVIVORS.values(), ids=SURVIVORS)
def test_gives_back_what_could_get_lost(model):
    assert restored(encoded(model)) == model


@pytest.mark.parametrize(
    "model", [SURVIVORS["repeated rows"], SURVIVORS["a dict of models"], SVM | {"linear_classifiers": [LINEAR]}]
)
def test_refuses_an_artifact_without_a_document(model):
    artifact = to_artifact(load_estimator(encoded(model)), restorable=False)
    with pytest.raises(ArtifactError, match=r"^<bytes>: expected an artifact converted from a JSON model$"):
        to_json(artifact)
