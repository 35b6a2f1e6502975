"""Transformers: the folder's ONNX graph, with any of the usual inputs and outputs, and pooling behind it."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, ValueInfoProto, compose, inliner

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import EncoderPort

from ..graphs.builder import Graph
from .folder import (
    FLOAT16,
    Module,
    Reference,
    Source,
    Usage,
    find,
    longest_of_transformer,
    read_first,
    read_json,
    read_modules,
    read_usage,
    refuse_modules,
)
from .pooling import POOLINGS, add_inputs, add_output, add_pooling, around, floats, number, pool, scale
from .quantise import quantised
from .tensors import external_tensors, hoist, outside, reader, size, take_in

GRAPHS = ("onnx/model.onnx", "model.onnx")
# The meaning of the usual inputs, by name.
_INPUTS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "input_mask": "mask",
    "token_type_ids": "types",
    "segment_ids": "types",
    "position_ids": "positions",
}
# Number of dimensions of the vectors of texts, and of tokens.
_OF_TEXTS, _OF_TOKENS = 2, 3
# Outputs that are taken, the best first, and their dimensions; without any of them, the first output is taken.
_RANKS = {"sentence_embedding": _OF_TEXTS, "last_hidden_state": _OF_TOKENS, "token_embeddings": _OF_TOKENS}
# Architectures whose output is not an embedding.
_HEAD = re.compile(r"For(\w*Classification|QuestionAnswering|MultipleChoice|\w*LM|NextSentencePrediction|PreTraining)$")
# The least number of columns: a single column is a score.
_LEAST_COLUMNS = 2
# Numbers of tokens that any model can read.
_FEW = 16
_STEPS = {"Transformer", "Pooling", "Normalize"}
# Fields of sentence-transformers' pooling that are true, and their names since its version 5.
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


def read(folder: Path, pooling: str | None) -> Source | None:
    """Read a folder with an ONNX graph; None where there is no graph.

    Parameters
    ----------
    pooling
        Pooling, where the folder does not give it.

    Raises
    ------
    DocumentError
        When the folder needs something unknown: other inputs, another pooling, other steps.
    """
    modules = read_modules(folder)
    places = (next((module.folder for module in modules if module.kind == "Transformer"), folder), folder)
    file = find(places, GRAPHS)
    if file is None:
        return None
    model = _loaded(file)
    _inputs(file, model)
    _refuse_other_tasks(file, model, read_first(places, "config.json"))
    pooling = "own" if _rank(file, model) == _OF_TEXTS else _pooling(folder, modules, pooling)
    if pooling != "own":
        refuse_modules(folder, modules, _STEPS)
    normalised = any(module.kind == "Normalize" for module in modules)
    usage = read_usage(
        folder,
        places,
        file,
        longest=lambda _: longest_of_transformer(places),
        by_transformers=True,
        pooling=pooling,
        normalised=normalised,
    )
    if usage.prompt and _pooling_config(folder, modules)[1].get("include_prompt") is False:
        raise DocumentError(f"{folder}: expected include_prompt with a default prompt: its tokens count in the mean")
    try:
        weights = model.ByteSize() + sum(map(size, external_tensors(model.graph.node, model.graph.initializer)))
    except KeyError as cause:
        raise DocumentError(f"{file}: expected tensors of known types, got {cause}") from None
    return Source(
        "transformer", usage, weights, partial(_graph, folder, file, usage), partial(_own, folder, file, usage)
    )


def _loaded(file: Path) -> ModelProto:
    """Load a graph without its external data."""
    try:
        return onnx.load(str(file), load_external_data=False)
    except (OSError, ValueError, DecodeError) as cause:
        raise DocumentError(f"{file}: cannot be read: {_line(cause)}") from None


def _inputs(file: Path, model: ModelProto) -> dict[str, ValueInfoProto]:
    """Return the meaning of each input -> the input."""
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


def _output(model: ModelProto) -> ValueInfoProto:
    output: ValueInfoProto
    outputs = {one.name: one for one in model.graph.output}
    output = next((outputs[name] for name in _RANKS if name in outputs), model.graph.output[0])
    return output


def _refuse_other_tasks(file: Path, model: ModelProto, config: dict[str, Any]) -> None:
    """Refuse models that score texts or predict words: their output is not the vector of a text."""
    if not model.graph.output:
        raise DocumentError(f"{file}: expected an output")
    name, architectures = _output(model).name, config.get("architectures")
    heads = [str(one) for one in architectures if _HEAD.search(str(one))] if isinstance(architectures, list) else []
    if name not in _RANKS and (heads or "logits" in name):
        made_for = f" of {heads[0]}" if heads else ""
        raise DocumentError(f"{file}: expected an encoder, with the output {' or '.join(_RANKS)}, got {name}{made_for}")


def _rank(file: Path, model: ModelProto) -> int:
    """Return the number of dimensions of the output, of texts or of tokens; graphs may leave it to be inferred."""
    output = _output(model)
    if not output.type.tensor_type.HasField("shape"):
        known = _RANKS.get(output.name)
        if known is not None:
            return known
        try:
            output = _output(onnx.shape_inference.infer_shapes(model))
        except Exception:  # onnx's errors have no common base: what it cannot infer has no shape
            return _wrong_rank(file, output)
    shape = output.type.tensor_type.shape
    rank = len(shape.dim)
    if rank not in (_OF_TEXTS, _OF_TOKENS) or (rank == _OF_TEXTS and shape.dim[1].dim_value == 1):
        return _wrong_rank(file, output)
    return rank


def _wrong_rank(file: Path, output: ValueInfoProto) -> NoReturn:
    raise DocumentError(f"{file}: {output.name}: expected the shape (texts, tokens, columns), or (texts, columns)")


def _pooling_config(folder: Path, modules: list[Module]) -> tuple[Path, dict[str, Any]]:
    place = next((module.folder for module in modules if module.kind == "Pooling"), folder / "1_Pooling")
    return place / "config.json", read_json(place / "config.json")


def _pooling(folder: Path, modules: list[Module], given: str | None) -> str:
    """Return the folder's pooling, or the given one where the folder has none."""
    file, config = _pooling_config(folder, modules)
    names = {key for key, value in config.items() if key.startswith("pooling_mode_") and value is True}
    if "pooling_mode" in config:
        names = {str(config["pooling_mode"])}
    if not names:
        if given is None:
            raise DocumentError(f"{file}: expected the pooling, which the folder does not say: give --pooling")
        return given
    found = {_POOLINGS.get(name, "") for name in names}
    if len(found) != 1 or not found <= set(POOLINGS):
        raise DocumentError(f"{file}: expected one pooling of {', '.join(POOLINGS)}, got {', '.join(sorted(names))}")
    (pooling,) = found
    if given not in (None, pooling):
        raise DocumentError(f"{file}: expected no other --pooling than {pooling}, got {given}")
    return pooling


def _graph(folder: Path, file: Path, usage: Usage, quantise: str | None) -> ModelProto:
    """Make a graph with two inputs and one output around the folder's, including its external data."""
    if quantise == FLOAT16:
        raise DocumentError(f"{folder}: expected static vectors to store them in float16: a graph computes in its own")
    model = _loaded(file)
    if model.functions:
        model = inliner.inline_local_functions(model)
    take_in(model, reader(folder, file))
    inputs = {
        _PREFIX + one.name: (meaning, one.type.tensor_type.elem_type) for meaning, one in _inputs(file, model).items()
    }
    output = _PREFIX + _output(model).name
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    proto = compose.add_prefix_graph(model.graph, _PREFIX, inplace=True)
    hoist(proto)
    inner = list(proto.node)
    del proto.node[:]
    graph = around(proto, opset)
    _feed(graph, inputs)
    add_inputs(proto)
    proto.node.extend(inner)
    found = floats(graph, output)
    pooled = found if usage.pooling == "own" else add_pooling(graph, found, EncoderPort.MASK, usage.pooling)
    add_output(graph, proto, pooled, usage.normalised)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return model if quantise is None else quantised(model)


def _feed(graph: Graph, inputs: Mapping[str, tuple[str, int]]) -> None:
    """Make each input of the folder's graph, name -> meaning and type, from tokens and their mask."""
    for name, (meaning, kind) in inputs.items():
        if meaning == "positions":
            one = number(graph, 1)
            place = graph.node("Sub", graph.node("CumSum", EncoderPort.MASK, one), one)
            value = graph.node("Mul", place, EncoderPort.MASK)
        elif meaning == "types":
            value = graph.node("Sub", EncoderPort.IDS, EncoderPort.IDS)
        else:
            value = EncoderPort.IDS if meaning == "ids" else EncoderPort.MASK
        graph.output(name, "Cast", value, to=kind)


def _own(folder: Path, file: Path, usage: Usage) -> Callable[[list[int]], Reference]:
    """Open the folder's graph unchanged; numpy does pooling and scaling."""
    model = _loaded(file)
    inputs, output, rank = _inputs(file, model), _output(model).name, _rank(file, model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    values = outside(model, reader(folder, file))
    try:
        if values:
            held = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in values.values()]
            options.add_external_initializers(list(values), held)
        source = model.SerializeToString() if values else str(file)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # onnxruntime's errors have no common base
        raise DocumentError(f"{file}: cannot be run: {_line(cause)}") from None

    def embed(ids: list[int]) -> Reference:
        length = max(1, len(ids))
        given = {
            "ids": ids or [0],
            "mask": [int(bool(ids))] * length,
            "types": [0] * length,
            "positions": list(range(length)),
        }
        feeds = {
            one.name: np.array([given[meaning]], _INTEGERS[one.type.tensor_type.elem_type])
            for meaning, one in inputs.items()
        }
        try:
            (vectors,) = session.run([output], feeds)
        except Exception as cause:
            advice = ": --max-tokens may say how many it reads" if length > _FEW else ""
            raise DocumentError(f"{file}: cannot be run on {length:,} tokens: {_line(cause)}{advice}") from None
        if vectors.ndim != rank or vectors.shape[-1] < _LEAST_COLUMNS:
            raise DocumentError(f"{file}: {output}: expected the vectors of tokens or texts, got shape {vectors.shape}")
        vector = vectors[0].astype(np.float64) if rank == _OF_TEXTS else pool(vectors[0, : len(ids)], usage.pooling)
        return scale(vector) if usage.normalised else vector

    return embed


def _line(cause: Exception) -> str:
    return (str(cause).splitlines() or [type(cause).__name__])[0]
