"""The JSON of a tokenizer, checked before the tokenizers library sees it.

The library trusts its files: a file can make it allocate any amount of memory, or make a text a thousand times as long.
Therefore only known components are accepted, and how much they may add to a text is limited.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

# The most by which normalizers may lengthen a text: this many times its length, by replacing characters.
_MOST_GROWTH = 32
# Most characters of a prefix, of a pattern, and of an added token.
_MOST_TEXT = 4_096
# A longer word becomes one unknown token: the search in a word takes time that grows with the square of its length.
_MOST_WORD = 1_000
_MOST_COMPONENTS, _DEEPEST = 64, 8
# Most bytes that characters may be replaced by: "ﷺ" becomes 33.
_MOST_REPLACEMENT = 256
_SEQUENCES = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}
_KNOWN: Mapping[str, frozenset[str]] = {
    "normalizer": frozenset(
        {"BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend"}
        | {"Replace", "Strip", "StripAccents"}
    ),
    "pre_tokenizer": frozenset(
        {"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Delimiter", "Digits", "FixedLength", "Metaspace"}
        | {"Punctuation", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"}
    ),
    "post_processor": frozenset({"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"}),
}
_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")
Json = dict[str, Any]


class UnsafeTokenizerError(ValueError):
    """A tokenizer that is malformed, or has unknown components, which the message names."""


class TokenizerFacts(NamedTuple):
    """Facts about a tokenizer, known before it is made."""

    greatest_id: int
    """Greatest identifier of a token."""
    longest_token: int
    """Characters of its longest token."""
    longest_word: int
    """Characters of the longest word that is looked up; None where only the longest token limits it."""
    unknown_id: int | None
    """The unknown token, if there is one."""


def check_tokenizer(text: str) -> TokenizerFacts:
    """Check the JSON of a tokenizer.

    Raises
    ------
    UnsafeTokenizerError
        When it is malformed, or has components that are unknown or that make texts too long.
    """
    try:
        tokenizer = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise UnsafeTokenizerError(f"expected JSON: {cause}") from None
    if not isinstance(tokenizer, dict) or not isinstance(tokenizer.get("model"), dict):
        raise UnsafeTokenizerError("expected a tokenizer of the tokenizers library, an object with a model")
    for slot in _KNOWN:
        components = list(_components(slot, tokenizer.get(slot), 0))
        if len(components) > _MOST_COMPONENTS:
            raise UnsafeTokenizerError(f"{slot}: expected {_MOST_COMPONENTS} components at most, got {len(components)}")
        if prod(map(_growth, components)) > _MOST_GROWTH:
            raise UnsafeTokenizerError(f"{slot}: expected texts to become {_MOST_GROWTH} times as long at most")
    added = _added(tokenizer.get("added_tokens"))
    return _facts(tokenizer["model"], added)


def _components(slot: str, value: object, depth: int) -> Iterator[Json]:
    """Yield the components of a slot; sequences yield each of their components."""
    if value is None:
        return
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str):
        raise UnsafeTokenizerError(f"{slot}: expected an object with a type")
    if kind != "Sequence":
        if kind not in _KNOWN[slot]:
            raise UnsafeTokenizerError(f"{slot}: expected one of {', '.join(sorted(_KNOWN[slot]))}, got {kind[:40]!r}")
        yield value
        return
    inner = value.get(_SEQUENCES[slot])
    if not isinstance(inner, list) or depth == _DEEPEST:
        raise UnsafeTokenizerError(f"{slot}: expected {_SEQUENCES[slot]} in a sequence, {_DEEPEST} deep at most")
    for one in inner:
        yield from _components(slot, one, depth + 1)


def _growth(component: Json) -> int:
    """Return how many times as long a component may make a text."""
    kind = component["type"]
    if kind in ("Replace", "Split"):
        pattern = component.get("pattern")
        # A pattern that matches the empty string inserts its content between all characters.
        may_be_empty = not isinstance(pattern, dict) or not pattern.get("String")
        patterns = pattern.values() if isinstance(pattern, dict) else [pattern]
        for one in patterns:
            _bounded(f"{kind}.pattern", one)
        content = _bounded(f"{kind}.content", component.get("content", ""))
        return max(1, len(content) + may_be_empty) if kind == "Replace" else 1
    if kind == "Prepend":
        _bounded("Prepend.prepend", component.get("prepend"))
    if kind == "Metaspace":
        _bounded("Metaspace.replacement", component.get("replacement"))
    if kind == "Precompiled":
        _check_precompiled(component.get("precompiled_charsmap"))
    if kind == "FixedLength" and not (type(component.get("length")) is int and component["length"] > 0):
        raise UnsafeTokenizerError("FixedLength.length: expected 1 or more")
    return 1


def _bounded(place: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise UnsafeTokenizerError(f"{place}: expected a string of {_MOST_TEXT} characters at most")
    return value


def _check_precompiled(value: object) -> None:
    """Check sentencepiece's table: the size of its trie, the trie, and the replacements of characters."""
    place = "Precompiled.precompiled_charsmap"
    try:
        table = base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise UnsafeTokenizerError(f"{place}: expected base64") from None
    end = 4 + int.from_bytes(table[:4], "little")
    if len(table) < 4 or end % 4 or end > len(table):
        raise UnsafeTokenizerError(f"{place}: expected a trie of the size that it says")
    if max(map(len, table[end:].split(b"\0"))) > _MOST_REPLACEMENT:
        raise UnsafeTokenizerError(f"{place}: expected replacements of {_MOST_REPLACEMENT} bytes at most")


def _added(tokens: object) -> dict[str, int]:
    """Return content -> identifier of the tokens that are added to the model's."""
    if tokens is None:
        return {}
    try:
        return {_bounded("added_tokens", one["content"]): _id(one["id"]) for one in tokens}  # type: ignore[attr-defined]
    except (KeyError, TypeError):
        raise UnsafeTokenizerError("added_tokens: expected objects with id and content") from None


def _id(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise UnsafeTokenizerError("expected identifiers of tokens from 0 to 4,294,967,295")
    return value


def _facts(model: Json, added: Mapping[str, int]) -> TokenizerFacts:
    kind, tokens = model.get("type"), model.get("vocab")
    if kind is not None and kind not in _MODELS:
        raise UnsafeTokenizerError(f"model: expected one of {', '.join(_MODELS)}, got {str(kind)[:40]!r}")
    if isinstance(tokens, list):  # Unigram's: a token and its score, in the order of their identifiers
        try:
            vocabulary: Mapping[str, Any] = {token: place for place, (token, _) in enumerate(tokens)}
            longest = max(map(len, vocabulary), default=0)
        except (TypeError, ValueError):
            raise UnsafeTokenizerError("model.vocab: expected tokens and their scores") from None
        greatest = len(tokens) - 1
        unknown = model.get("unk_id")
    elif isinstance(tokens, dict):
        vocabulary, longest = tokens, max(map(len, tokens), default=0)
        if not set(map(type, tokens.values())) <= {int}:
            raise UnsafeTokenizerError("model.vocab: expected identifiers of tokens")
        greatest = max(map(_id, (min(tokens.values(), default=0), max(tokens.values(), default=0))))
        name = model.get("unk_token")
        unknown = added.get(name, tokens.get(name)) if isinstance(name, str) else None
    else:
        raise UnsafeTokenizerError("model.vocab: expected tokens")
    word = model.get("max_input_chars_per_word", 0)
    if type(word) is not int or not 0 <= word <= _MOST_WORD:
        raise UnsafeTokenizerError(f"model.max_input_chars_per_word: expected {_MOST_WORD} at most")
    if model.get("dropout"):
        raise UnsafeTokenizerError("model.dropout: expected none: each text would have many embeddings")
    return TokenizerFacts(
        max([greatest, *added.values()]),
        max([longest, *map(len, added)]),
        max([longest, word, *map(len, added)]),
        None if unknown is None else _id(unknown),
    )
