"""Commands that show what an artifact is, and give back what it was made of: inspect, restore."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from modelpick.runtime import ModelpickError
from modelpick.runtime.artifact.encoder import EncoderMetadata
from modelpick.runtime.artifact.metadata import Metadata
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.decision.operating_points import Estimate, OperatingPoint, cheapest
from modelpick.runtime.decision.outcomes import PRICES
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.loading import Contents, read_either
from modelpick.runtime.schema import Table as Stored

from ..artifact.restore import restore as restore_file
from ..artifact.restore import to_json
from ..files.io import check_distinct
from ..formats.words import MOST_MODELS, listed
from ..statistics.bootstrap import UNKNOWN, in_percent, whole
from ..statistics.bootstrap import Estimate as Interval
from ..statistics.equals import equals
from .console import emit, plain, say, show, wrote
from .names import STDOUT, to_write
from .options import Artifact, AsJson

ALGORITHMS = {
    "knn": "the vote or the outcomes of the nearest questions",
    "kmeans": "the model of the nearest cluster",
    "svm": "the highest score of support vector machines",
    "mlp": "the highest output of a neural network",
    "hiershrink": "means of the nearest cluster, shrunk to more general ones",
    "kernel_ridge": "outcomes that a kernel predicts",
}
RULES = {"native": "the original's", "queries": "our own", "trainer": "the original trainer's"}
OURS = ("kernel_ridge",)
# Tables that predictions are made of, whose last axis is that of the models.
PREDICTING = (Stored.DUAL_COEF, Stored.MEAN_OUTCOMES, Stored.OUTCOMES)
KEEPS = (1.0, 0.95, 0.9)
# Digits of a hash that tell files apart for a reader.
SHOWN = 12


def restore(
    artifact: Artifact,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="JSON file; standard output if absent, or -.", parser=to_write(".json", stdout=True)
        ),
    ] = None,
) -> None:
    """Return the JSON model of an artifact."""
    if output is None or str(output) == STDOUT:
        emit(to_json(artifact))
    else:
        check_distinct(output, [artifact])
        restore_file(artifact, output)
        wrote(output)


def inspect(
    artifact: Artifact,
    raw: Annotated[bool, typer.Option("--raw", help="Show the metadata entries as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an artifact or an encoder is."""
    name, data = read_sealed(artifact)
    found = read_either(name, data)
    metadata = found if isinstance(found, EncoderMetadata) else found.metadata
    if as_json:
        emit(json.dumps(dict(sorted(metadata.raw.items())), ensure_ascii=False))
    elif raw:
        table = Table("entry", "value", title=name)
        for key, value in sorted(metadata.raw.items()):
            table.add_row(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        show(table)
    else:
        _show(artifact, found, len(data))


def _show(artifact: Path, found: Contents | EncoderMetadata, size: int) -> None:
    what, facts, metadata = (
        ("an encoder of texts", _of_encoder(found), found)
        if isinstance(found, EncoderMetadata)
        else ("a selector", _of_selector(found.metadata), found.metadata)
    )
    written = datetime.fromtimestamp(artifact.stat().st_mtime).astimezone()
    say(f"{artifact}: {what}, {size / 1e6:,.2f} MB, written {written:%Y-%m-%d %H:%M %Z}")
    table = plain("", "")
    table.show_header = False
    for name, value in facts:
        table.add_row(name, value)
    table.add_row("made by", ", ".join(f"{tool} {version}" for tool, version in metadata.raw.get("tools", {}).items()))
    show(table)
    if isinstance(found, Contents):
        for first, others in _equals(found).items():
            say(f"{listed(others, MOST_MODELS)}: the same predictions as {first}, up to rounding")
        if found.metadata.points:
            _show_points(found.metadata)


def _of_encoder(metadata: EncoderMetadata) -> Iterator[tuple[str, str]]:
    yield "name", str(metadata.identity)
    yield "kind", "static vectors" if metadata.is_static else "a transformer"
    yield "embedding", f"{metadata.embedding_dim:,} numbers{', of unit length' if metadata.normalised else ''}"
    yield "pooling", metadata.pooling
    yield "weights", metadata.weights
    yield "longest", "any length" if metadata.longest is None else f"{metadata.longest:,} tokens"


def _of_selector(metadata: Metadata) -> Iterator[tuple[str, str]]:
    models, semantics = metadata.model_names, metadata.semantics.partition("/")[0]
    yield "algorithm", f"{metadata.algorithm}: {ALGORITHMS[metadata.algorithm]}"
    yield "rules", f"{metadata.semantics}: {RULES['queries' if metadata.algorithm in OURS else semantics]}"
    yield "models", f"{len(models)}: {listed(models, MOST_MODELS)}"
    if metadata.default is not None:
        yield "best on average", metadata.default
    yield "predicts", ", ".join(metadata.outcomes) or "no outcomes"
    yield "request", _request(metadata)
    if metadata.category_classifier is not None:
        accuracy = metadata.category_classifier.accuracy
        right = "" if accuracy is None else f", right on {in_percent(accuracy)} of the training questions"
        yield "category", f"predicted, where a request has none{right}"
    recorded = metadata.encoder or metadata.embedding_model
    yield "encoder", UNKNOWN if recorded is None else str(recorded)
    if metadata.rows:
        yield "rows", f"{metadata.rows:,}"
    source = metadata.source_sha256
    yield "made of", f"a JSON model of SHA-256 {source[:SHOWN]}" if source else "an estimator in Python"


def _equals(found: Contents) -> dict[str, list[str]]:
    """Return models whose predictions are equal up to rounding: the first, and the others."""
    names = found.metadata.model_names
    held = [found.tables[name].reshape(-1, len(names)) for name in PREDICTING if name in found.tables]
    if not held:
        return {}
    known = {name: column for name, column in zip(names, np.vstack(held).T, strict=True) if not np.isnan(column).all()}
    return equals({name: column.tobytes() for name, column in known.items()})


def _request(metadata: Metadata) -> str:
    width = metadata.n_features_in
    if metadata.embedding_dim is None:
        return f"{width:,} numbers"
    if width == metadata.embedding_dim + len(CATEGORIES):
        return f"an embedding of {metadata.embedding_dim:,} numbers, and a category"
    return f"an embedding of {metadata.embedding_dim:,} numbers"


def _show_points(metadata: Metadata) -> None:
    """Print what the artifact promises at some operating points."""
    assert metadata.best_single is not None
    points, single = metadata.points, metadata.best_single
    queries = metadata.raw["operating_points"].get("queries")
    count = f"{len(points)} operating point{'s' if len(points) > 1 else ''}"
    say(f"{count}, compared with always calling {single.model} in cross-validation over {queries:,} questions:")
    shown = {"by default": max(points, key=lambda point: point.quality.mean)}
    for keep in KEEPS:
        try:
            shown[f"keep={keep:g}"] = cheapest(points, keep)
        except ModelpickError:
            continue
    kinds = [kind for kind in PRICES if kind.name in single.outcomes]
    table = plain("", "quality", *(kind.name for kind in kinds))
    for name, point in shown.items():
        changes = (_changed(point, kind.name, single.outcomes[kind.name]) for kind in kinds)
        table.add_row(name, _percent(point.kept), *changes)
    show(table)


def _changed(point: OperatingPoint, kind: str, of_single: float) -> str:
    found = point.outcomes.get(kind)
    if found is None or of_single <= 0:
        return UNKNOWN
    low, mean, high = (value / of_single - 1 for value in (found.low, found.mean, found.high))
    return whole(Interval(mean, low, high), "+")


def _percent(share: Estimate) -> str:
    return whole(Interval(*share))
