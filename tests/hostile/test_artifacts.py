"""Artifacts that were altered and sealed again: each is refused in one line, whatever onnxruntime would make of it."""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.errors import MOST_CHARACTERS
from support.attacks import attack, entries, field, load_and_pick, parsed, resealed

KEPT = Path(__file__).parents[1] / "data/format-2"
ABOVE = 1 << 32  # protobuf's readers take the number of a field from the low 32 bits of its key
I64, F64, BOOL = TensorProto.INT64, TensorProto.DOUBLE, TensorProto.BOOL
LEAST = -(2**63)


def kept(name="kmeans_estimate"):
    return parsed((KEPT / f"{name}.onnx").read_bytes())


def tensor(name, values):
    return numpy_helper.from_array(np.array(values), name)


def with_nodes(*nodes, tensors=(), raw=b"", name="kmeans_estimate"):
    """An artifact with more nodes, (operator, inputs, attributes), each output of which is an output of the graph."""
    model = kept(name)
    model.graph.initializer.extend(tensors)
    for place, (op_type, inputs, attributes) in enumerate(nodes):
        model.graph.node.append(helper.make_node(op_type, inputs, [f"made_{place}"], **attributes))
        model.graph.output.append(helper.make_tensor_value_info(f"made_{place}", attributes.get("to", F64), None))
    return resealed(model.SerializeToString() + raw)


def changed(name, tensor_name, change):
    """An artifact with another tensor."""
    model = kept(name)
    one = next(one for one in model.graph.initializer if one.name == tensor_name)
    one.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(one).copy()), tensor_name))
    return resealed(model)


def put(value, place=0):
    def change(array):
        array.flat[place] = value
        return array

    return change


def in_graph(*fields, model=None):
    """An artifact with more fields in its graph, as bytes."""
    model = model or kept()
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    return resealed(model.SerializeToString() + field(7, b"".join([graph, *fields])))


def external(high=0, place=b"secret.bin", length=14, name=b"leak"):
    """An initializer, as bytes, whose values stand in another file."""
    where = b"".join(
        field(13, field(1, key) + field(2, value), high)
        for key, value in ((b"location", place), (b"length", b"%d" % length))
    )
    return field(1, length) + field(2, TensorProto.UINT8) + field(8, name) + where + field(14, 1, high)


def leaking(high, place=b"secret.bin"):
    """One that answers the bytes of another file as its distances."""
    model = kept()
    for node in model.graph.node:
        node.output[:] = ["before" if name == "distance" else name for name in node.output]
    model.graph.initializer.extend([tensor("nothing", 0.0), tensor("first", [0]), tensor("six", [6])])
    for op_type, inputs, output, attributes in (
        ("Slice", ["leak", "first", "six"], "part", {}),
        ("Cast", ["part"], "bytes", {"to": F64}),
        ("Mul", ["before", "nothing"], "zero", {}),
        ("Add", ["zero", "bytes"], "distance", {}),
    ):
        model.graph.node.append(helper.make_node(op_type, inputs, [output], **attributes))
    return in_graph(field(5, external(high, place)), model=model)


def integers(op_type, *divisor):
    """One that divides the width of a query, less 2^63 and that width, by what stands in the file, or is computed."""
    made = [("Shape", ["features"], {"to": I64}), ("Sub", ["made_0", "made_0"], {}), ("Add", ["made_1", "least"], {})]
    made += [("Add", ["made_1", "by"], {}), (op_type, ["made_2", "made_3"], {})]
    made[0] = ("Shape", ["features"], {})
    model = kept()
    model.graph.initializer.extend([tensor("least", [LEAST]), tensor("by", [*divisor])])
    for place, (operator, inputs, attributes) in enumerate(made):
        model.graph.node.append(helper.make_node(operator, inputs, [f"made_{place}"], **attributes))
    model.graph.output.append(helper.make_tensor_value_info("made_4", I64, None))
    return resealed(model)


def cut_values():
    cut = tensor("cut", [1])
    cut.raw_data = b"\1\2\3"
    return with_nodes(tensors=[cut])


def endless():
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"])],
        "body",
        [helper.make_tensor_value_info("i", I64, []), helper.make_tensor_value_info("c", BOOL, [])],
        [helper.make_tensor_value_info("c2", BOOL, [])],
    )
    return with_nodes(("Loop", ["", "refine"], {"body": body}))


def gathers(layers):
    """Each layer reads the one before twice."""
    nodes = []
    for layer in range(layers):
        before = f"made_{3 * layer - 1}" if layer else "t"
        u, w = f"made_{3 * layer}", f"made_{3 * layer + 1}"
        nodes += [("Gather", [before, "i"], {}), ("Gather", [before, "i"], {}), ("Gather", [u, w], {})]
    return with_nodes(*nodes, tensors=[tensor("t", np.ones((64, 64))), tensor("i", np.arange(64))])


def nested(depth):
    data = b""
    for _ in range(depth):
        data = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, data)))
    return in_graph(data)


def with_graph(graph):
    """A selector whose classifier of categories has another graph."""
    described = json.dumps({"classes": ["math", "law"]})
    text = base64.b64encode(graph).decode()
    return resealed(entries(kept(), category_classifier=described, category_graph=text))


def categories(high=0, *nodes):
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Cast", ["leak"], ["score"], to=F64), *nodes],
            "categories",
            [helper.make_tensor_value_info("embedding", F64, [None, 12])],
            [helper.make_tensor_value_info("score", F64, None)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString() + field(7, field(5, external(high)))


def of_opset(version):
    model = kept()
    model.opset_import[0].version = version
    return resealed(model)


X = tensor("x", np.ones((1, 1, 4, 4)))
REFUSED = {
    "an external file, by fields above 32 bits": lambda: leaking(ABOVE),
    "an external file, plainly": lambda: leaking(0),
    "an external file, by an absolute path": lambda: leaking(ABOVE, b"/etc/passwd"),
    "an external file, in a tensor of a node": lambda: in_graph(
        field(1, field(2, b"y") + field(4, b"Constant") + field(5, field(1, b"value") + field(5, external(), ABOVE)))
    ),
    "functions": lambda: resealed(kept().SerializeToString() + field(25, field(1, b"f"), ABOVE)),
    "training information": lambda: resealed(kept().SerializeToString() + field(20, b"", ABOVE)),
    "a sparse initializer": lambda: in_graph(field(15, b"", ABOVE)),
    "metadata above 32 bits": lambda: resealed(kept().SerializeToString() + field(14, field(1, b"x"), ABOVE)),
    "a graph twice": lambda: resealed(kept().SerializeToString() + field(7, b"")),
    "field 0": lambda: resealed(field(0, 1) + kept().SerializeToString()),
    "a field that is not known": lambda: resealed(kept().SerializeToString() + field(99, b"")),
    "Div of the least integer by -1": lambda: integers("Div", -1),
    "Div by 0": lambda: integers("Div", 0),
    "Mod by 0": lambda: integers("Mod", 0),
    "Div by 1 that is computed": lambda: integers("Div", 1),
    "MaxPool of strides 0": lambda: with_nodes(
        ("MaxPool", ["x"], {"kernel_shape": [1, 1], "strides": [0, 0]}), tensors=[X]
    ),
    "RoiAlign beyond the batch": lambda: with_nodes(
        ("RoiAlign", ["x", "roi", "batch"], {}),
        tensors=[X, tensor("roi", np.ones((1, 4))), tensor("batch", [10**6])],
    ),
    "LSTM of a million": lambda: with_nodes(
        ("LSTM", ["w", "w", "w"], {"hidden_size": 10**6}), tensors=[tensor("w", np.ones((1, 1, 1), np.float32))]
    ),
    "values that are cut": cut_values,
    "com.microsoft": lambda: with_nodes(("Gelu", ["features"], {"domain": "com.microsoft"})),
    "ai.onnx.ml": lambda: with_nodes(("Normalizer", ["features"], {"domain": "ai.onnx.ml", "norm": "L2"})),
    "a loop that never ends": endless,
    "Range of 2^62": lambda: with_nodes(
        ("Range", ["from", "to", "by"], {}), tensors=[tensor("from", 0), tensor("to", 2**62), tensor("by", 1)]
    ),
    "graphs in graphs": lambda: nested(6),
    "graphs in graphs, 2,000 deep": lambda: nested(2_000),
    "100,000 nodes": lambda: in_graph(field(1, field(1, b"features") + field(4, b"Neg")) * 100_000),
    "a million entries": lambda: resealed(kept().SerializeToString() + field(14, field(1, b"x")) * 10**6),
    "a million dimensions": lambda: in_graph(field(5, field(1, 2**62) * 10**5)),
    "names of control characters": lambda: with_nodes(("Neg", ["\x1b]0;x\x07"], {})),
    "row_model -1": lambda: changed("knn", "row_model", put(-1)),
    "row_model of all -1": lambda: changed("knn", "row_model", lambda array: array * 0 - 1),
    "row_model beyond the models": lambda: changed("knn", "row_model", put(3)),
    "row_model longer than the rows": lambda: changed("knn", "row_model", lambda array: np.append(array, 0)),
    "members -3": lambda: changed("knn", "members", put(-3)),
    "members of 2^62": lambda: changed("knn", "members", put(2**62)),
    "row_quality NaN": lambda: changed("knn", "row_quality", put(np.nan)),
    "centroids NaN": lambda: changed("kmeans_estimate", "centroids", put(np.nan)),
    "centroids of another number": lambda: changed("kmeans_estimate", "centroids", lambda array: array[:-1]),
    "a tensor twice": lambda: with_nodes(tensors=[tensor("centroids", np.ones((6, 12)))]),
    "k of a million": lambda: resealed(entries(parsed(changed("knn", "k", put(10**6))), k="1000000")),
    "no quality_weight": lambda: resealed(entries(kept("knn"), quality_weight=None)),
    **{
        f"{key} of 10^400": lambda key=key: resealed(entries(kept("knn"), **{key: "1" + "0" * 400}))
        for key in ("shrinkage", "evidence", "cost_weight", "quality_weight")
    },
    "distances of 10^400": lambda: resealed(entries(kept(), distances=f"[1{'0' * 400}]")),
    "a default of another type": lambda: resealed(entries(kept("knn_queries_2"), default="[1]")),
    "picks of another shape": lambda: changed("svm", "place", lambda array: array.reshape(1)),
    "a metric that is not the graph's": lambda: resealed(entries(kept("knn"), metric='"cosine"')),
    "an algorithm of 10,000 control characters": lambda: resealed(
        entries(kept(), algorithm=json.dumps("\x1b" * 10_000))
    ),
    # What held before.
    "JSON 100,000 deep": lambda: resealed(entries(kept(), tools="[" * 10**5)),
    "an integer of 100,000 digits": lambda: resealed(entries(kept(), rows="1" * 10**5)),
    "n_features of 10^30": lambda: resealed(entries(kept(), n_features_in="1" + "0" * 30)),
    "values_per_query 0": lambda: resealed(entries(kept(), values_per_query="0")),
    "k 0": lambda: resealed(entries(kept("knn"), k="0")),
    "a varint of 11 bytes": lambda: resealed(b"\x08" + b"\xff" * 10 + b"\1"),
    "a length of 2^63": lambda: resealed(b"\x3a" + b"\xff" * 8 + b"\x7f"),
    "dims of 2^33 x 2^33": lambda: in_graph(field(5, field(1, 2**33) * 2 + field(2, 1) + field(8, b"x"))),
    "dims of 2^40 without values": lambda: in_graph(field(5, field(1, 2**40) + field(2, 1) + field(8, b"x"))),
    "a Gather that reads itself": lambda: with_nodes(("Gather", ["made_0", "made_0"], {})),
    "opset 10^9": lambda: of_opset(10**9),
    "a type twice": lambda: resealed(kept().SerializeToString() + field(14, field(1, b"x") + field(1, b"y"))),
}


@pytest.fixture(scope="module", autouse=True)
def beside_a_secret(tmp_path_factory):
    """The folder of work, where external files may lie for onnxruntime."""
    before = Path.cwd()
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret.bin").write_bytes(b"TOPSECRETDATA!")
    os.chdir(folder)
    yield
    os.chdir(before)


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_in_one_line(case):
    outcome = attack(load_and_pick, REFUSED[case]())
    assert outcome.kind == "refused", outcome
    assert "\n" not in outcome.what
    assert "SECRET" not in outcome.what
    assert outcome.what.isprintable()
    assert len(outcome.what) < 6 * MOST_CHARACTERS
    assert not outcome.output


def test_weights_that_lack_are_named():
    with pytest.raises(ArtifactError, match=r"expected the metadata entries modelpick\.quality_weight and "):
        Selector.load(REFUSED["no quality_weight"]())


@pytest.mark.parametrize("high", [0, ABOVE])
def test_a_classifier_of_categories_is_refused(high):
    text = """
import numpy as np
from modelpick.runtime import Selector
from modelpick.runtime.text.categories import CategoryPredictor
classifier = Selector.load(args[0]).metadata.category_classifier
return CategoryPredictor("x", classifier, 12).predict(np.ones((1, 12)))
"""
    outcome = attack(text, with_graph(categories(high)))
    assert (outcome.kind, outcome.output) == ("refused", ""), outcome


def test_layers_that_join_again_take_linear_time():
    outcome = attack(load_and_pick, gathers(40), seconds=10)
    assert outcome.kind == "refused", outcome  # indices are no floating-point numbers


DOCUMENT = {"algorithm": "knn", "x": "\0"}
RESTORED = {
    "an external file": lambda: resealed(
        kept("knn").SerializeToString() + field(7, field(5, external(name=b"rows", length=12)))
    ),
    "a cut graph": lambda: resealed(kept("knn").SerializeToString()[:-9]),
    "vectors beyond the rows": lambda: resealed(entries(kept("knn"), document=json.dumps(DOCUMENT), vectors="[99999]")),
    "negative vectors": lambda: resealed(entries(kept("knn"), document=json.dumps(DOCUMENT), vectors="[-1]")),
    "too few vectors": lambda: resealed(entries(kept("knn"), vectors="[1]")),
    "no vectors": lambda: resealed(entries(kept("knn"), vectors=None)),
    "vectors of another type": lambda: resealed(entries(kept("knn"), vectors='{"a": 1.5}')),
    "another algorithm": lambda: resealed(entries(kept("knn"), algorithm='"other"')),
    "a document that is no JSON": lambda: resealed(entries(kept("knn"), document="{")),
    "a document 900 deep": lambda: resealed(
        entries(kept("knn"), document="[" * 900 + '"\\u0000"' + "]" * 900, vectors="[" + "1," * 9 + "1]")
    ),
}
RESTORE = """
from modelpick.converter import to_json
return to_json(args[0])[:100]
"""


@pytest.mark.parametrize("case", RESTORED)
def test_restoring_is_refused_in_one_line(case):
    outcome = attack(RESTORE, RESTORED[case]())
    assert (outcome.kind, outcome.output) == ("refused", ""), outcome
    assert "\n" not in outcome.what


def test_restoring_takes_the_memory_of_what_it_writes(tmp_path):
    """200,000 vectors, each of them the same row, are written one by one."""
    wide = kept("knn")
    count = 200_000
    document = json.dumps({"algorithm": "knn", "x": ["\0"] * count})
    data = resealed(entries(wide, document=document, vectors=json.dumps([1] * count)))
    text = """
import resource
from pathlib import Path
from modelpick.converter import restore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
restore(args[0], Path(args[1]) / "model.json")
return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
"""
    outcome = attack(text, data, str(tmp_path))
    assert outcome.kind == "answered", outcome
    assert outcome.what * 1024 < (tmp_path / "model.json").stat().st_size
