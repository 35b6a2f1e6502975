"""Benchmark records as the commands read them."""

from pathlib import Path

from modelpick.runtime.text import Encoder

from ..formats.outcomes import Benchmark
from ..training.benchmark import ONE_MODEL
from ..training.embedder import NAMES
from ..training.forms import FORMS
from ..training.records import read_records
from .console import note, progress, warn
from .options import Reading

NOTHING = Reading()
MOST_SHOWN = 20


def load_records(
    data: Path, reading: Reading = NOTHING, encoder: Encoder | None = None, *, adds: bool = False
) -> Benchmark:
    """Read records with their embeddings; oddities and the form of the records go to standard error.

    A given encoder takes precedence over the file of ``reading``, from which it was loaded. Records that add to others
    (``adds``) may well be of one model.
    """
    with progress(f"Reading {data}", "embeddings") as done:
        benchmark = read_records(
            data,
            embeddings=reading.embeddings,
            encoder=encoder or reading.encoder,
            embedder=reading.embedder,
            categories=reading.categories,
            prices=reading.prices,
            done=done,
        )
    if reading.embedder is not None:
        name = NAMES.get(reading.embedder, reading.embedder)
        note(f"{name}: embeddings are scaled to unit length as the original does")
    if benchmark.form != FORMS[0].name:
        n, m = benchmark.quality.shape
        models = ", ".join(benchmark.model_names)
        note(f"{data}: read as {benchmark.form}: {n:,} questions, {m} models: {models}")
    for warning in [*benchmark.warnings, *benchmark.bad[:MOST_SHOWN]]:
        if not (adds and ONE_MODEL in warning):
            warn(warning)
    if benchmark.bad:
        warn(f"{len(benchmark.bad)} bad records are left out")
    return benchmark
