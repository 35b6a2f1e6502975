"""The files of an encoder's folder in the layouts of Hugging Face and sentence-transformers."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from modelpick.runtime import DocumentError, schema
from modelpick.runtime.artifact.tokenizer import TokenizerFacts, UnsafeTokenizerError, check_tokenizer
from modelpick.runtime.text.tokenizing import open_tokenizer, refusing

from ..files.io import read_bytes

Tokens = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Reference = npt.NDArray[np.float64]
Places = Sequence[Path]
"""Folders in which a file is looked for, the first that has it counts: a module's own, and the encoder's."""
TOKENIZER = "tokenizer.json"
INT8, FLOAT16 = schema.INT8, "float16"
# Types that weights may be stored in -> their size relative to float32's.
QUANTISED = {INT8: 4, FLOAT16: 2}
# Longest inputs where a folder gives none: model2vec's, and that of most transformers.
USUAL_LONGEST = 512
# tokenizer_config.json says 1e30 where there is no limit.
_NO_LIMIT = 10**9
# Names of the configuration of sentence-transformers' module Transformer, over its versions.
_SENTENCE_CONFIGS = [
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
# Architectures that count positions from behind the padding token, and thus have fewer positions than rows of a table.
_POSITIONS_BEHIND_PADDING = {
    *("camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm"),
    *("xlm-roberta", "xlm-roberta-xl", "xmod"),
}
# Classes of tokenizers that use tokenizer.json unchanged.
_GENERIC_TOKENIZERS = {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"}
# Settings of transformers' BERT tokenizers, by their names in the tokenizers library.
_BERT_SETTINGS = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "tokenize_chinese_chars",
}


class Usage(NamedTuple):
    """How texts become tokens, and how tokens become one vector."""

    tokenizer: str
    """JSON of the tokenizers library."""
    facts: TokenizerFacts
    """Facts about the tokenizer."""
    longest: int | None
    """Tokens after which a text is cut; None where texts are not cut."""
    special_tokens: bool
    """Whether the tokenizer adds its special tokens."""
    pad_id: int
    """Token that pads shorter texts."""
    pooling: str
    """``mean``, ``cls``, ``last``, or ``own``, where the folder's graph pools."""
    normalised: bool
    """Whether the vector is scaled to unit length."""
    prompt: str = ""
    """Prefix of each text."""
    characters: int | None = None
    """Characters after which a text is cut before it is tokenized; None where it is not cut."""


class Source(NamedTuple):
    """An encoder's folder, read except for its weights."""

    family: str
    usage: Usage
    weights_bytes: int
    """Size of all weights in the folder."""
    graph: Callable[[str | None], ModelProto]
    """Makes the graph from `modelpick.runtime.schema.EncoderPort.IDS` and ``MASK`` to ``EMBEDDING``; weights have a
    type of `QUANTISED`, or are unchanged."""
    embed: Callable[[], Callable[[list[int]], Reference]]
    """Opens the folder's own model: the tokens of a text -> its vector, (e,), by the unchanged graph and numpy."""
    entries: Mapping[str, Any] = MappingProxyType({})
    """Metadata of this kind of encoder."""


class Module(NamedTuple):
    """A step of sentence-transformers."""

    kind: str
    """Name of its class: ``Transformer``, ``Pooling``, ``Normalize``, ``StaticEmbedding`` and others."""
    folder: Path


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; empty where there is no such file.

    Raises
    ------
    DocumentError
        When the file cannot be read, or does not hold an object.
    """
    if not file.exists():
        return {}
    value = _decoded(file)
    if not isinstance(value, dict):
        raise DocumentError(f"{file}: expected an object")
    return value


def find(places: Places, names: Iterable[str]) -> Path | None:
    """Return the first existing file of the given names."""
    return next((place / name for place in places for name in names if (place / name).exists()), None)


def read_first(places: Places, *names: str) -> dict[str, Any]:
    """Read the first existing file of the given names, as `read_json` does."""
    file = find(places, names)
    return {} if file is None else read_json(file)


def read_modules(folder: Path) -> list[Module]:
    """Read the steps that modules.json lists; empty where there is no such file.

    Raises
    ------
    DocumentError
        When the file is malformed, or a step's folder is not within the encoder's.
    """
    file = folder / "modules.json"
    if not file.exists():
        return []
    value = _decoded(file)
    try:
        modules = [Module(one["type"].rpartition(".")[2], folder / one["path"]) for one in value]
        outside = [one.folder for one in modules if not one.folder.resolve().is_relative_to(folder.resolve())]
    except (AttributeError, KeyError, TypeError, ValueError, OSError):
        raise DocumentError(f"{file}: expected a list of objects with type and path") from None
    if outside:
        raise DocumentError(f"{file}: expected paths within the folder, got {outside[0]}")
    return modules


def check_within(folder: Path, weights: Path, file: Path) -> None:
    """Check that a file is in the folder, or that its links lead to the folder that the weights' links lead to.

    Hugging Face keeps downloads this way: as links to files that are all in another folder.

    Raises
    ------
    DocumentError
        When the file is elsewhere.
    """
    try:
        target, places = file.resolve(), (folder.resolve(), weights.resolve().parent)
    except (OSError, RuntimeError, ValueError) as cause:
        raise DocumentError(f"{file}: cannot be read: {cause}") from None
    if not any(target.is_relative_to(place) for place in places):
        raise DocumentError(f"{file}: expected a file in the encoder's folder, got a link to {target}")


def read_usage(
    folder: Path,
    places: Places,
    weights: Path,
    *,
    longest: Callable[[dict[str, Any]], int | None],
    by_transformers: bool,
    pooling: str,
    normalised: bool,
) -> Usage:
    """Read how texts become tokens; other fields are given.

    Parameters
    ----------
    places
        Folders in which the tokenizer and its settings are looked for.
    weights
        File of the weights, see `check_within`.
    longest
        The tokenizer's JSON -> the longest input.
    by_transformers
        Whether the transformers library opens the tokenizer, and applies its own settings, or the tokenizers library.
    """
    file = find(places, [TOKENIZER])
    if file is None:
        raise DocumentError(f"{folder / TOKENIZER}: expected a tokenizer of the tokenizers library, found no such file")
    check_within(folder, weights, file)
    tokenizer = read_json(file)
    if by_transformers:
        _follow_settings(places, tokenizer)
    text = json.dumps(tokenizer, ensure_ascii=False)
    try:
        facts = check_tokenizer(text)
    except UnsafeTokenizerError as cause:
        raise DocumentError(f"{file}: {cause}") from None
    padding = tokenizer.get("padding")
    pad_id = (padding if isinstance(padding, dict) else {}).get("pad_id")
    pad_id = pad_id if pad_id is not None else read_first(places, "config.json").get("pad_token_id") or 0
    if type(pad_id) is not int or not 0 <= pad_id < 2**31:
        raise DocumentError(f"{folder}: expected a token for padding, pad_token_id, 0 or more, got {str(pad_id)[:40]}")
    return Usage(
        text,
        facts,
        longest(tokenizer),
        by_transformers,
        pad_id,
        pooling,
        normalised,
        read_prompt(folder),
    )


@contextmanager
def tokenizer_of(folder: Path, usage: Usage) -> Iterator[Any]:
    """Open the tokenizer of a folder, and refuse the folder where the tokenizers library fails within the block.

    Raises
    ------
    DocumentError
        With the library's message.
    """
    with refusing(lambda reason: DocumentError(f"{folder}: its tokenizer cannot be used: {reason}")):
        yield open_tokenizer(usage.tokenizer)


def read_prompt(folder: Path) -> str:
    """Return the default prompt that sentence-transformers puts in front of each text, if the folder names one."""
    file = folder / "config_sentence_transformers.json"
    config = read_json(file)
    name, prompts = config.get("default_prompt_name"), config.get("prompts")
    if name is None:
        return ""
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if not isinstance(prompt, str):
        raise DocumentError(f"{file}: expected default_prompt_name to be one of prompts, got {str(name)[:40]!r}")
    return prompt


def refuse_modules(folder: Path, modules: list[Module], known: set[str]) -> None:
    """Refuse a folder with unknown steps."""
    other = [module.kind for module in modules if module.kind not in known]
    if other:
        raise DocumentError(f"{folder}/modules.json: expected some of {', '.join(sorted(known))}, got {other[0]}")


def longest_of_transformer(places: Places) -> int:
    """Return the longest input: sentence-transformers' or else the tokenizer's, and at most all positions."""
    tokenizer, config = (read_first(places, name) for name in ("tokenizer_config.json", "config.json"))
    if tokenizer.get("truncation_side", "right") != "right":
        raise DocumentError(f"{places[-1]}/tokenizer_config.json: expected texts cut at their end, got truncation_side")
    configured = limit(read_first(places, *_SENTENCE_CONFIGS).get("max_seq_length"))
    positions = limit(config.get("max_position_embeddings"))
    if positions is not None and config.get("model_type") in _POSITIONS_BEHIND_PADDING:
        padding = config.get("pad_token_id")
        positions -= (padding if type(padding) is int else 1) + 1
    limits = configured or limit(tokenizer.get("model_max_length")), positions
    return min(filter(None, limits), default=USUAL_LONGEST)


def limit(value: object) -> int | None:
    """Return a value as a limit of tokens; None where it is not a number of tokens, or means that there is no limit."""
    return int(value) if type(value) in (int, float) and 1 <= value < _NO_LIMIT else None  # type: ignore[operator,call-overload]


def _follow_settings(places: Places, tokenizer: dict[str, Any]) -> None:
    """Change the normalizer as transformers and sentence-transformers do when they open a tokenizer."""
    normalizer, settings = tokenizer.get("normalizer"), read_first(places, "tokenizer_config.json")
    is_followed = settings.get("tokenizer_class") not in _GENERIC_TOKENIZERS
    if is_followed and isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        normalizer |= {ours: settings[theirs] for ours, theirs in _BERT_SETTINGS.items() if theirs in settings}
    lowers = any(step.get("type") == "Lowercase" for step in _steps(normalizer))
    if read_first(places, *_SENTENCE_CONFIGS).get("do_lower_case") and not lowers:
        steps = [{"type": "Lowercase"}, *([normalizer] if normalizer else [])]
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": steps}


def _steps(normalizer: object) -> list[dict[str, Any]]:
    """Return the components of a normalizer."""
    if not isinstance(normalizer, dict):
        return []
    steps = normalizer.get("normalizers") if normalizer.get("type") == "Sequence" else [normalizer]
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _decoded(file: Path) -> Any:
    name, data = read_bytes(file, DocumentError)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise DocumentError(f"{name}: expected JSON: {cause}") from None
