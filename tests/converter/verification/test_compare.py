"""What verification finds, and what it lets pass."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import VerificationError, convert, load_estimator, to_artifact, verify
from modelpick.runtime import ArtifactError, DocumentError, FeatureError, Selector
from support.artifacts import built, contents, converted, encoded
from support.catalogue import dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm
from support.verified import KMEANS, KNN, LINEAR, MLP, MODELS, RBF, RNG, ROWS, D, edited, slightly, tensor

pytestmark = pytest.mark.filterwarnings("error", "ignore::modelpick.converter.DocumentWarning")

ROOT = Path(__file__).parents[3]
FILES = [
    *sorted((ROOT / "models").glob("*.json")),
    *(
        file
        for name in ("knn", "kmeans", "svm", "mlp")
        for file in sorted(ROOT.glob(f"tests/data/conformance/*/{name}_*"))
    ),
]
LINES = (ROOT / "models/queries.jsonl").read_text().splitlines()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_agrees_on_models(file):
    source = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    report = verify(converted(source), source)
    assert report.passed
    assert report.worst is None
    assert (report.queries, report.agreed, report.algorithm) == (200, 200, json.loads(source)["algorithm"])
    assert 0 <= report.score_difference <= 1e-9
    assert 0 <= report.distance_difference <= 1e-9
    assert report.seconds > 0


@pytest.mark.parametrize("name", ["knn", "kmeans", "svm_linear", "svm_rbf"])
def test_uses_the_queries_given(name):
    source = (ROOT / f"models/{name}.json").read_bytes()
    queries = [json.loads(line) for line in LINES]
    report = verify(converted(source), source, queries=queries)
    assert (report.passed, report.queries, report.agreed, report.tied) == (True, len(LINES), len(LINES), 0)
    assert verify(converted(source), source, queries=np.array(queries, dtype=np.float32)).agreed == len(LINES)


def test_names_paths_in_reports(tmp_path):
    (tmp_path / "model.json").write_bytes(encoded(KNN))
    artifact = tmp_path / "model.onnx"
    made = convert(tmp_path / "model.json", artifact, samples=30)
    found = verify(artifact, tmp_path / "model.json", samples=30)
    for report in (made, found):
        assert (report.artifact, report.source) == (str(artifact), str(tmp_path / "model.json"))
        assert (report.queries, report.agreed) == (30, 30)


BAD_QUERIES = {
    "another width": [[1.0] * (D - 1)],
    "ragged": [[1.0] * D, [1.0]],
    "NaN": [[np.nan] * D],
    "1-D": [1.0] * D,
    "strings": [["a"] * D],
    "none of another width": np.empty((0, D + 1)),
}


@pytest.mark.parametrize("queries", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_refuses_queries(queries):
    with pytest.raises(FeatureError):
        verify(converted(KNN), encoded(KNN), queries=queries)


def entry(key, change):
    """Change a metadata entry."""

    def edit(proto):
        (found,) = (entry for entry in proto.metadata_props if entry.key == f"modelpick.{key}")
        before, found.value = found.value, json.dumps(change(json.loads(found.value)))
        assert found.value != before

    return edit


def swapped(names):
    return [names[1], names[0], *names[2:]]


def nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)


TAMPERED = {
    "a quality": (KNN, tensor("row_quality", 7, slightly)),
    "the last quality": (KNN, tensor("row_quality", -1, slightly)),
    "a speed": (KNN, tensor("row_speed", 3, slightly)),
    "a value of a row": (KNN, tensor("rows", (11, 2), slightly)),
    "a row moved away": (KNN, tensor("rows", (5, 0), lambda value: value + 1000)),
    "a row's model": (KNN, tensor("row_model", 9, lambda index: (index + 1) % 3)),
    "names of models": (KNN, entry("model_names", swapped)),
    "a renamed model": (
        KNN,
        lambda proto: [entry(key, lambda names: ["other", *names[1:]])(proto) for key in ("model_names", "choices")],
    ),
    "a centroid": (KMEANS, tensor("centroids", (2, 3), slightly)),
    "a cluster's model": (KMEANS, entry("choices", swapped)),
    "the farthest cluster": (
        KMEANS,
        lambda proto: [setattr(node, "op_type", "ArgMax") for node in nodes(proto.graph) if node.op_type == "ArgMin"],
    ),
    "a weight": (LINEAR, tensor("weights", (1, 2), slightly)),
    "an intercept": (LINEAR, tensor("linear_intercept", 0, slightly)),
    "a classifier's model": (LINEAR, entry("choices", swapped)),
    "an alpha": (RBF, tensor("alpha", (0, 0), slightly)),
    "an alpha of another classifier": (RBF, tensor("alpha", (5, 0), slightly)),
    "a support vector": (RBF, tensor("support_vectors", (2, 3), slightly)),
    "a gamma": (RBF, tensor("minus_gamma", 4, lambda gamma: gamma * 1.0001)),
    "a rho": (RBF, tensor("rbf_intercept", 2, slightly)),
    "the lowest score": (
        RBF,
        lambda proto: [setattr(node, "op_type", "ArgMin") for node in nodes(proto.graph) if node.op_type == "ArgMax"],
    ),
    "a weight of a layer": (MLP, tensor("layer", (2, 3), slightly)),
    "a weight of the last layer": (MLP, tensor("layer1", (1, 1), slightly)),
    "a bias": (MLP, tensor("bias", 5, slightly)),
    "an output's model": (MLP, entry("choices", swapped)),
}


@pytest.mark.parametrize(("model", "edit"), TAMPERED.values(), ids=TAMPERED)
def test_finds_tampered_artifacts(model, edit):
    tampered = edited(converted(model), edit)
    report = verify(tampered, encoded(model))
    assert not report.passed
    assert report.agreed < report.queries == 200
    again = verify(tampered, encoded(model), queries=[report.worst.query]).worst
    assert again.difference == pytest.approx(report.worst.difference)


def test_rows_out_of_their_place_are_refused_before_they_are_compared():
    tampered = edited(converted(KNN), tensor("members", (4, 0), lambda row: row + 1))
    with pytest.raises(ArtifactError, match="each once and in ascending order"):
        verify(tampered, encoded(KNN))


def test_names_both_picks():
    shifted = KMEANS["cluster_models"][1:] + KMEANS["cluster_models"][:1]
    tampered = edited(converted(KMEANS), entry("choices", lambda names: shifted))
    for query, artifact, estimator in zip(ROWS, shifted, KMEANS["cluster_models"], strict=False):
        worst = verify(tampered, encoded(KMEANS), queries=[query]).worst
        assert (worst.query, worst.artifact, worst.estimator) == (query, artifact, estimator)


def test_reports_the_largest_difference():
    queries = np.vstack([np.zeros(D), np.eye(D)])
    tampered = edited(converted(KMEANS), tensor("centroids", (2, 3), lambda value: value + 1))
    report = verify(tampered, encoded(KMEANS), queries=queries)
    change = np.zeros((6, D))
    change[2, 3] = 1
    centroids = np.array(KMEANS["centroids"])
    before, after = (np.linalg.norm(queries[:, None] - c, axis=2) for c in (centroids, centroids + change))
    differences = (np.abs(after - before) / np.maximum(1, before)).max(axis=1)
    assert report.worst.query == queries[differences.argmax()].tolist()
    assert report.worst.difference == pytest.approx(differences.max())


def test_identical_rows_are_no_rounding():
    """Which of two identical rows comes first is the tie rule's to say, not float64's."""
    model = KNN | {"k": 1, "embeddings": [ROWS[0], *ROWS[:-1]], "labels": ["a", "b"] + ["c"] * 22}
    good = verify(converted(model), encoded(model), queries=[ROWS[0]])
    assert (good.passed, good.tied) == (True, 0)
    swapped = edited(converted(model), tensor("row_model", 0, lambda name: name + 1))
    tampered = edited(swapped, tensor("row_model", 1, lambda name: name - 1))
    bad = verify(tampered, encoded(model), queries=[ROWS[0]])
    assert (bad.passed, bad.worst.artifact, bad.worst.estimator) == (False, "b", "a")


VALUES = RNG.normal(size=40)
SHUFFLED = [RNG.permutation(VALUES).tolist() for _ in range(64)]
NAMES = [f"model-{i}" for i in range(64)]
ROUNDED = {
    "knn": knn(SHUFFLED, NAMES, k=1),
    "kmeans": kmeans(SHUFFLED, NAMES),
    "svm linear": svm([linear_classifier(name, row, rho=0) for name, row in zip(NAMES, SHUFFLED, strict=True)]),
    "svm rbf": svm(
        rbf=[rbf_classifier(name, [row], [1], rho=0, gamma=0.1) for name, row in zip(NAMES, SHUFFLED, strict=True)]
    ),
    "mlp": mlp(dense(SHUFFLED), names=NAMES),
}


@pytest.mark.parametrize("model", ROUNDED.values(), ids=ROUNDED)
def test_ties_that_rounding_decides_are_no_failures(model):
    """Rows that hold the same values in another order are as far from a query of equal values."""
    source = encoded(model)
    queries = np.outer(np.linspace(-2, 2, 40), np.ones(40))
    report = verify(converted(source), source, queries=queries)
    picked = Selector.load(converted(source)).select_batch(queries)
    estimated = list(built(source).predict(queries))
    assert report.passed
    assert report.agreed == report.queries == 40
    assert report.tied >= sum(p != e for p, e in zip(picked, estimated, strict=True)) > 0


@pytest.mark.parametrize("name", MODELS)
def test_refuses_an_artifact_of_another_model(name):
    model = MODELS[name]
    other = json.dumps(model, indent=1).encode()
    with pytest.raises(ArtifactError, match="expected the JSON model that it was made from"):
        verify(converted(model), other)
    estimator = load_estimator(encoded(model))
    with pytest.raises(ArtifactError, match="expected the JSON model that it was made from"):
        verify(to_artifact(estimator, restorable=False), encoded(model))


def test_refuses_what_it_cannot_read(tmp_path):
    good = converted(KNN)
    for bad in (good[:-1], good + b"\0", b"", tmp_path / "missing.onnx"):
        with pytest.raises(ArtifactError):
            verify(bad, encoded(KNN))
    with pytest.raises(DocumentError):
        verify(good, encoded(KNN)[:-1])


OTHERS = {
    "knn": KNN | {"labels": KNN["labels"][::-1]},
    "kmeans": KMEANS | {"cluster_models": KMEANS["cluster_models"][::-1]},
    "svm linear": LINEAR | {"linear_classifiers": [c | {"rho": -c["rho"]} for c in LINEAR["linear_classifiers"]]},
    "svm rbf": RBF | {"rbf_classifiers": [c | {"rho": 0.2} for c in RBF["rbf_classifiers"]]},
    "mlp": MLP | {"layers": [*MLP["layers"][:2], MLP["layers"][2] | {"bias": [0.2, 0.1, 0]}]},
}


@pytest.mark.parametrize("old", [None, b"old"], ids=["no artifact before", "an artifact before"])
@pytest.mark.parametrize("name", MODELS)
def test_convert_publishes_nothing_that_disagrees(name, old, tmp_path, monkeypatch):
    wrong = to_artifact(built(encoded(OTHERS[name])))
    monkeypatch.setattr(sys.modules["modelpick.converter.conversion"], "to_artifact", lambda *args, **kwargs: wrong)
    (tmp_path / "model.json").write_bytes(encoded(MODELS[name]))
    if old is not None:
        (tmp_path / "model.onnx").write_bytes(old)
    before = contents(tmp_path)
    with pytest.raises(VerificationError) as caught:
        convert(tmp_path / "model.json", tmp_path / "model.onnx")
    assert contents(tmp_path) == before
    report = caught.value.report
    assert not report.passed
    assert report.worst is not None
    assert str(tmp_path / "model.onnx") in str(caught.value)
    assert str(tmp_path / "model.json") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert report.agreed < report.queries == 200
