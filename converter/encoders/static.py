"""Static vectors: a matrix with a row for each token. A text's vector is the mean of its tokens' rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.artifact.encoder import StaticTable
from modelpick.runtime.schema import EncoderEntry, EncoderPort, EncoderTable

from ..graphs.builder import INT64
from .folder import (
    FLOAT16,
    INT8,
    USUAL_LONGEST,
    Reference,
    Source,
    Usage,
    Vectors,
    find,
    limit,
    read_json,
    read_modules,
    read_usage,
    refuse_modules,
    tokenizer_of,
)
from .pooling import add_inputs, add_output, add_pooling, around, floats, number, pool, scale

WEIGHTS = "model.safetensors"
# Names of the matrix in model2vec, and in sentence-transformers' StaticEmbedding.
_MODEL2VEC, _STATIC_EMBEDDING = "embeddings", "embedding.weight"
_OPSET, _IR_VERSION = 17, 8
_MOST_INT8 = 127


def read(folder: Path, pooling: str | None) -> Source | None:
    """Read a folder of static vectors; None for any other folder.

    Raises
    ------
    DocumentError
        When the file of the vectors cannot be read or is malformed, or when a pooling other than the mean is given.
    ModelpickError
        When safetensors is not installed.
    """
    modules = read_modules(folder)
    place = next((module.folder for module in modules if module.kind == "StaticEmbedding"), None)
    config = read_json(folder / "config.json")
    if place is None and config.get("model_type") != "model2vec":
        return None
    places = (place or folder, folder)
    refuse_modules(folder, modules, {"StaticEmbedding", "Normalize"})
    if pooling not in (None, "mean"):
        raise DocumentError(f"{folder}: expected pooling mean, as of all static vectors, got {pooling}")
    file = find(places, [WEIGHTS]) or places[0] / WEIGHTS
    matrix, by_model2vec = _matrix(file)
    normalised = config.get("normalize", any(module.kind == "Normalize" for module in modules)) is True
    usage = read_usage(
        folder,
        places,
        file,
        longest=lambda tokenizer: _longest_of_model2vec(config) if by_model2vec else _longest_of_file(file, tokenizer),
        by_transformers=False,
        pooling="mean",
        normalised=normalised,
    )
    if usage.facts.greatest_id >= len(matrix):
        raise DocumentError(f"{file}: expected a row for each token, {usage.facts.greatest_id + 1}, got {len(matrix)}")
    if by_model2vec:
        usage = usage._replace(prompt="", characters=_characters(folder, usage))
    return source_of("static", usage, matrix, usage.facts.unknown_id if by_model2vec else None)


def source_of(family: str, usage: Usage, matrix: Vectors, unknown: int | None, **entries: Any) -> Source:
    """Return the source of static vectors: rows of tokens, the token that is left out if any, and other metadata."""
    return Source(
        family,
        usage,
        matrix.nbytes,
        lambda quantise: _graph(stored(matrix, unknown, quantise), usage.normalised),
        lambda: _own(matrix, unknown, usage.normalised),
        {EncoderEntry.STATIC: {"unknown": unknown}, **entries},
    )


def stored(matrix: Vectors, unknown: int | None, quantise: str | None) -> StaticTable:
    """Return rows as they are stored: in float32, float16, or 8 bits with a scale for each row."""
    if quantise != INT8:
        return StaticTable(matrix.astype(np.float16 if quantise == FLOAT16 else np.float32), None, unknown)
    scales = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / np.float32(_MOST_INT8)
    return StaticTable(np.rint(matrix / scales).astype(np.int8), scales, unknown)


def _matrix(file: Path) -> tuple[Vectors, bool]:
    """Read the matrix, (tokens, e), and whether model2vec wrote it; model2vec leaves unknown tokens out."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError:
        raise ModelpickError("static vectors need safetensors: pip install 'modelpick[encoder]'") from None
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError, ValueError) as cause:
        raise DocumentError(f"{file}: cannot be read: {cause}") from None
    except (AttributeError, KeyError, TypeError):  # bfloat16, and floats of 8 bits
        raise DocumentError(f"{file}: expected tensors of types that numpy has, such as float16 and float32") from None
    name = next((name for name in (_MODEL2VEC, _STATIC_EMBEDDING) if name in tensors), "")
    if not name or tensors[name].ndim != 2 or not np.isfinite(tensors[name]).all() or 0 in tensors[name].shape:
        raise DocumentError(f"{file}: expected {_MODEL2VEC} or {_STATIC_EMBEDDING}, (tokens, e), of finite numbers")
    matrix = tensors[name]
    if "mapping" in tensors:
        mapping = tensors["mapping"]
        if mapping.ndim != 1 or mapping.dtype.kind not in "iu" or not _are_rows(mapping, len(matrix)):
            raise DocumentError(f"{file}: mapping: expected rows of {name}, 0 to {len(matrix) - 1}")
        matrix = matrix[mapping]
    if "weights" in tensors:
        weights = tensors["weights"]
        if weights.size != len(matrix) or not np.isfinite(weights).all():
            raise DocumentError(f"{file}: weights: expected {len(matrix)} finite numbers, one per token")
        matrix = matrix * weights.reshape(-1, 1)
    return np.ascontiguousarray(matrix, np.float32), name == _MODEL2VEC


def _are_rows(mapping: Any, rows: int) -> bool:
    return mapping.size == 0 or (int(mapping.min()) >= 0 and int(mapping.max()) < rows)


def _longest_of_model2vec(config: dict[str, Any]) -> int | None:
    """Return the longest input of model2vec: 512 unless its configuration has another, or null for no limit."""
    return limit(config.get("max_length", USUAL_LONGEST))


def _longest_of_file(file: Path, tokenizer: dict[str, Any]) -> int | None:
    """Return the longest input of the tokenizer's file: sentence-transformers' StaticEmbedding has no limit itself."""
    truncation = tokenizer.get("truncation")
    if not isinstance(truncation, dict):
        return None
    if truncation.get("direction", "Right") != "Right":
        raise DocumentError(
            f"{file.parent / 'tokenizer.json'}: expected texts cut at their end, got truncation.direction"
        )
    return limit(truncation.get("max_length"))


def _characters(folder: Path, usage: Usage) -> int | None:
    """Return the number of characters after which model2vec cuts: its longest input, in tokens of the median length."""
    if usage.longest is None:
        return None
    with tokenizer_of(folder, usage) as tokenizer:
        lengths = [len(token) for token in tokenizer.get_vocab()]
    return max(1, usage.longest * int(np.median(lengths)))


def _graph(table: StaticTable, normalised: bool) -> ModelProto:
    """Make the graph of static vectors: the mean of the tokens' rows, without the rows of the unknown token."""
    proto = helper.make_graph([], "static vectors", [], [])
    add_inputs(proto)
    graph, mask = around(proto, _OPSET), EncoderPort.MASK
    if table.unknown is not None:
        known = graph.node("Not", graph.node("Equal", EncoderPort.IDS, number(graph, table.unknown)))
        mask = graph.node("Mul", mask, graph.node("Cast", known, to=INT64))
    rows = graph.initializer(EncoderTable.VECTORS, table.vectors)
    vectors = floats(graph, graph.node("Gather", rows, EncoderPort.IDS))
    if table.scales is not None:
        scales = graph.initializer(EncoderTable.SCALES, table.scales)
        vectors = graph.node("Mul", vectors, graph.node("Gather", scales, EncoderPort.IDS))
    add_output(graph, proto, add_pooling(graph, vectors, mask, "mean"), normalised)
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(proto, opset_imports=opset, ir_version=_IR_VERSION, producer_name="modelpick")


def _own(matrix: Vectors, unknown: int | None, normalised: bool) -> Callable[[list[int]], Reference]:
    """Return a function that embeds tokens in numpy, in float64."""

    def embed(ids: list[int]) -> Reference:
        vector = pool(matrix[[one for one in ids if one != unknown]], "mean")
        return scale(vector) if normalised else vector

    return embed
