"""Comparison of an encoder's file with the folder that it was made from, on probes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime.search.distances import directions
from modelpick.runtime.text import Encoder

from ..statistics.bootstrap import FEWEST, Estimate
from ..verification.report import DisagreementError
from .folder import Reference, Source, tokenizer_of

# The largest difference, relative to a vector's length, that float32 sums in another order may cause. 8-bit weights
# lose more.
TOLERANCE = 1e-5
Vector = npt.NDArray[np.float64]
# Number of words of the longest probe where the longest input is unlimited.
_MANY = 1_000


class Probe(Struct):
    """A text, and the difference of its embeddings."""

    name: str
    tokens: int
    difference: float
    """Largest difference of a column, whether the text is run alone or in a batch, relative to the vector's length."""
    cosine: float
    """Lowest cosine between the two vectors; 1 where both are zero."""


class EncoderWorth(Struct):
    """The worth of picks by an encoder's embeddings, in cross-validation, and the time of an embedding."""

    file: str
    digest: str
    quality: Estimate
    """Mean quality of the picks."""
    over_single: Estimate
    """Mean quality minus the best single model's."""
    over_best: Estimate
    """Mean quality minus that of the best encoder."""
    saved: dict[str, Estimate]
    """Share of its quality to keep -> share of the best single model's cost that the cheapest such point saves."""
    milliseconds: float
    """Median time to embed a prompt."""
    megabytes: float
    is_recommended: bool = False
    """Whether it is the fastest encoder that is not surely worse than the best; of equally fast ones, the better."""


class Loss(Struct):
    """The loss of an encoder compared with the encoder that it was made from, on the questions of records."""

    texts: int
    """Number of questions whose similarities were compared."""
    similarity: float
    """Correlation between the cosines of all pairs of these questions by the two encoders."""
    worth: list[EncoderWorth]
    """What picks by either encoder are worth, the encoder that it was made from first; empty where the records are too
    few to cross-validate, or of one model."""


class EncoderReport(Struct):
    """The result of a verification."""

    encoder: str
    source: str
    family: str
    weights: str
    digest: str
    embedding_dim: int
    longest: int | None
    """Tokens after which a text is cut; None where all are read."""
    pooling: str
    probes: list[Probe]
    difference: float
    """Largest difference among the probes; NaN where an embedding is not finite."""
    cosine: float
    """Lowest cosine among the probes."""
    tolerance: float | None
    """Largest difference that passes; None where 8-bit weights make it a loss to report."""
    seconds: float
    loss: Loss | None = None

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= (np.inf if self.tolerance is None else self.tolerance)


class EncoderError(DisagreementError):
    """An encoder's file differs from its folder; ``report`` says on which text."""

    def __init__(self, report: EncoderReport) -> None:
        worst = max(report.probes, key=lambda probe: (not probe.difference <= np.inf, probe.difference))
        super().__init__(
            f"{report.encoder}: expected the embeddings of {report.source} within {report.tolerance or np.inf:g} of "
            f"their length, got a difference of {worst.difference:.1e} on {worst.name}"
        )
        self.report = report


def probe_texts(longest: int | None) -> dict[str, str]:
    """Return texts on which encoders tend to go wrong, by name."""
    return {
        "empty": "",
        "blank": " \n\t ",
        "one letter": "a",
        "a sentence": "How do I reverse a linked list?",
        "longest + 1": " ".join(["a"] * ((longest or _MANY) + 1)),
        "one long word": "word" * 20,
        "capitals, accents": "NAÏVE Café, Ångström",
        "emoji": "🙂 hi 👩‍👩‍👧 🙃",
        "Chinese, Japanese": "如何反转链表 日本語のテキスト",
        "right to left": "كيف أعكس قائمة؟ שלום עולם",
        "control characters": "a\x00b\x07c\u200bd\ufeff\r\n",
        "code": "def f(x: int) -> int:\n    return x ** 2  # <b>&amp;</b>",
    }


def compare(
    encoders: Sequence[Encoder], own: Callable[[list[int]], Reference], source: Source, folder: Path, target: str
) -> EncoderReport:
    """Compare an encoder with its folder's own model and the tokenizers library, on probes.

    Parameters
    ----------
    encoders
        The encoder, in each way in which it can be run.
    own
        The tokens of a text -> its vector, see `Source.embed`.
    source, folder
        The folder's content, and its path.
    target
        Name of the encoder for the report.
    """
    start, usage = time.perf_counter(), source.usage
    texts = probe_texts(usage.longest)
    with tokenizer_of(folder, usage) as tokenizer:
        if usage.longest is not None:
            tokenizer.enable_truncation(usage.longest)
        read = [(usage.prompt + text)[: usage.characters] for text in texts.values()]
        tokens = [tokenizer.encode(text, add_special_tokens=usage.special_tokens).ids for text in read]
    wanted = [own(ids) for ids in tokens]
    batches = [encoder.embed(list(texts.values())) for encoder in encoders]
    probes = []
    for name, ids, expected, *together in zip(texts, tokens, wanted, *batches, strict=True):
        found = [*together, *(encoder.embed([texts[name]])[0] for encoder in encoders)]
        length = float(np.linalg.norm(expected)) or 1.0
        difference = float(np.max([np.abs(one - expected) for one in found])) / length
        probes.append(Probe(name, len(ids), difference, min(_cosine(one, expected) for one in found)))
    differences = np.array([probe.difference for probe in probes])
    encoder, metadata = encoders[0], encoders[0].metadata
    return EncoderReport(
        target,
        str(folder),
        source.family,
        metadata.weights,
        encoder.digest,
        encoder.embedding_dim,
        metadata.longest,
        metadata.pooling,
        probes,
        float(differences.max()),
        float(np.min([probe.cosine for probe in probes])),
        TOLERANCE,
        time.perf_counter() - start,
    )


def _cosine(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else float(np.array_equal(one, other))


def similarity(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the correlation between the cosines of all pairs of texts by two embeddings, (n, e); NaN for one pair."""
    pairs = np.triu_indices(len(one), 1)
    if len(pairs[0]) < FEWEST:
        return float("nan")
    correlations: Vector = np.corrcoef([_cosines(embeddings)[pairs] for embeddings in (one, other)])
    return float(correlations[0, 1])


def _cosines(embeddings: npt.NDArray[np.float32]) -> Vector:
    unit = directions(embeddings.astype(np.float64))
    cosines: Vector = unit @ unit.T
    return cosines
