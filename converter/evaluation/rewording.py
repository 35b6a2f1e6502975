"""Rewording: how often a pick changes where a question only says the same in other words.

The share of such flips is what RouterArena measures robustness by: Y. Lu et al., RouterArena: An Open Platform for
Comprehensive Comparison of LLM Routers, 2025.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from modelpick.runtime import ArtifactError, DocumentError, Selector
from modelpick.runtime.algorithms import TABLE
from modelpick.runtime.decision.outcomes import QUALITY
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text import Encoder

from ..files.rows import read_rows
from ..formats.outcomes import Benchmark, Matrix
from ..statistics.bootstrap import Estimate, estimated_mean, proportion, resampled, with_known
from .policies import picks_among, quality_of

FAR, EVIDENCE, MARGINS = 0.99, (1.0, 2.0), (0.02, 0.05)
AS_IS = "as is"
NO_DEFAULT = "it has no default model"
# A pair: names of the fields of the first question, and of the second one.
_TEXTS, _EMBEDDINGS = ("query", "reworded"), ("embedding", "reworded_embedding")


class Pairs(NamedTuple):
    """Questions, and the same questions in other words."""

    first: Matrix
    """Embeddings, float64, shape (n, e)."""
    second: Matrix
    """Of the same shape."""
    categories: list[str]


class Flips(Struct):
    """How often picks change by rewording, and what that costs."""

    name: str
    way: str
    """How the artifact picks: as it is, or more carefully."""
    flips: Estimate
    """Share of the pairs whose two picks differ."""
    leaves: Estimate
    """Share of the questions that get another model than the default."""
    gain: Estimate
    """Mean quality of the picks for the records' questions minus that of the default model."""


def read_pairs(source: str | Path, encoder: Encoder | None = None) -> Pairs:
    """Read pairs, one a row: ``query`` and ``reworded``, or ``embedding`` and ``reworded_embedding``, and ``category``.

    Raises
    ------
    DocumentError
        When the file cannot be read, is empty, or a row has no pair; when texts come without an encoder; or when
        embeddings are not rows of as many finite numbers.
    """
    fields = _EMBEDDINGS if encoder is None else _TEXTS
    first, second, categories = [], [], []
    for row in read_rows(source, DocumentError).rows:
        if row.error is not None or not set(fields) <= set(row.fields):
            told = row.error or f"expected {fields[0]} and {fields[1]}"
            hint = "; texts need --encoder" if encoder is None and set(_TEXTS) <= set(row.fields) else ""
            raise DocumentError(f"{source}:{row.number}: {told}{hint}")
        first.append(row.fields[fields[0]])
        second.append(row.fields[fields[1]])
        categories.append(str(row.fields.get("category", CATEGORIES[-1])))
    if not first:
        raise DocumentError(f"{source}: expected pairs of questions, got none")
    if encoder is not None:
        embedded = encoder.embed([*map(str, first), *map(str, second)]).astype(np.float64)
        return Pairs(embedded[: len(first)], embedded[len(first) :], categories)
    try:
        both = np.array([first, second], dtype=np.float64)
    except (TypeError, ValueError):
        both = np.empty(0)
    if both.ndim != 3 or not np.isfinite(both).all():
        raise DocumentError(f"{source}: expected embeddings of as many finite numbers each")
    return Pairs(both[0], both[1], categories)


def flips(artifacts: Mapping[str, str | Path], pairs: Pairs, records: Benchmark, *, seed: int = 0) -> list[Flips]:
    """Count how often the picks of artifacts change by rewording, as they are and in more careful ways.

    The careful ways, as far as an artifact takes them, are ``far``, ``evidence``, and a margin of predicted quality by
    which another model must exceed the default to be picked.

    Parameters
    ----------
    artifacts
        Paths of artifacts by the names under which they are shown.
    pairs
        See `read_pairs`.
    records
        Held-out records with embeddings, on which the gain is measured.
    seed
        Seed of the bootstrap, which draws the records' questions.

    Raises
    ------
    ArtifactError
        When an artifact is refused, or expects embeddings of another width.
    """
    found = []
    for name, artifact in artifacts.items():
        with Selector.load(artifact) as selector:
            width, wanted = pairs.first.shape[1], selector.n_features_in_
            if wanted not in (width, width + len(CATEGORIES)):
                raise ArtifactError(f"{artifact}: expected embeddings for vectors of {wanted}, got {width} numbers")
            build = selector.features.build_batch
            questions = [build(side, pairs.categories) for side in (pairs.first, pairs.second)]
            features = build(records.embeddings, records.categories) if records.embeddings is not None else None
            for way, given, margin in _ways(selector):
                picks = [_careful(selector, side, selector.select_batch(side, **given), margin) for side in questions]
                measured = []
                if features is not None and selector.default in records.model_names:
                    chosen = picks_among(selector, features, records, None, given)
                    measured = _careful(selector, features, chosen, margin)
                found.append(_flips(name, way, selector.default, picks, measured, records, seed))
    return found


def _ways(selector: Selector) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Yield the ways of picking that an artifact takes: name, preferences, margin."""
    takes = TABLE[selector.metadata.algorithm, selector.metadata.semantics].takes
    yield AS_IS, {}, 0.0
    if "far" in takes and selector.metadata.distances:
        yield f"far={FAR:g}", {"far": FAR}, 0.0
    if "evidence" in takes:
        for errors in EVIDENCE:
            yield f"evidence={errors:g}", {"evidence": errors}, 0.0
    if selector.metadata.outcomes and selector.default is not None:
        for margin in MARGINS:
            yield f"margin {margin:g}", {}, margin


def _careful(selector: Selector, features: Matrix, picks: Sequence[str], margin: float) -> list[str]:
    """Replace picks by the default where their predicted quality exceeds it by no more than the margin."""
    if not margin or selector.default is None:
        return list(picks)
    names = {name: model for model, name in enumerate(selector.model_names)}
    quality = selector.predict_outcomes(features)[:, QUALITY]
    default = names[selector.default]
    return [
        pick if pick in names and quality[row, names[pick]] - quality[row, default] > margin else selector.default
        for row, pick in enumerate(picks)
    ]


def _flips(
    name: str,
    way: str,
    default: str | None,
    picks: Sequence[Sequence[str]],
    measured: Sequence[str],
    records: Benchmark,
    seed: int,
) -> Flips:
    first, second = (np.array(side) for side in picks)
    leaves = gain = Estimate(np.nan, np.nan, np.nan, NO_DEFAULT)
    if default is not None:
        leaves = proportion(int((first != default).sum()), len(first))
    if default is not None and len(measured):
        of_default = records.quality[:, records.model_names.index(default)]
        (sums,) = resampled([with_known({"gain": quality_of(measured, records) - of_default})], seed)
        gain = estimated_mean(sums, "gain")
    return Flips(name, way, proportion(int((first != second).sum()), len(first)), leaves, gain)
