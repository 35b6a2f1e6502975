"""The command that trains selectors: train."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.decision.objective import utilities

from ..algorithms import TABLE
from ..algorithms.row import AnyRow, Semantics
from ..files.io import check_distinct, write_atomically
from ..formats.outcomes import Settings, Training
from ..statistics.bootstrap import signed
from ..training.crossvalidation import best_single, objective_of
from ..training.estimation import judged
from ..training.train import FORMAT_VERSION, TRAINED, file_name, trainer, training_data
from ..training.train import train as train_selector
from ..training.tune import Tried, best_settings, compare
from ..training.tune import tune as tune_settings
from .console import emit, progress, show, warn
from .names import Output, to_fill
from .options import Categories, Data, Embedder, Embeddings, EncoderFile, Prices, Seed
from .records import load_records

AUTO = "auto"
Algorithm = StrEnum("Algorithm", {name: name for name in (*TRAINED, AUTO)})  # type: ignore[misc]


class Kernel(StrEnum):
    """Kernels of SVM."""

    rbf = "rbf"
    linear = "linear"


class Features(StrEnum):
    """What a feature vector is made of."""

    both = "both"
    embedding = "embedding"


DEFAULTS = Settings()


def _joined(widths: tuple[int, ...]) -> str:
    return ",".join(map(str, widths))


def _widths(text: str) -> tuple[int, ...]:
    widths = [width.strip() for width in text.split(",")]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise ModelpickError(f"--hidden: expected widths, 1 or more each, such as 256,128, got '{text}'")
    return tuple(map(int, widths))


# Fewer queries are warned of.
FEW = 20


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
    embedder: Embedder = None,
    embeddings: Embeddings = None,
    encoder: EncoderFile = None,
    categories: Categories = None,
    prices: Prices = None,
    features: Annotated[
        Features,
        typer.Option(help="Embedding and one-hot of the category, or the embedding alone.", case_sensitive=False),
    ] = Features.both,
    semantics: Annotated[
        Semantics,
        typer.Option(
            help="Rules of KNN; by queries, the file also holds costs and operating points.", case_sensitive=False
        ),
    ] = Semantics.native,
    format_version: Annotated[
        int, typer.Option(min=1, max=2, help="Version of the files; 1 for routers of the first generation.")
    ] = FORMAT_VERSION,
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose the settings of each algorithm by cross-validation over queries.")
    ] = False,
    cost_weight: Annotated[float, typer.Option(min=0, help="Quality that one unit of cost is worth.")] = 0.0,
    seconds_weight: Annotated[float, typer.Option(min=0, help="Quality that one second is worth.")] = 0.0,
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours of KNN.")] = DEFAULTS.k,
    evidence: Annotated[
        float, typer.Option(min=0, help="Standard errors by which KNN's default model must be led, by queries.")
    ] = DEFAULTS.evidence,
    clusters: Annotated[int, typer.Option(min=1, help="Clusters of KMeans.")] = DEFAULTS.clusters,
    min_support: Annotated[
        int,
        typer.Option(min=1, help="Records below which a model's score in a cluster of KMeans is that of all queries."),
    ] = DEFAULTS.min_support,
    gamma: Annotated[float, typer.Option(min=0, help="Width of the kernel of SVM and kernel ridge.")] = DEFAULTS.gamma,
    ridge: Annotated[float, typer.Option(min=0, help="Penalty of kernel ridge.")] = DEFAULTS.ridge,
    landmarks: Annotated[
        int, typer.Option(min=1, help="Support vectors of kernel ridge at most; above, so many are drawn.")
    ] = DEFAULTS.landmarks,
    C: Annotated[float, typer.Option("--C", min=1e-9, help="Penalty of SVM.")] = DEFAULTS.C,
    kernel: Annotated[Kernel, typer.Option(help="Kernel of SVM.", case_sensitive=False)] = Kernel.rbf,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers of MLP, one or more: 256,128.")] = _joined(
        DEFAULTS.hidden
    ),
    quality_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of quality in what KMeans of version 1, SVM and MLP learn as the best model, the rest is "
            "speed's; 0.9 by default.",
        ),
    ] = None,
    latency_weight: Annotated[
        float, typer.Option(min=0, help="Quality that the greatest mean latency is worth to HierShrink.")
    ] = DEFAULTS.latency_weight,
    objective_quality: Annotated[
        float, typer.Option(min=0, help="The original's objective, of KMeans of version 2: weight of quality.")
    ] = DEFAULTS.objective_quality,
    objective_latency: Annotated[
        float, typer.Option(min=0, help="The same: weight of 1 / (1 + latency / scale).")
    ] = DEFAULTS.objective_latency,
    objective_cost: Annotated[
        float, typer.Option(min=0, help="The same: weight of 1 / (1 + cost / scale).")
    ] = DEFAULTS.objective_cost,
    latency_scale_ms: Annotated[
        float, typer.Option(help="The same: milliseconds at which speed is a half.")
    ] = DEFAULTS.latency_scale_ms,
    cost_scale: Annotated[
        float, typer.Option(help="The same: cost at which what counts of it is a half.")
    ] = DEFAULTS.cost_scale,
    allow_constant: Annotated[
        bool, typer.Option(help="Let auto write a model that always picks the best single model, if none is better.")
    ] = False,
    digests: Annotated[
        bool,
        typer.Option(
            "--digests/--no-digests",
            help="Record 8 bytes of a hash of each question, by which evaluation knows what it was trained on.",
        ),
    ] = True,
    seed: Seed = 0,
) -> None:
    """Train selectors on benchmark records, and write them as JSON models.

    A record has query, model_name and performance, and may have category, response_time in seconds or latency_ms, cost,
    success and embedding. The original reads all but kernel_ridge.
    """
    settings = DEFAULTS._replace(
        k=k,
        evidence=evidence,
        clusters=clusters,
        min_support=min_support,
        gamma=gamma,
        ridge=ridge,
        landmarks=landmarks,
        C=C,
        hidden=_widths(hidden),
        kernel=str(kernel),
        quality_weight=quality_weight,
        latency_weight=latency_weight,
        objective_quality=objective_quality,
        objective_latency=objective_latency,
        objective_cost=objective_cost,
        latency_scale_ms=latency_scale_ms,
        cost_scale=cost_scale,
        cost_weight=cost_weight,
        seconds_weight=seconds_weight,
        seed=seed,
    )
    records = load_records(data, embedder, embeddings, encoder, categories, prices)
    if 1 < len(records.queries) < FEW:
        warn(
            f"{data}: all records are of {len(records.queries)} queries: too few to tell what is learned from chance; "
            "some hundred are usual"
        )
    training = training_data(records, settings, one_hot=features == Features.both)
    if training.categories is not None:
        accuracy = f"{training.categories.accuracy:.1%} of the questions, in cross-validation"
        emit(f"a category classifier is right on {accuracy}: requests need no category")
    names = [str(name) for name in algorithm or TRAINED]
    if output.is_file and len(set(names)) > 1:
        raise ModelpickError(f"{output.path}: expected a folder for {len(set(names))} models, got the name of a file")
    if AUTO in names:
        _check_taken(settings, [*TABLE.values()], tune=True)
        rules, training, tune = _chosen(training, format_version, allow_constant)
        trained = [rules]
    else:
        trained = [trainer(name, format_version, semantics if name == "knn" else Semantics.native) for name in names]
        _check_taken(settings, trained, tune)
    for rules in trained:
        check_distinct(output.file(file_name(rules)), filter(None, (data, embeddings, categories, prices)))
    _write(training, trained, output, tune, digests, all_must=bool(algorithm))


def _check_taken(settings: Settings, trained: list[AnyRow], tune: bool) -> None:
    """Refuse a setting that none of the algorithms reads, and weights of outcomes where nothing is weighed."""
    taken = {"seed"}.union(*(rules.settings for rules in trained))
    taken |= {"cost_weight", "seconds_weight"} if tune else set()
    taken |= {"seconds_weight"} if any(rules.predicts for rules in trained) else set()
    for name, value in settings._asdict().items():
        if value != getattr(DEFAULTS, name) and name not in taken:
            able = [f"{rules.algorithm} {rules.semantics}" for rules in TABLE.values() if name in rules.settings]
            expected = f"an algorithm that takes it, {', '.join(able)}" if able else "--tune or --algorithm auto"
            raise ModelpickError(f"--{name.replace('_', '-')}: expected {expected}")


def _write(
    training: Training, trained: list[AnyRow], output: Output, tune: bool, digests: bool, all_must: bool
) -> None:
    """Train, then write. Unless all must be, what cannot be trained on these records is left out with a warning."""
    table = Table("algorithm", "semantics", "file", "MB", "seconds")
    documents: dict[Path, bytes] = {}
    for rules in trained:
        start = time.perf_counter()
        try:
            settings = _tuned(training, rules) if tune else training.settings
            with progress(f"Training {rules.algorithm}", "queries") as done:
                fields = train_selector(training._replace(settings=settings), rules, digests=digests)
                document = msgspec.json.encode(fields)
                done(len(training.features), len(training.features))
        except DocumentError as refusal:
            if all_must:
                raise
            warn(f"left out: {refusal}")
            continue
        target = output.file(file_name(rules))
        documents[target] = document
        seconds = f"{time.perf_counter() - start:.2f}"
        table.add_row(rules.algorithm, rules.semantics, str(target), f"{len(document) / 1e6:,.2f}", seconds)
    for target, document in documents.items():
        write_atomically(target, document)
    show(table)


def _tuned(training: Training, rules: AnyRow) -> Settings:
    """Tune, show the table, and return the best settings."""
    with progress(f"Tuning {rules.algorithm}", "trials") as done:
        found = tune_settings(training, rules, done)
    tried = [name for name in Settings._fields if len({getattr(one.settings, name) for one in found}) > 1]
    table = Table(*tried, "score", "quality", title=f"{rules.algorithm} {rules.semantics}, on held-out queries")
    for one in found:
        table.add_row(*(_setting(getattr(one.settings, name)) for name in tried), *_shown(one))
    show(table)
    return best_settings(found)


def _setting(value: float | tuple[int, ...]) -> str:
    return _joined(value) if isinstance(value, tuple) else f"{value:g}"


def _shown(one: Tried) -> tuple[str, str]:
    return f"{one.score:.4f}{' *' if one.is_best else ''}", f"{one.quality:.4f}"


def _chosen(training: Training, format_version: int, allow_constant: bool) -> tuple[AnyRow, Training, bool]:
    """Compare all algorithms: what to train, on what, and whether to tune it.

    The best, or if none is surely better than the best single model and that is allowed, one that always picks it.
    """
    candidates = [
        trainer(name, format_version, Semantics.queries if name == "knn" else Semantics.native) for name in TRAINED
    ]
    with progress("Comparing algorithms", "tuned") as done:
        compared = compare(training, candidates, done)
    table = Table("algorithm", "semantics", "quality", "utility", "over the best single model")
    for one in compared:
        means = (f"{mean:.4f}" for mean in (one.quality, one.utility))
        table.add_row(one.rules.algorithm, one.rules.semantics, *means, signed(one.over_single))
    show(table)
    best, single = compared[0], best_single(utilities(judged(training).singles.outcomes(), objective_of(training)))
    always = f"always calling the best single model, {training.benchmark.model_names[single]}"
    if best.over_single.low > 0:
        emit(f"{best.rules.algorithm} is surely better than {always}")
    elif not allow_constant:
        emit(f"none is surely better than {always}; --allow-constant writes that instead")
    else:
        emit(f"none is surely better than {always}, which is written")
        constant = training.only(single)
        return trainer("kmeans", format_version), constant._replace(settings=DEFAULTS._replace(clusters=1)), False
    return best.rules, training, True
