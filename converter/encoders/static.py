"""Static vectors: one matrix, a row for each token, whose mean is the text's vector, as model2vec writes it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.schema import EncoderPort

from .folder import Source, Usage, Vectors, read_json, read_modules, read_usage, refuse_modules
from .pooling import Tail, add_inputs, pool, scale

WEIGHTS = "model.safetensors"
# Names of the matrix: as model2vec calls it, and as sentence-transformers' StaticEmbedding does.
_MODEL2VEC, _STATIC_EMBEDDING = "embeddings", "embedding.weight"
_OPSET, _IR_VERSION = 17, 8


def read(folder: Path) -> Source | None:
    """Read a folder of static vectors; None where it holds something else.

    Raises
    ------
    DocumentError
        When the file of the vectors cannot be read, or holds others.
    ModelpickError
        When safetensors is not installed.
    """
    modules = read_modules(folder)
    place = next((module.folder for module in modules if module.kind == "StaticEmbedding"), None)
    config = read_json(folder / "config.json")
    if place is None and config.get("model_type") != "model2vec":
        return None
    place = place or folder
    refuse_modules(folder, modules, {"StaticEmbedding", "Normalize"})
    file = place / WEIGHTS
    matrix, ignores_unknown = _matrix(file)
    normalised = config.get("normalize", any(module.kind == "Normalize" for module in modules)) is True
    home = place if not (folder / "tokenizer.json").exists() else folder
    usage = read_usage(folder, tokenizer=home, special_tokens=False, pooling="mean", normalised=normalised)
    unknown = _unknown_token(usage) if ignores_unknown else None
    return Source(
        "static",
        usage,
        matrix.nbytes,
        lambda: _graph(matrix, unknown, normalised),
        lambda: _own(matrix, unknown, normalised),
    )


def _matrix(file: Path) -> tuple[Vectors, bool]:
    """Read the matrix, (tokens, e), and whether unknown tokens are left out, as in model2vec."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError:
        raise ModelpickError("static vectors need safetensors: pip install 'modelpick[encoder]'") from None
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError, TypeError, KeyError) as cause:
        raise DocumentError(f"{file}: cannot be read: {cause}") from None
    name = next((name for name in (_MODEL2VEC, _STATIC_EMBEDDING) if name in tensors), "")
    if not name or tensors[name].ndim != 2 or not np.isfinite(tensors[name]).all():
        raise DocumentError(f"{file}: expected {_MODEL2VEC} or {_STATIC_EMBEDDING}, (tokens, e), of finite numbers")
    matrix = tensors[name]
    if "mapping" in tensors:
        matrix = matrix[tensors["mapping"]]
    if "weights" in tensors:
        matrix = matrix * tensors["weights"].reshape(-1, 1)
    return np.ascontiguousarray(matrix, np.float32), name == _MODEL2VEC


def _unknown_token(usage: Usage) -> int | None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(usage.tokenizer)
    name = getattr(tokenizer.model, "unk_token", None)
    found: int | None = None if name is None else tokenizer.token_to_id(name)
    return found


def _graph(matrix: Vectors, unknown: int | None, normalised: bool) -> ModelProto:
    graph = helper.make_graph([], "static vectors", [], [])
    tail = Tail(graph, _OPSET)
    add_inputs(graph)
    mask = EncoderPort.MASK
    if unknown is not None:
        known = tail.node("Not", tail.node("Equal", EncoderPort.IDS, tail.constant(unknown, np.int64)))
        mask = tail.node("Mul", mask, tail.node("Cast", known, to=TensorProto.INT64))
    vectors = tail.node("Gather", tail.constant(matrix, np.float32), EncoderPort.IDS)
    tail.finished(tail.pooled(vectors, mask, "mean"), normalised)
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="modelpick")


def _own(matrix: Vectors, unknown: int | None, normalised: bool) -> Callable[[list[int]], Vectors]:
    def embed(ids: list[int]) -> Vectors:
        vector = pool(matrix[[one for one in ids if one != unknown]], "mean")
        return scale(vector) if normalised else vector

    return embed
