"""Artifacts that are cut, altered, another's, or that lie."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from modelpick.runtime import ArtifactError, ModelpickError, Selector
from modelpick.runtime.artifact.seal import seal
from modelpick.runtime.loading import read_contents
from modelpick.runtime.schema import ARTIFACT_FORMAT
from support.artifacts import converted
from support.catalogue import dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm

MODELS = Path(__file__).parents[3] / "models"
SEED = 0
SMALL = {
    "knn": knn([[1, 2], [3, 4.5], [1, 2], [0, 1]], k=2),
    "kmeans": kmeans([[1, 2], [3, 4]]),
    "svm": svm([linear_classifier("a", [1, 2])], [rbf_classifier("b", [[1, 2]], [1], rho=0)]),
    "mlp": mlp(dense([[1, 2], [2, 1]], [0, 1]), names=["a", "b"]),
}


@pytest.fixture(scope="module")
def artifacts():
    return {name: converted(model) for name, model in SMALL.items()}


@pytest.fixture(scope="module")
def shipped():
    return {name: converted((MODELS / f"{name}.json").read_bytes()) for name in ("knn", "kmeans", "svm_rbf")}


def refusal(source):
    with pytest.raises(ArtifactError) as refused:
        Selector.load(source)
    message = str(refused.value)
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    assert message.startswith(f"{name}: ".replace("\0", "\\u0000"))
    assert len(message.splitlines()) == 1
    return message


def edited(artifact, edit):
    """Change an artifact's ONNX model, and seal it again."""
    model = onnx.load_model_from_string(artifact)
    kept = [entry for entry in model.metadata_props if entry.key != "modelpick.sha256"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    edit(model)
    return seal(model.SerializeToString())


def entry(key, value):
    """Set a metadata entry, or take it away."""

    def edit(model):
        kept = [entry for entry in model.metadata_props if entry.key != f"modelpick.{key}"]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        if value is not None:
            model.metadata_props.add(key=f"modelpick.{key}", value=value)

    return edit


@pytest.mark.parametrize("name", SMALL)
def test_refuses_cut_artifacts(artifacts, name):
    data = artifacts[name]
    for part in range(64):
        refusal(data[: len(data) * part // 64])
    refusal(data[:-1])


@pytest.mark.parametrize(("name", "flips"), [("knn", 2000), ("kmeans", 500), ("svm_rbf", 500)])
def test_refuses_altered_artifacts(shipped, name, flips):
    rng = np.random.default_rng(SEED)
    for _ in range(flips):
        altered = bytearray(shipped[name])
        altered[rng.integers(len(altered))] ^= 1 << rng.integers(8)
        refusal(bytes(altered))


def another(**attributes):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "another",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 2])],
        **attributes,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


FOREIGN = {
    "empty": b"",
    "text": b"a text\n" * 100,
    "random": np.random.default_rng(SEED).bytes(10_000),
    "another's": another(),
    "another's, sealed": seal(another()),
    "sealed text": seal(b"a text"),
    "sealed nothing": seal(b""),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_refuses_what_is_no_artifact(data, tmp_path):
    refusal(data)
    (tmp_path / "file").write_bytes(data)
    refusal(tmp_path / "file")


def test_refuses_paths_that_cannot_be_read(tmp_path):
    assert refusal(tmp_path).endswith("Is a directory")
    assert refusal(tmp_path / "missing").endswith("No such file or directory")
    refusal("a\0b")


@pytest.mark.skipif("os.geteuid() == 0", reason="root may read everything")
def test_refuses_files_without_permission(artifacts, tmp_path):
    (tmp_path / "file").write_bytes(artifacts["knn"])
    (tmp_path / "file").chmod(0)
    assert refusal(tmp_path / "file").endswith("Permission denied")


REQUIRED = {
    "format_version": int,
    "algorithm": str,
    "model_names": list,
    "n_features_in": int,
    "rows": int,
    "source_sha256": str,
    "choices": list,
    "k": int,
    "values_per_query": int,
}


@pytest.mark.parametrize("key", REQUIRED)
def test_refuses_missing_and_malformed_entries(artifacts, key):
    assert f"modelpick.{key}" in refusal(edited(artifacts["knn"], entry(key, None)))
    assert f"modelpick.{key}" in refusal(edited(artifacts["knn"], entry(key, "null")))
    assert f"modelpick.{key}" in refusal(edited(artifacts["knn"], entry(key, "1.5")))
    for malformed in ("", "{", "nan?", "[" * 100_000):
        refusal(edited(artifacts["knn"], entry(key, malformed)))


LIES = {
    "a newer format": ("knn", "format_version", ARTIFACT_FORMAT + 1),
    "an unknown algorithm": ("knn", "algorithm", "forest"),
    "an unhashable algorithm": ("knn", "algorithm", ["knn"]),
    "knn called svm": ("knn", "algorithm", "svm"),
    "svm called knn": ("svm", "algorithm", "knn"),
    "kmeans called svm": ("kmeans", "algorithm", "svm"),
    "mlp called kmeans": ("mlp", "algorithm", "kmeans"),
    "wider": ("kmeans", "n_features_in", 3),
    "narrower": ("svm", "n_features_in", 1),
    "no width": ("knn", "n_features_in", 0),
    "negative width": ("knn", "n_features_in", -1),
    "huge width": ("knn", "n_features_in", 2**62),
    "too few names": ("knn", "model_names", ["a"]),
    "no names": ("knn", "model_names", []),
    "names that are none": ("knn", "model_names", [1, 2, 3]),
    "repeated names": ("knn", "model_names", ["a", "a", "b", "c"]),
    "unknown choices": ("kmeans", "choices", ["a", "z"]),
    "choices that are no names": ("kmeans", "choices", [{}, []]),
    "too few choices": ("kmeans", "choices", ["a"]),
    "too many choices": ("svm", "choices", ["a", "b", "a"]),
    "another k": ("knn", "k", 3),
    "no k": ("knn", "k", 0),
    "negative k": ("knn", "k", -2),
    "no values per query": ("kmeans", "values_per_query", 0),
    "negative values per query": ("kmeans", "values_per_query", -5),
}


@pytest.mark.parametrize(("name", "key", "value"), LIES.values(), ids=LIES)
def test_refuses_lies(artifacts, name, key, value):
    message = refusal(edited(artifacts[name], entry(key, json.dumps(value))))
    assert key != "format_version" or "upgrade modelpick" in message


def test_accepts_more_entries(artifacts):
    with Selector.load(edited(artifacts["knn"], entry("color", '"blue"'))) as selector:
        assert selector.select([1, 2]) in selector.model_names
        assert selector.metadata.raw["color"] == "blue"


def external(model):
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "centroids")
    values = numpy_helper.to_array(tensor)
    Path("secret.bin").write_bytes(values.tobytes())
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret.bin"), ("offset", "0"), ("length", str(values.nbytes))):
        tensor.external_data.add(key=key, value=value)


def constant(model):
    value = numpy_helper.from_array(np.zeros(1), "value")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=value))


def constant_in_a_branch(model):
    branching = next(node for node in model.graph.node if node.op_type == "If")
    branch = helper.make_node("Constant", [], ["unused"], value=numpy_helper.from_array(np.zeros(1), "value"))
    branching.attribute[0].g.node.insert(0, branch)


def sparse(model):
    model.graph.sparse_initializer.add()


def function(model):
    model.functions.add(name="f", domain="d")


def training(model):
    model.training_info.add()


@pytest.mark.parametrize("edit", [external, constant, constant_in_a_branch, sparse, function, training])
def test_refuses_what_could_refer_to_other_files(artifacts, edit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ": malformed: " in refusal(edited(artifacts["kmeans"], edit))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    for call in (lambda: Selector.load(data), lambda: read_contents("<bytes>", data)):
        with pytest.raises(ArtifactError):
            call()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(SMALL)), st.data())
def test_no_change_below_the_seal_raises_anything_else(artifacts, name, data):
    """What onnxruntime would be given is decoded first: cut, changed and repeated bytes are refused or decoded."""
    content = bytearray(artifacts[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        read_contents("<bytes>", bytes(content))
    except ModelpickError as refused:
        assert isinstance(refused, ArtifactError)
        assert len(str(refused).splitlines()) == 1
