"""Tokenizer: texts -> the tokens that an encoder reads, and no more of a text than these may stand for."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..artifact.encoder import EncoderMetadata
from ..artifact.tokenizer import TokenizerFacts
from ..errors import ArtifactError, FeatureError, ModelpickError

# Characters of a text that are tokenized first, for each token that is read: words are shorter, with their spaces.
_CHARACTERS_PER_TOKEN = 6
# Behind the last token that is read so many characters must follow before it counts: what stands further off does not
# change how a text is split. More where the longest token is longer.
_MARGIN = 256
# How many times as much of a text is tokenized where that was not enough.
_STEP = 16
# Texts whose tokens stand for more characters than any do, as blanks, are read up to here; longer ones where the
# longest tokens need it.
_MOST_CHARACTERS = 32_768


# Characters of a reason: the library quotes what it refuses.
_REASON = 200
# Tokens that are added before and behind those of a text.
_MOST_ADDED = 64
# Tokens of which one stands for a text that is not empty.
_TRIED = 256


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an encoder reads of a text."""

    count: int
    """Tokens that it reads, those that the tokenizer adds included."""
    cut: bool
    """Whether the text has more."""


class Tokenizer:
    """Turns a text into tokens by the tokenizers library.

    Only as much of a text is tokenized as the longest input can hold: the tokens are those of the whole text. A text of
    which that cannot be said, such as a megabyte of blanks, is read up to 32,768 characters, or as many as the longest
    tokens take.

    Parameters
    ----------
    name
        Of the encoder, for messages.
    text
        JSON of the tokenizers library; what it says of cutting and filling does not count.
    facts
        What `modelpick.runtime.artifact.tokenizer.check_tokenizer` found in it.
    metadata
        How it is used.

    Raises
    ------
    ArtifactError
        When the library refuses it, or the longest input holds no more than the tokens that are added.
    ModelpickError
        When the library is not installed.
    """

    def __init__(self, name: str, text: str, facts: TokenizerFacts, metadata: EncoderMetadata) -> None:
        with refusing(lambda reason: ArtifactError(f"{name}: its tokenizer cannot be used: {reason}")):
            tokenizer = open_tokenizer(text)
            self._encode_batch = tokenizer.encode_batch
            # Without places of tokens, a sixth faster; older versions have no such method.
            self._encode_fast = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
            self._before, self._after = _added(tokenizer) if metadata.special_tokens else ([], [])
        self._prompt, self._characters = metadata.prompt, metadata.characters
        self._room = None
        if metadata.longest is not None:
            self._room = metadata.longest - len(self._before) - len(self._after)
            if self._room < 1:
                added = metadata.longest - self._room
                raise ArtifactError(f"{name}: expected a longest input of more than the {added} tokens that are added")
            self._margin = max(_MARGIN, 2 * facts.longest_word)
            self._first = self._room * _CHARACTERS_PER_TOKEN + self._margin
            self._most = max(_MOST_CHARACTERS, self._room * facts.longest_token + self._margin)

    def alone(self, token: int) -> list[int]:
        """Return a token with those that are added."""
        return [*self._before, token, *self._after]

    def read(self, text: str, place: int = 0) -> tuple[list[int], bool]:
        """Tokenize a text: the tokens that are read, those that are added included, and whether there are more.

        Raises
        ------
        FeatureError
            When it is no text, or the library fails on it; names its place.
        """
        if not isinstance(text, str):
            raise FeatureError(f"[{place}]: expected a text, got {type(text).__name__}")
        try:
            try:
                return self._read(self._prompt + text)
            except TypeError:  # lone surrogates are no characters, but JSON can hold them
                return self._read(self._prompt + text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        except BaseException as cause:
            raise _refusal(cause, lambda reason: FeatureError(f"[{place}]: cannot be tokenized: {reason}")) from None

    def _read(self, text: str) -> tuple[list[int], bool]:
        whole = len(text)
        if self._characters is not None:
            text = text[: self._characters]
        if self._room is None:
            return [*self._before, *self._ids(text), *self._after], len(text) < whole
        text = text[: self._most]
        size = self._first
        while size < len(text):
            (encoding,) = self._encode_batch([text[:size]], add_special_tokens=False)
            if len(encoding) > self._room and _end(encoding, self._room) <= size - self._margin:
                return [*self._before, *encoding.ids[: self._room], *self._after], True
            size *= _STEP
            if 2 * size > len(text):  # it would take as long as all, and perhaps be in vain
                break
        ids = self._ids(text)
        return [*self._before, *ids[: self._room], *self._after], len(ids) > self._room or len(text) < whole

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._encode_fast([text], add_special_tokens=False)[0].ids
        return ids


def _end(encoding: Any, tokens: int) -> int:
    """Return the character at which the last of some tokens ends."""
    end: int = encoding.token_to_chars(tokens - 1)[1]
    return end


def _added(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the tokens that are added before and behind those of a text."""
    empty = tokenizer.encode("", add_special_tokens=True).ids
    if len(empty) > _MOST_ADDED:
        raise ValueError(f"expected {_MOST_ADDED} tokens that are added at most, got {len(empty)}")
    texts = ("a", *(str(tokenizer.id_to_token(token)).strip("#▁Ġ") for token in range(_TRIED)))
    text = next((text for text in texts if tokenizer.encode(text, add_special_tokens=False).ids), "a")
    plain, full = (tokenizer.encode(text, add_special_tokens=special).ids for special in (False, True))
    before = next((place for place in range(len(empty) + 1) if full == empty[:place] + plain + empty[place:]), None)
    if before is None:
        raise ValueError("expected tokens added before and behind those of a text, which stand together")
    return empty[:before], empty[before:]


def open_tokenizer(text: str) -> Any:
    """Open a tokenizer of the tokenizers library, which neither cuts nor fills; raises what the library does.

    Raises
    ------
    ModelpickError
        When the library is not installed.
    """
    try:
        # Its threads start at the first batch, and a process that is forked then warns: batches are ours.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer as LibraryTokenizer
    except ModuleNotFoundError:
        raise ModelpickError("encoders need tokenizers: pip install 'modelpick[text]'") from None
    tokenizer = LibraryTokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@contextmanager
def refusing(refusal: Callable[[str], ModelpickError]) -> Iterator[None]:
    """Raise a refusal, which is given the reason in a line, in the place of what the tokenizers library raises."""
    try:
        yield
    except BaseException as cause:
        raise _refusal(cause, refusal) from None


def _refusal(cause: BaseException, refusal: Callable[[str], ModelpickError]) -> BaseException:
    """Return what to raise: what the library raised has no common base, and its panics are no `Exception`."""
    if isinstance(cause, ModelpickError) or not (
        isinstance(cause, Exception) or type(cause).__name__ == "PanicException"
    ):
        return cause
    return refusal((str(cause).splitlines() or [type(cause).__name__])[0][:_REASON])
