"""What the files of an encoder's folder say, as Hugging Face and sentence-transformers lay them out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from modelpick.runtime import DocumentError

from ..files.io import read_bytes

Tokens = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
TOKENIZER = "tokenizer.json"
# Where a folder says nothing: what model2vec cuts at, and what most transformers read.
USUAL_LONGEST = 512
# tokenizer_config.json writes 1e30 where there is no limit.
_NO_LIMIT = 10**9


class Usage(NamedTuple):
    """How texts become tokens, and those one vector."""

    tokenizer: str
    """JSON of the tokenizers library."""
    longest: int
    """Tokens after which a text is cut."""
    special_tokens: bool
    """Whether the tokenizer adds its special tokens."""
    pad_id: int
    """Token that fills shorter texts."""
    pooling: str
    """``mean``, ``cls``, ``last``, or ``own``: the graph does it."""
    normalised: bool
    """Whether the vector is scaled to unit length."""


class Source(NamedTuple):
    """An encoder's folder, read as far as can be without its weights."""

    family: str
    usage: Usage
    weights_bytes: int
    """Size of all weights as they are."""
    graph: Callable[[], ModelProto]
    """Makes the graph from `modelpick.runtime.schema.EncoderPort.IDS` and ``MASK`` to ``EMBEDDING``."""
    embed: Callable[[], Callable[[list[int]], Vectors]]
    """Opens the folder's own model: the tokens of a text -> its vector, (e,), by the graph as it is and numpy."""


class Module(NamedTuple):
    """A step of sentence-transformers."""

    kind: str
    """Name of its class: ``Transformer``, ``Pooling``, ``Normalize``, ``StaticEmbedding`` and others."""
    folder: Path


def read_json(file: Path) -> dict[str, Any]:
    """Read a file that holds an object; empty where there is no such file.

    Raises
    ------
    DocumentError
        When it cannot be read, or holds something else.
    """
    if not file.exists():
        return {}
    value = _decoded(file)
    if not isinstance(value, dict):
        raise DocumentError(f"{file}: expected an object")
    return value


def read_modules(folder: Path) -> list[Module]:
    """Read the steps that modules.json lists; none where there is no such file."""
    file = folder / "modules.json"
    if not file.exists():
        return []
    value = _decoded(file)
    try:
        return [Module(str(one["type"]).rpartition(".")[2], folder / str(one["path"])) for one in value]
    except (KeyError, TypeError):
        raise DocumentError(f"{file}: expected a list of objects with type and path") from None


def read_usage(
    folder: Path, *, tokenizer: Path | None = None, special_tokens: bool, pooling: str, normalised: bool
) -> Usage:
    """Read how texts become tokens; the rest is as given.

    Parameters
    ----------
    tokenizer
        Folder of tokenizer.json, if it is another.
    """
    text = _tokenizer(folder, (tokenizer or folder) / TOKENIZER)
    padding = json.loads(text).get("padding") or {}
    pad_id = padding.get("pad_id", read_json(folder / "config.json").get("pad_token_id"))
    return Usage(text, _longest(folder), special_tokens, int(pad_id or 0), pooling, normalised)


def refuse_modules(folder: Path, modules: list[Module], known: set[str]) -> None:
    """Refuse a folder with steps that are not among those known."""
    other = [module.kind for module in modules if module.kind not in known]
    if other:
        raise DocumentError(f"{folder}/modules.json: expected some of {', '.join(sorted(known))}, got {other[0]}")


def _tokenizer(folder: Path, file: Path) -> str:
    if not file.exists():
        raise DocumentError(f"{file}: expected a tokenizer of the tokenizers library, found no such file")
    value = _decoded(file)
    if not isinstance(value, dict) or "model" not in value:
        raise DocumentError(f"{file}: expected a tokenizer of the tokenizers library")
    if read_json(folder / "sentence_bert_config.json").get("do_lower_case"):
        steps = [{"type": "Lowercase"}, *([value["normalizer"]] if value.get("normalizer") else [])]
        value["normalizer"] = {"type": "Sequence", "normalizers": steps}
    return json.dumps(value, ensure_ascii=False)


def _longest(folder: Path) -> int:
    """Return the longest input: what sentence-transformers was told, or what the tokenizer and model can read."""
    told = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    able = (
        read_json(folder / "tokenizer_config.json").get("model_max_length"),
        read_json(folder / "config.json").get("max_position_embeddings"),
    )
    limits = [value for value in ([told] if told is not None else able) if isinstance(value, (int, float))]
    return int(min([limit for limit in limits if 1 <= limit < _NO_LIMIT], default=USUAL_LONGEST))


def _decoded(file: Path) -> Any:
    name, data = read_bytes(file, DocumentError)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise DocumentError(f"{name}: expected JSON: {cause}") from None
