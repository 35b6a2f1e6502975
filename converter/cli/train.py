"""The command that trains selectors: train."""

import time
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import DocumentError, ModelpickError, Objective

from ..algorithms.row import AnyRow, Semantics
from ..files.io import check_distinct, write_atomically
from ..formats.outcomes import Settings, Training
from ..statistics.bootstrap import UNKNOWN, in_percent, signed
from ..training.auto import AUTO, Choice, choose
from ..training.train import JSON_FORMAT, TRAINED, check_settings, file_name, trainers, training_data
from ..training.train import train as train_selector
from ..training.tune import best_settings
from ..training.tune import tune as tune_settings
from .console import emit, progress, show, warn
from .names import Output, Unparsable, to_fill
from .options import WEIGHTS, Data, RecordOptions, Seed, expanded
from .records import load_records

Algorithm = StrEnum("Algorithm", {name: name for name in (*TRAINED, AUTO)})  # type: ignore[misc]
# With fewer queries, there is a warning.
FEW = 20


def _joined(widths: tuple[int, ...]) -> str:
    return ",".join(map(str, widths))


def _widths(given: str | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(given, tuple):  # parsed already
        return given
    widths = [width.strip() for width in given.split(",")]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise Unparsable(f"--hidden: expected widths, 1 or more each, such as 256,128, got '{given}'")
    return tuple(map(int, widths))


def _number(words: str, least: float | None = 0, most: float | None = None) -> Any:
    return Annotated[float, typer.Option(min=least, max=most, help=words)]


def _count(words: str, *names: str) -> Any:
    return Annotated[int, typer.Option(*names, min=1, help=words)]


# Field of `Settings` -> its option.
SETTINGS = {
    "k": _count("Neighbours of KNN.", "--k"),
    "evidence": _number("Standard errors by which a model must exceed KNN's default model, by queries."),
    "clusters": _count("Clusters of KMeans."),
    "min_support": _count(
        "Least records of a model in a cluster of KMeans; below it, its score over all queries counts there."
    ),
    "gamma": _number("Width of the kernel of SVM and kernel ridge."),
    "ridge": _number("Penalty of kernel ridge."),
    "landmarks": Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most support vectors of kernel ridge; of more queries, this number is drawn. 1,000 by default; "
            "--tune may also choose all of up to 6,000.",
        ),
    ],
    "C": Annotated[float, typer.Option("--C", min=1e-9, help="Penalty of SVM.")],
    "kernel": Annotated[Literal["rbf", "linear"], typer.Option(help="Kernel of SVM.", case_sensitive=False)],
    "hidden": Annotated[
        Any,
        typer.Option(
            help="Widths of the hidden layers of MLP, one or more: 256,128.", parser=_widths, metavar="WIDTHS"
        ),
    ],
    "quality_weight": Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of quality in what KMeans of version 1, SVM and MLP learn as the best model; speed has "
            "the rest; 0.9 by default.",
        ),
    ],
    "latency_weight": _number("Quality that the greatest mean latency is worth in HierShrink."),
    "objective_quality": _number("Weight of quality in the original's objective, by which KMeans of version 2 scores."),
    "objective_latency": _number("Weight of 1 / (1 + latency / scale) in this objective."),
    "objective_cost": _number("Weight of 1 / (1 + cost / scale) in this objective."),
    "latency_scale_ms": _number("The scale of latency in this objective, in milliseconds.", least=None),
    "cost_scale": _number("The scale of cost in this objective.", least=None),
    "seed": Seed,
}


@expanded
def train(
    data: Data,
    output: Annotated[
        Output,
        typer.Option(
            "--output", "-o", help="Folder for the JSON models; or of one, a file.json.", parser=to_fill(".json")
        ),
    ],
    algorithm: Annotated[
        list[Algorithm] | None,
        typer.Option(
            help="What to train; all by default. auto compares all by nested cross-validation and writes the best.",
            case_sensitive=False,
        ),
    ] = None,
    *,
    reading: RecordOptions,
    features: Annotated[
        Literal["both", "embedding"],
        typer.Option(help="Embedding and one-hot of the category, or the embedding alone.", case_sensitive=False),
    ] = "both",
    semantics: Annotated[
        Semantics,
        typer.Option(
            help="Semantics of KNN; with queries, the file also holds costs and operating points.", case_sensitive=False
        ),
    ] = Semantics.native,
    format_version: Annotated[
        int, typer.Option(min=1, max=2, help="Version of the files; 1 for routers of the first generation.")
    ] = JSON_FORMAT,
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose the settings of each algorithm by cross-validation over queries.")
    ] = False,
    settings: Annotated[Settings, SETTINGS],
    objective: Annotated[Objective, WEIGHTS],
    allow_constant: Annotated[
        bool, typer.Option(help="Let auto write a model that always picks the best single model, if none is better.")
    ] = False,
    digests: Annotated[
        bool,
        typer.Option(
            "--digests/--no-digests",
            help="Record 8 bytes of a hash of each question, by which evaluation recognises training questions.",
        ),
    ] = True,
) -> None:
    """Train selectors on records, as JSON models.

    A record has query, model_name and performance, and may have category, response_time in seconds or latency_ms,
    cost, success and embedding. The original reads all but kernel_ridge.
    """
    names = [str(name) for name in algorithm or TRAINED]
    if output.is_file and len(set(names)) > 1:
        raise ModelpickError(f"{output.path}: expected a folder for {len(set(names))} models, got the name of a file")
    for name in TRAINED if AUTO in names else names:
        check_distinct(output.file(file_name(name)), [data, *reading.files])
    settings = settings._replace(objective=objective)
    records = load_records(data, reading)
    if 1 < len(records.queries) < FEW:
        warn(
            f"{data}: all records are of {len(records.queries)} queries: too few to tell what is learned from chance; "
            "some hundred are usual"
        )
    training = training_data(records, settings, one_hot=features == "both")
    if training.categories is not None:
        accuracy = f"{in_percent(training.categories['accuracy'])} of the questions, in cross-validation"
        emit(f"a category classifier is right on {accuracy}: requests need no category")
    if AUTO in names:
        with progress("Comparing algorithms", "tuned") as done:
            choice = choose(training, format_version, allow_constant=allow_constant, done=done)
        _show(choice)
        rows, training, tune = [choice.row], choice.training, choice.is_tuned
    else:
        rows = trainers(names, format_version, semantics)
        check_settings(settings, rows, tuned=tune)
    _write(training, rows, output, tune, digests, all_must=bool(algorithm))


def _write(
    training: Training, trained: list[AnyRow], output: Output, tune: bool, digests: bool, all_must: bool
) -> None:
    """Train, then write. Algorithms that cannot be trained are left out with a warning, unless all must be trained."""
    table = Table("algorithm", "semantics", "file", "MB", "seconds")
    documents: dict[Path, bytes] = {}
    for row in trained:
        start = time.perf_counter()
        try:
            settings = _tuned(training, row) if tune else training.settings
            with progress(f"Training {row.algorithm}", "queries") as done:
                fields = train_selector(training._replace(settings=settings), row, digests=digests)
                document = msgspec.json.encode(fields)
                done(len(training.features), len(training.features))
        except DocumentError as refusal:
            if all_must:
                raise
            warn(f"left out: {refusal}")
            continue
        target = output.file(file_name(row.algorithm))
        documents[target] = document
        seconds = f"{time.perf_counter() - start:.2f}"
        table.add_row(row.algorithm, row.semantics, str(target), f"{len(document) / 1e6:,.2f}", seconds)
    for target, document in documents.items():
        write_atomically(target, document)
    show(table)


def _tuned(training: Training, row: AnyRow) -> Settings:
    """Tune, show the table, and return the best settings."""
    with progress(f"Tuning {row.algorithm}", "trials") as done:
        found = tune_settings(training, row, done)
    tried = [name for name in Settings._fields if len({getattr(one.settings, name) for one in found}) > 1]
    predicts = {"error": "error of differences"} if row.predicts else {}
    columns = {"score": "score", **predicts, "quality": "quality"}
    table = Table(*tried, *columns.values(), "", title=f"{row.algorithm} {row.semantics}, on held-out queries")
    for one in found:
        numbers = (UNKNOWN if isnan(value := getattr(one, name)) else f"{value:.4f}" for name in columns)
        table.add_row(*(_setting(getattr(one.settings, name)) for name in tried), *numbers, "*" if one.is_best else "")
    show(table)
    return best_settings(found)


def _setting(value: float | tuple[int, ...] | None) -> str:
    if value is None:
        return "default"
    return _joined(value) if isinstance(value, tuple) else f"{value:g}"


def _show(choice: Choice) -> None:
    table = Table("algorithm", "semantics", "quality", "utility", "over the best single model")
    for one in choice.compared:
        means = (f"{mean:.4f}" for mean in (one.quality, one.utility))
        table.add_row(one.row.algorithm, one.row.semantics, *means, signed(one.over_single))
    show(table)
    always = f"always calling the best single model, {choice.best_single}"
    if choice.pays:
        emit(f"{choice.row.algorithm} is surely better than {always}")
    elif choice.is_constant:
        emit(f"none is surely better than {always}, which is written")
    else:
        emit(f"none is surely better than {always}; --allow-constant writes that instead")
