"""Transformers: the folder's ONNX graph, of any usual inputs and outputs, with pooling behind it."""

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, ValueInfoProto, compose, helper, inliner
from onnx.external_data_helper import uses_external_data

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import EncoderPort

from .folder import Module, Source, Vectors, read_json, read_modules, read_usage, refuse_modules
from .hoisting import hoist
from .pooling import POOLINGS, Tail, add_inputs, pool, scale

GRAPHS = ("onnx/model.onnx", "model.onnx")
# What the names of usual inputs stand for.
_INPUTS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "input_mask": "mask",
    "token_type_ids": "types",
    "segment_ids": "types",
    "position_ids": "positions",
}
# Outputs that are taken, the best first; if there is none, the first of all.
_OUTPUTS = ("sentence_embedding", "last_hidden_state", "token_embeddings")
_STEPS = {"Transformer", "Pooling", "Normalize"}
# Fields of sentence-transformers' pooling that are true, and how it has called them since version 5.
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
}
_PREFIX = "encoder/"
# From 4 on, initializers need not be inputs as well; 8 is that of opset 17.
_IR_VERSION = 8
_INTEGERS: dict[int, type[np.int64 | np.int32]] = {TensorProto.INT64: np.int64, TensorProto.INT32: np.int32}


def read(folder: Path) -> Source | None:
    """Read a folder with an ONNX graph; None where there is no graph.

    Raises
    ------
    DocumentError
        When the folder asks for what is not known here: other inputs, another pooling, other steps.
    """
    file = next((folder / name for name in GRAPHS if (folder / name).exists()), None)
    if file is None:
        return None
    model = _loaded(file, weights=False)
    _inputs(file, model)
    is_embedding = len(_output(file, model).type.tensor_type.shape.dim) == 2
    modules = read_modules(folder)
    pooling = "own" if is_embedding else _pooling(folder, modules)
    if pooling != "own":
        refuse_modules(folder, modules, _STEPS)
    normalised = any(module.kind == "Normalize" for module in modules)
    usage = read_usage(folder, special_tokens=True, pooling=pooling, normalised=normalised)
    return Source(
        "transformer",
        usage,
        model.ByteSize() + sum(_bytes(one) for one in model.graph.initializer if uses_external_data(one)),
        lambda: _graph(file, pooling, normalised),
        lambda: _own(file, pooling, normalised),
    )


def _loaded(file: Path, *, weights: bool) -> ModelProto:
    try:
        return onnx.load(str(file), load_external_data=weights)
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as cause:
        raise DocumentError(f"{file}: cannot be read: {str(cause).splitlines()[0]}") from None


def _inputs(file: Path, model: ModelProto) -> dict[str, ValueInfoProto]:
    """Return what each input stands for -> the input."""
    stored = {one.name for one in model.graph.initializer}
    given = [one for one in model.graph.input if one.name not in stored]
    unknown = [one.name for one in given if one.name not in _INPUTS]
    found = {_INPUTS[one.name]: one for one in given if one.name in _INPUTS}
    if unknown or not {"ids", "mask"} <= set(found):
        expected = "input_ids and attention_mask, perhaps token_type_ids and position_ids"
        raise DocumentError(f"{file}: expected the inputs {expected}, got {', '.join(one.name for one in given)}")
    for one in given:
        kind = one.type.tensor_type
        if kind.elem_type not in _INTEGERS:
            raise DocumentError(f"{file}: {one.name}: expected int64 or int32")
        fixed = [dim.dim_value for dim in kind.shape.dim if dim.dim_value]
        if len(kind.shape.dim) != 2 or fixed:
            raise DocumentError(f"{file}: {one.name}: expected any number of texts and tokens, got {fixed} fixed")
    return found


def _output(file: Path, model: ModelProto) -> ValueInfoProto:
    output: ValueInfoProto
    outputs = {one.name: one for one in model.graph.output}
    output = next((outputs[name] for name in _OUTPUTS if name in outputs), model.graph.output[0])
    if len(output.type.tensor_type.shape.dim) not in (2, 3):
        raise DocumentError(f"{file}: {output.name}: expected the shape (texts, tokens, columns), or (texts, columns)")
    return output


def _pooling(folder: Path, modules: list[Module]) -> str:
    """Return the pooling that the folder asks for; the mean, as in sentence-transformers, where it asks for none."""
    place = next((module.folder for module in modules if module.kind == "Pooling"), folder / "1_Pooling")
    asked = read_json(place / "config.json")
    names = {key for key, value in asked.items() if key.startswith("pooling_mode_") and value is True}
    if "pooling_mode" in asked:
        names = {str(asked["pooling_mode"])}
    found = {_POOLINGS.get(name, "") for name in names or {"mean"}}
    if len(found) != 1 or not found <= set(POOLINGS):
        raise DocumentError(
            f"{place / 'config.json'}: expected one pooling of {', '.join(POOLINGS)}, got {', '.join(sorted(names))}"
        )
    return found.pop()


def _graph(file: Path, pooling: str, normalised: bool) -> ModelProto:
    """Make a graph of two inputs and one output around the folder's, and take in its external data."""
    model = _loaded(file, weights=True)
    if model.functions:
        model = inliner.inline_local_functions(model)
    inputs = {
        _PREFIX + one.name: (meaning, one.type.tensor_type.elem_type) for meaning, one in _inputs(file, model).items()
    }
    output = _PREFIX + _output(file, model).name
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    graph = compose.add_prefix_graph(model.graph, _PREFIX, inplace=True)
    hoist(graph)
    inner = list(graph.node)
    del graph.node[:]
    tail = Tail(graph, opset)
    _feed(tail, inputs)
    add_inputs(graph)
    graph.node.extend(inner)
    found = tail.floats(output)
    tail.finished(found if pooling == "own" else tail.pooled(found, EncoderPort.MASK, pooling), normalised)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return model


def _feed(tail: Tail, inputs: Mapping[str, tuple[str, int]]) -> None:
    """Make each input of the folder's graph, name -> meaning and type, of tokens and their mask."""
    for name, (meaning, kind) in inputs.items():
        if meaning == "positions":
            one = tail.constant(1, np.int64)
            place = tail.node("Sub", tail.node("CumSum", EncoderPort.MASK, one), one)
            value = tail.node("Mul", place, EncoderPort.MASK)
        elif meaning == "types":
            value = tail.node("Sub", EncoderPort.IDS, EncoderPort.IDS)
        else:
            value = EncoderPort.IDS if meaning == "ids" else EncoderPort.MASK
        tail.node("Cast", value, named=name, to=kind)


def _bytes(tensor: TensorProto) -> int:
    """Return the size of a tensor's values."""
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _own(file: Path, pooling: str, normalised: bool) -> Callable[[list[int]], Vectors]:
    """Open the folder's graph as it is; pooling and scaling are numpy's."""
    model = _loaded(file, weights=False)
    inputs, output = _inputs(file, model), _output(file, model).name
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # onnxruntime's errors have no common base
        raise DocumentError(f"{file}: cannot be run: {str(cause).splitlines()[0]}") from None

    def embed(ids: list[int]) -> Vectors:
        length = max(1, len(ids))
        values = {
            "ids": ids or [0],
            "mask": [int(bool(ids))] * length,
            "types": [0] * length,
            "positions": list(range(length)),
        }
        feeds = {
            one.name: np.array([values[meaning]], _INTEGERS[one.type.tensor_type.elem_type])
            for meaning, one in inputs.items()
        }
        vectors = session.run([output], feeds)[0][0].astype(np.float32)
        vector = vectors if pooling == "own" else pool(vectors[: len(ids)], pooling)
        return scale(vector) if normalised else vector

    return embed
