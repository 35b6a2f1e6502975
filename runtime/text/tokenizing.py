"""Tokenizer: texts -> the tokens that an encoder reads. Text that is too far behind to be read is not tokenized."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..artifact.encoder import EncoderMetadata
from ..artifact.tokenizer import TokenizerFacts
from ..errors import ArtifactError, FeatureError, ModelpickError

# Characters of a text that are tokenized first, for each token that is read: words with their spaces are shorter.
_CHARACTERS_PER_TOKEN = 6
# A token is final once this number of characters follows it: characters further behind do not change how the text
# before them is split. Where the longest token is longer, its length counts instead.
_MARGIN = 256
# By this factor more of a text is tokenized where the first attempt was not enough.
_STEP = 16
# Where tokens stand for unusually many characters, as in a run of blanks, a text is read up to this number of
# characters, or further where the longest tokens need it.
_MOST_CHARACTERS = 32_768


# Most characters of an error's reason: the library quotes the text that it refuses.
_REASON = 200
# Most tokens that a tokenizer may add to a text.
_MOST_ADDED = 64
# How many tokens of the vocabulary are tried as a text that is not empty.
_TRIED = 256


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text that an encoder reads."""

    count: int
    """Tokens, including those that the tokenizer adds."""
    cut: bool
    """Whether the text has more tokens."""


class Tokenizer:
    """Turns a text into tokens by the tokenizers library.

    Only as much of a text is tokenized as the longest input can hold; the tokens are the first tokens of the whole
    text. Where this cannot be guaranteed, as in a megabyte of blanks, the text is cut after 32,768 characters, or after
    as many characters as the longest tokens take.

    Parameters
    ----------
    name
        Name of the encoder, for messages.
    text
        JSON of the tokenizers library; its truncation and padding are ignored.
    facts
        What `modelpick.runtime.artifact.tokenizer.check_tokenizer` found in this JSON.
    metadata
        The encoder's metadata.

    Raises
    ------
    ArtifactError
        When the library refuses the JSON, or the longest input holds no more than the tokens that are added.
    ModelpickError
        When the library is not installed.
    """

    def __init__(self, name: str, text: str, facts: TokenizerFacts, metadata: EncoderMetadata) -> None:
        with refusing(lambda reason: ArtifactError(f"{name}: its tokenizer cannot be used: {reason}")):
            tokenizer = open_tokenizer(text)
            self._encode_batch = tokenizer.encode_batch
            # This method leaves out the offsets of tokens, and takes a sixth less time; older versions lack it.
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
        """Return a token between the tokens that are added."""
        return [*self._before, token, *self._after]

    def read(self, text: str, place: int = 0) -> tuple[list[int], bool]:
        """Tokenize a text: the tokens that are read, including the added ones, and whether the text has more.

        Raises
        ------
        FeatureError
            When it is not a text, or the library fails on it; names its place.
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
    """Return the character at which the last of the tokens ends."""
    end: int = encoding.token_to_chars(tokens - 1)[1]
    return end


def _added(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the tokens that the tokenizer adds before and behind a text's own tokens."""
    empty = tokenizer.encode("", add_special_tokens=True).ids
    if len(empty) > _MOST_ADDED:
        raise ValueError(f"expected {_MOST_ADDED} tokens that are added at most, got {len(empty)}")
    texts = ("a", *(str(tokenizer.id_to_token(token)).strip("#▁Ġ") for token in range(_TRIED)))
    text = next((text for text in texts if tokenizer.encode(text, add_special_tokens=False).ids), "a")
    plain, full = (tokenizer.encode(text, add_special_tokens=special).ids for special in (False, True))
    before = next((place for place in range(len(empty) + 1) if full == empty[:place] + plain + empty[place:]), None)
    if before is None:
        raise ValueError("expected added tokens only before and behind the tokens of a text")
    return empty[:before], empty[before:]


def open_tokenizer(text: str) -> Any:
    """Open a tokenizer of the tokenizers library without truncation and padding; raises the library's errors.

    Raises
    ------
    ModelpickError
        When the library is not installed.
    """
    try:
        # The library's threads start at its first batch, and a process forked afterwards warns: batches are made here.
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
    """Replace an error of the tokenizers library by a refusal, which is made from the reason in one line."""
    try:
        yield
    except BaseException as cause:
        raise _refusal(cause, refusal) from None


def _refusal(cause: BaseException, refusal: Callable[[str], ModelpickError]) -> BaseException:
    """Return the error to raise: the library's errors have no common base, and its panics are not an `Exception`."""
    if isinstance(cause, ModelpickError) or not (
        isinstance(cause, Exception) or type(cause).__name__ == "PanicException"
    ):
        return cause
    return refusal((str(cause).splitlines() or [type(cause).__name__])[0][:_REASON])
