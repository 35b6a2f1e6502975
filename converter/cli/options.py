"""Arguments and options that several commands share, and commands that take groups of them."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_type_hints

import typer

from modelpick.runtime.decision.outcomes import PRICES

from .names import to_read, to_write

Artifact = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", help="An artifact written by `modelpick convert`.", parser=to_read)
]
Artifacts = Annotated[
    list[Path], typer.Argument(metavar="ARTIFACTS", help="Artifacts, or folders of them.", parser=to_read)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]
Categories = Annotated[
    Path | None,
    typer.Option(help="JSON: an object of tasks, task_name in the records, and the category of each.", parser=to_read),
]
Data = Annotated[
    Path,
    typer.Option(
        help="Benchmark records: JSON lines or an array, CSV, gzipped or not, or Parquet; or a folder of such files.",
        parser=to_read,
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        help="Embed queries without an embedding by this sentence-transformers model or folder, scaled to unit length; "
        "qwen3, gte, mpnet, e5, bge and minilm stand for the models that the original calls so."
    ),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Take the queries' embeddings from this .npz: embedding, a row each, and key, the first 16 hex digits of "
        "the SHA-1 of each query's UTF-8, or embedding_id of the records; from a .pt by embedding_id; or from the "
        "cache of the original's training code, embeddings_MODEL.npz.",
        parser=to_read,
    ),
]
EncoderFile = Annotated[
    Path | None,
    typer.Option("--encoder", help="Embed texts by this file, written by `modelpick encoder`.", parser=to_read),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        help="JSON: an object of models, and input_price and output_price of each for a million tokens: what answers "
        "cost by their input_tokens and output_tokens.",
        parser=to_read,
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write the verification as JSON here.", parser=to_write(".json"))
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is random.")]
# Keyword of an objective -> its option.
WEIGHTS: dict[str, Any] = {
    kind.weight: Annotated[float, typer.Option(min=0, help=f"Quality that one {kind.unit} is worth.")]
    for kind in PRICES
}
R = TypeVar("R")


class Reading(NamedTuple):
    """Where the values come from that rows of records lack."""

    embedder: Embedder = None
    embeddings: Embeddings = None
    encoder: EncoderFile = None
    categories: Categories = None
    prices: Prices = None

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [given for given in self if isinstance(given, Path)]

    def without_embeddings(self) -> "Reading":
        """Return the reading for records whose embeddings are not needed."""
        return Reading(categories=self.categories, prices=self.prices)


RecordOptions = Annotated[Reading, get_type_hints(Reading, include_extras=True)]


def expanded(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command an option for each field of its parameters that are ``Annotated[Class, {field: annotation}]``.

    Fields are annotated like parameters of a command. A field that is not listed is no option, and keeps its default.
    """
    parameters: list[Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}
    for parameter in signature(command).parameters.values():
        kind, options = (*get_args(parameter.annotation), None, None)[:2]
        if isinstance(options, dict):
            groups[parameter.name] = kind, options
            fields = signature(kind).parameters
            parameters += [
                Parameter(name, Parameter.KEYWORD_ONLY, default=fields[name].default, annotation=annotation)
                for name, annotation in options.items()
            ]
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY) if groups else parameter)
    flat = Signature(parameters)

    @wraps(command)
    def run(*args: Any, **given: Any) -> R:
        bound = flat.bind(*args, **given)
        bound.apply_defaults()
        values = bound.arguments
        made = {name: kind(**{field: values.pop(field) for field in fields}) for name, (kind, fields) in groups.items()}
        return command(**values, **made)

    run.__signature__ = flat  # type: ignore[attr-defined]
    return run
