"""The `modelpick` command: convert, select, inspect."""

import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelpick.runtime import FeatureError, ModelpickError, Selector

from .artifact import convert as convert_file

app = typer.Typer(
    help="Convert trained model selectors to ONNX, and pick language models with them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Artifact = Annotated[Path, typer.Argument(help="An artifact written by `modelpick convert`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]


@app.command()
def convert(
    sources: Annotated[list[Path], typer.Argument(help="JSON models, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the artifacts.")],
) -> None:
    """Convert JSON models to artifacts, one .onnx file each."""
    columns = ("source", "algorithm", "rows", "width", "models", "JSON", "artifact", "seconds")
    table = Table(*columns)
    console = Console(stderr=True)
    targets = _targets(sources, output)
    for target, source in track(
        targets.items(), "Converting", console=console, transient=True, disable=not console.is_terminal
    ):
        start = time.perf_counter()
        convert_file(source, target)
        seconds = time.perf_counter() - start
        with Selector.load(target) as selector:
            table.add_row(
                source.name,
                selector.algorithm,
                f"{selector.metadata.rows:,}",
                f"{selector.n_features_in_:,}",
                str(len(selector.model_names)),
                _size(source),
                _size(target),
                f"{seconds:.2f}",
            )
    Console().print(table)


def _targets(sources: list[Path], output: Path) -> dict[Path, Path]:
    """Map artifact -> source, folders expanded; two sources of one artifact are refused."""
    targets: dict[Path, Path] = {}
    for source in sources:
        files = sorted(source.glob("*.json")) if source.is_dir() else [source]
        if not files:
            raise ModelpickError(f"{source}: expected at least one .json file in this folder")
        for file in files:
            target = output / f"{file.stem}.onnx"
            if target in targets and targets[target].resolve() != file.resolve():
                raise ModelpickError(f"{file}: expected another name: {targets[target]} makes {target} too")
            targets[target] = file
    return targets


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.2f} MB"


@app.command()
def select(
    artifact: Artifact,
    queries: Annotated[
        Path | None, typer.Argument(help="File of queries, a JSON array each; standard input if absent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pick the model for each query: a JSON array of numbers, one a line, or an array of such arrays."""
    with Selector.load(artifact) as selector:
        for place, query in _queries(queries):
            try:
                found = selector.explain(query) if as_json else selector.select(query)
            except FeatureError as error:
                raise FeatureError(f"{place}: {error}") from None
            print(json.dumps(found, ensure_ascii=False) if as_json else found)


def _queries(path: Path | None) -> Iterator[tuple[str, Any]]:
    name = "<stdin>" if path is None else str(path)
    try:
        data = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except OSError as cause:
        raise FeatureError(f"{name}: cannot be read: {cause.strerror}") from None
    try:
        values = [(name, msgspec.json.decode(data))]
    except msgspec.DecodeError:
        values = []
        for number, line in enumerate(data.splitlines(), 1):
            place = f"{name}:{number}"
            try:
                if line.strip():
                    values.append((place, msgspec.json.decode(line)))
            except msgspec.DecodeError as error:
                raise FeatureError(f"{place}: expected a JSON array of numbers: {error}") from None
    if not values:
        raise FeatureError(f"{name}: expected at least one query")
    for place, value in values:
        if isinstance(value, list) and value and all(isinstance(query, list) for query in value):
            yield from ((f"{place}: $[{i}]", query) for i, query in enumerate(value))
        else:
            yield place, value


@app.command()
def inspect(artifact: Artifact, as_json: Json = False) -> None:
    """Show what an artifact holds."""
    with Selector.load(artifact) as selector:
        entries = dict(selector.metadata.raw)
    if as_json:
        print(json.dumps(entries, ensure_ascii=False))
        return
    table = Table("entry", "value")
    for key, value in entries.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    Console().print(table)


def main() -> None:
    """Run the command: exit 0, or 2 with one line on standard error for bad input."""
    np.seterr(all="ignore")
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        app()
    except ModelpickError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
