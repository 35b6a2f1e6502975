"""Static vectors made from a transformer: each token of its vocabulary is embedded alone, in fewer columns.

As in model2vec (https://github.com/MinishLab/model2vec), rows are principal components of the tokens' embeddings,
weighted by the rarity of the token: S. Arora, Y. Liang, T. Ma, A simple but tough-to-beat baseline for sentence
embeddings, 2017.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import EncoderEntry
from modelpick.runtime.text import Encoder

from .folder import Source, Usage, Vectors
from .static import source_of

COMPONENTS = 256
# The probability at which the weight of a token is a half.
_HALF_WEIGHT = 1e-4
# Number of tokens that are embedded between two reports of progress.
_STEP = 2_048
_SPACE = "▁"


class Distillation(NamedTuple):
    """How static vectors are made."""

    components: int = COMPONENTS
    """Number of columns; at most as many as the transformer has."""
    texts: tuple[str, ...] | None = None
    """Texts whose tokens are counted for the weights; by default, frequencies follow Zipf's law."""


def distilled(
    source: Source, whole: Encoder, settings: Distillation, done: Callable[[int, int], None] = lambda done, total: None
) -> Source:
    """Make static vectors of a transformer; deterministic.

    A row is the projection of a token's embedding on the principal components, times a / (a + p). Here a is 1e-4, and p
    is the probability of the token: its share of the tokens of given texts, or the probability of its rank by Zipf's
    law, where tokens are ranked by their identifiers. The unknown token is left out; the rows of other tokens that the
    tokenizer adds are zero.

    Parameters
    ----------
    source
        The transformer's folder.
    whole
        The encoder that was made from the transformer.
    settings
        How static vectors are made.
    done
        Called with the number of embedded tokens and of all tokens.

    Raises
    ------
    DocumentError
        When there are fewer tokens than components.
    """
    from sklearn.decomposition import PCA

    tokens = _tokens(source.usage)
    most = min(whole.embedding_dim, len(tokens))
    if not 1 <= settings.components <= most:
        raise DocumentError(f"--components: expected 1 to {most:,}, the columns or tokens, got {settings.components}")
    read = [_read(whole, number, text) for number, text in tokens.items()]
    embeddings = np.empty((len(tokens), whole.embedding_dim))
    for first in range(0, len(read), _STEP):
        embeddings[first : first + _STEP] = whole.embed_tokens(read[first : first + _STEP])
        done(min(first + _STEP, len(read)), len(read))
    with threadpool_limits(1):  # sums in one order, however many processors there are
        projected = PCA(settings.components, svd_solver="covariance_eigh").fit_transform(embeddings)
    numbers = np.fromiter(tokens, np.int64)
    usage = source.usage._replace(special_tokens=False, pooling="mean", normalised=True, prompt="")
    matrix: Vectors = np.zeros((usage.facts.greatest_id + 1, settings.components), np.float32)
    matrix[numbers] = projected * _weights(whole, numbers, settings)[:, np.newaxis]
    entries = {
        "name": whole.name,
        "digest": whole.digest,
        "components": settings.components,
        "weights": "zipf" if settings.texts is None else "texts",
    }
    return source_of("distilled", usage, matrix, usage.facts.unknown_id, **{EncoderEntry.DISTILLED: entries})


def _tokens(usage: Usage) -> dict[int, str | None]:
    """Return identifier -> text of the tokens that occur in texts; None for a token without text."""
    tokenizer = json.loads(usage.tokenizer)
    model, added = tokenizer["model"], tokenizer.get("added_tokens") or []
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram's: tokens and their scores
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    special = {one["id"] for one in added if one.get("special")} | {usage.facts.unknown_id}
    decode = _of_bytes if "ByteLevel" in _kinds(tokenizer) else _of_words(model)
    found = {number: decode(token) for token, number in vocabulary.items()}
    found |= {one["id"]: one["content"] for one in added}
    return {number: found[number] for number in sorted(found) if number not in special}


def _kinds(tokenizer: object) -> set[str]:
    """Return the types of all components of a tokenizer."""
    if isinstance(tokenizer, list):
        return set().union(*map(_kinds, tokenizer))
    if not isinstance(tokenizer, dict):
        return set()
    slots = ("normalizer", "pre_tokenizer", "decoder", "normalizers", "pretokenizers", "decoders")
    return {str(tokenizer.get("type"))}.union(*(_kinds(tokenizer.get(slot)) for slot in slots))


def _of_words(model: dict[str, object]) -> Callable[[str], str | None]:
    """Return the function that turns a token of characters into text, without the marks of parts of words."""
    prefix, suffix = (str(model.get(name) or "") for name in ("continuing_subword_prefix", "end_of_word_suffix"))

    def decode(token: str) -> str | None:
        if len(token) == len("<0x00>") and token.startswith("<0x") and token.endswith(">"):  # a byte of byte fallback
            return None
        text = token if token == prefix else token.removeprefix(prefix)
        return (text if text == suffix else text.removesuffix(suffix)).replace(_SPACE, " ")

    return decode


def _of_bytes(token: str) -> str | None:
    """Make text of a token whose characters stand for bytes; None where the bytes are not valid UTF-8."""
    from tokenizers.decoders import ByteLevel

    text: str = ByteLevel().decode([token])
    return None if "\N{REPLACEMENT CHARACTER}" in text else text


def _read(whole: Encoder, number: int, text: str | None) -> list[int]:
    """Return the tokens to embed for a token: its text's tokens, or the token itself where it has no text."""
    return whole.tokenizer.alone(number) if text is None else whole.tokenizer.read(text)[0]


def _weights(whole: Encoder, numbers: npt.NDArray[np.int64], settings: Distillation) -> npt.NDArray[np.float64]:
    if settings.texts is None:
        shares = 1.0 / np.arange(2, len(numbers) + 2)
    else:
        counts = _counted(whole, settings.texts)
        shares = np.array([counts[number] for number in numbers.tolist()], np.float64)
    probability = shares / max(float(shares.sum()), 1.0 if settings.texts is not None else 0.0)
    weights: npt.NDArray[np.float64] = _HALF_WEIGHT / (_HALF_WEIGHT + probability)
    return weights


def _counted(whole: Encoder, texts: Iterable[str]) -> Counter[int]:
    return Counter(token for text in texts for token in whole.tokenizer.read(text)[0])
