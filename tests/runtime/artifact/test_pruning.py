"""The graph that the runtime loads: less of it, the same answers, and tensors where the bytes hold them."""

import gc

import numpy as np
import onnx
import onnxruntime
import pytest

from modelpick.converter import to_artifact
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector
from modelpick.runtime import Selector
from modelpick.runtime.artifact.onnx_reader import Model
from modelpick.runtime.artifact.pruning import pruned
from modelpick.runtime.schema import Output
from modelpick.runtime.session import Subgraph, open_session
from support.artifacts import converted
from support.catalogue import kmeans, knn

SEARCH = (Output.SCORE, Output.CANDIDATE)
RNG = np.random.default_rng(0)
ROWS, QUERIES = RNG.normal(size=(500, 40)).astype(np.float32), RNG.normal(size=(20, 40))


@pytest.fixture(scope="module", params=["plain", "quantised"])
def artifact(request):
    return converted(knn(ROWS, ["a", "b"]), exact_search=request.param)


def answers(model, outputs):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [session.run(outputs, {"features": queries}) for queries in (QUERIES, QUERIES[:1])]


@pytest.mark.parametrize("outputs", [SEARCH, (Output.ROW, Output.DISTANCE), ()])
def test_what_is_kept_answers_as_the_whole(artifact, outputs):
    names = list(outputs) or [output.name for output in onnx.load_from_string(artifact).graph.output]
    model = pruned(Model(artifact), outputs, split=False).model
    onnx.checker.check_model(model)
    assert [output.name for output in onnx.load_from_string(model).graph.output] == names
    for ours, whole in zip(answers(model, names), answers(artifact, names), strict=True):
        for values, expected in zip(ours, whole, strict=True):
            np.testing.assert_array_equal(values, expected)


def test_the_search_needs_no_refinement_and_no_metadata(artifact):
    model = onnx.load_from_string(pruned(Model(artifact), SEARCH).model)
    assert not any(node.op_type == "If" for node in model.graph.node)
    assert not model.metadata_props
    assert {entry.name for entry in model.graph.input} == {"features", "candidates"}


def test_large_tensors_are_views_of_the_bytes(artifact):
    model, tensors = pruned(Model(artifact), SEARCH)
    assert len(model) < len(artifact) / 4
    np.testing.assert_array_equal(tensors["rows"], ROWS)
    assert all(not tensor.flags.owndata and not tensor.flags.writeable for tensor in tensors.values())


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_float64_that_is_searched_alone_stands_beside_in_float32(search):
    rows = RNG.normal(size=(500, 40))
    estimator = KNNModelSelector(3).fit(rows, ["a", "b"] * 250)
    artifact = to_artifact(estimator, exact_search=search)
    np.testing.assert_array_equal(pruned(Model(artifact), SEARCH).tensors["rows"], rows.astype(np.float32))
    assert pruned(Model(artifact)).tensors["rows"].dtype == np.float64  # distances need it
    session = open_session("artifact", Model(artifact), None, None, Subgraph(SEARCH))
    for queries, expected in zip((QUERIES, QUERIES[:1]), answers(artifact, SEARCH), strict=True):
        for values, others in zip(session.run(SEARCH, {"features": queries}), expected, strict=True):
            np.testing.assert_array_equal(values, others)


def test_options_of_a_caller_serve_many_selectors(artifact):
    with Selector.load(artifact) as selector:
        expected = selector.select_batch(QUERIES)
    options = onnxruntime.SessionOptions()
    for _ in range(2):
        with Selector.load(artifact, sess_options=options) as selector:
            assert selector.select_batch(QUERIES) == expected


def test_a_closed_selector_holds_nothing_of_the_artifact(artifact):
    data = bytes(bytearray(artifact))  # one that nothing else refers to
    selector = Selector.load(data)
    assert any(held is data for held in gc.get_referents(selector._source))
    selector.close()
    gc.collect()
    assert not any(isinstance(each, tuple) for each in gc.get_referrers(data))


def test_queries_of_a_part_may_be_float32():
    centroids = RNG.normal(size=(4, 40))
    artifact = converted(kmeans(centroids, ["a", "b"]))
    model = pruned(Model(artifact), (Output.ESTIMATE,), split=False, single=True).model
    onnx.checker.check_model(model)
    (features,) = onnx.load_from_string(model).graph.input
    assert features.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [dimension.dim_value for dimension in features.type.tensor_type.shape.dim] == [0, 40]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = answers(artifact, [Output.ESTIMATE])[0]
    np.testing.assert_array_equal(session.run(None, {"features": QUERIES.astype(np.float32)})[0], expected)
