"""Benchmark records as the commands read them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modelpick.runtime import ModelpickError
from modelpick.runtime.text import Encoder

from ..evaluation.seen import Seen, unseen
from ..formats.outcomes import Benchmark
from ..training.embedder import NAMES, embed
from ..training.encoding import encode
from ..training.forms import FORMS
from ..training.records import read_records
from .console import note, progress, warn

MOST_SHOWN = 20


def unseen_records(
    artifacts: Mapping[str, str | Path], benchmark: Benchmark, learned: Benchmark | None = None
) -> tuple[Benchmark, list[Seen]]:
    """Leave out what artifacts were trained on, see `unseen`; how much that is goes to standard error."""
    benchmark, seen = unseen(artifacts, benchmark, learned)
    for one in seen:
        warn(one)
    return benchmark, seen


def load_records(
    data: Path,
    embedder: str | None = None,
    embeddings: Path | None = None,
    encoder: Encoder | Path | None = None,
    categories: Path | None = None,
    prices: Path | None = None,
) -> Benchmark:
    """Read records with their embeddings; what is odd about them goes to standard error, and what form they are of."""
    if sum(option is not None for option in (embedder, embeddings, encoder)) > 1:
        raise ModelpickError("expected one of --embedder, --embeddings and --encoder")
    loaded = Encoder.load(encoder) if isinstance(encoder, Path) else encoder
    benchmark = read_records(data, embeddings=embeddings, categories=categories, prices=prices)
    if benchmark.form != FORMS[0].name:
        n, m = benchmark.quality.shape
        models = ", ".join(benchmark.model_names)
        note(f"{data}: read as {benchmark.form}: {n:,} questions, {m} models: {models}")
    for warning in [*benchmark.warnings, *benchmark.bad[:MOST_SHOWN]]:
        warn(warning)
    if benchmark.bad:
        warn(f"{len(benchmark.bad)} bad records are left out")
    if loaded is not None:
        with progress("Embedding", "queries") as done:
            return encode(benchmark, loaded, data, done, warn)
    if embedder is None or (benchmark.embeddings is not None and not np.isnan(benchmark.embeddings).any()):
        return benchmark
    with progress("Embedding", "queries") as done:
        embedded = embed(benchmark.queries, embedder, done=done)
    note(f"{NAMES.get(embedder, embedder)}: {len(embedded):,} embeddings, scaled to unit length as the original does")
    return benchmark._replace(embeddings=embedded)
