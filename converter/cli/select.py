"""The command that picks: select."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from modelpick.runtime import FeatureError, ModelpickError, Objective, Selector
from modelpick.runtime.deciding import Exploring
from modelpick.runtime.request import Given
from modelpick.runtime.text import TextSelector
from modelpick.runtime.text.messages import Which, text_of

from ..files.bulk import select_file
from ..files.io import STDIN
from ..files.queries import FEATURES, Query, ask, keyed, parse_prompt, parse_query, read_queries
from .console import emit, note, progress, wrote
from .names import looks_like_a_path, to_read, to_write
from .options import WEIGHTS, Artifact, AsJson, EncoderFile, expanded

# Keywords of the library -> the options that set them.
OPTIONS = {
    "objective": ", ".join(f"--{weight.replace('_', '-')}" for weight in WEIGHTS),
    "keep": "--keep",
    "at_least": "--at-least",
    "far": "--far",
    "evidence": "--evidence",
    "explore": "--explore",
    "margin": "--margin",
}
EXPLORING: dict[str, Any] = {
    "explore": Annotated[float, typer.Option(help="With --decide, probability of drawing another candidate.")],
    "margin": Annotated[
        float | None,
        typer.Option(help="With --decide, draw only candidates of at most this much less predicted utility."),
    ],
    "key": Annotated[
        str | None, typer.Option(help="With --decide, name of the field of queries by whose hash is drawn.")
    ],
}


@expanded
def select(
    artifact: Artifact,
    queries: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERIES", help="File of queries, or with --encoder a prompt; - or nothing means standard input."
        ),
    ] = None,
    encoder: EncoderFile = None,
    prompt: Annotated[
        str | None, typer.Option(help="With --encoder, a prompt, even one that looks like the name of a file.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Category of the prompt, where the artifact needs one.")] = None,
    message: Annotated[
        Which,
        typer.Option(help="With --encoder, which messages of a conversation are the prompt.", case_sensitive=False),
    ] = "last_user",
    as_json: AsJson = False,
    source: Annotated[
        Path | None,
        typer.Option("--input", help="Large file of queries: .npy, .jsonl, .jsonl.gz or .parquet.", parser=to_read),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Picks for --input, .jsonl or .parquet; bad rows have an error.",
            parser=to_write(".jsonl", ".parquet"),
        ),
    ] = None,
    column: Annotated[str, typer.Option(help="Features in --input; else embedding and category.")] = FEATURES,
    keep: Annotated[
        float | None,
        typer.Option(help="Pick by the cheapest operating point that promises this share of the best model's quality."),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(help="Pick the cheapest model whose predicted quality reaches this number, else the best."),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(
            help="Pick the default model where a query is farther from the training questions than this share of them "
            "is from one another, such as 0.99."
        ),
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Write decisions: each pick with its propensity, JSON lines or --output.")
    ] = False,
    *,
    objective: Annotated[Objective, WEIGHTS],
    exploring: Annotated[Exploring, EXPLORING],
    evidence: Annotated[
        float | None,
        typer.Option(help="Standard errors by which a model must exceed the default model, for KNN by queries."),
    ] = None,
) -> None:
    """Pick the model for each query.

    Picks are printed one a line, or in an array. A query is a JSON array of numbers, or an object with features, or
    with embedding and category; with --encoder, a string, or an object with query or messages, and perhaps
    category. With --input and --output, a file of any size is answered; when run again, the command continues where
    it was interrupted. Exit code 1 where rows were bad.

    Decisions and their later outcomes are joined by `modelpick records DECISIONS --outcomes OUTCOMES`.
    """
    if not decide and exploring != Exploring():
        raise ModelpickError("--explore, --margin and --key: expected them with --decide")
    weighed = None if objective == Objective() else objective
    given = Given(objective=weighed, keep=keep, at_least=at_least, far=far, evidence=evidence)
    if source is not None and target is not None:
        with options_named(), progress("Picking", "rows") as done:
            found = select_file(
                artifact,
                source,
                target,
                column=column,
                done=done,
                given=given,
                encoder=encoder,
                message=message,
                exploring=exploring if decide else None,
            )
        note(f"{found.rows} rows, {found.bad} bad, {found.resumed} from an earlier run")
        wrote(target)
        sys.exit(1 if found.bad else 0)
    if source is not None or target is not None:
        raise ModelpickError("expected --input and --output together")
    with _loaded(artifact, encoder, message, given) as selector:
        for query in _queries(queries, prompt, category, selector, exploring.key):
            if decide:
                emit(json.dumps(_decided(selector, exploring, query, message), ensure_ascii=False))
            elif as_json:
                emit(json.dumps(ask(selector.explain, query), ensure_ascii=False))
            else:
                emit(ask(selector.select, query))


def _decided(selector: Selector | TextSelector, exploring: Exploring, query: Query, message: Which) -> dict[str, Any]:
    with options_named():
        selector.check_exploring(query.key, exploring.explore, exploring.margin)
    decide = partial(selector.decide, key=query.key, explore=exploring.explore, margin=exploring.margin)
    prompt = {} if query.prompt is None else {"query": text_of(query.prompt, message)}
    return prompt | ask(decide, query).as_dict()


def _loaded(artifact: Path, encoder: Path | None, message: Which, given: Given) -> Selector | TextSelector:
    with options_named():
        if encoder is None:
            return Selector.load(artifact, **given)
        return TextSelector.load(artifact, encoder, message=message, **given)


@contextmanager
def options_named() -> Iterator[None]:
    """Replace the keywords of the library in an error by the options of the command."""
    try:
        yield
    except FeatureError as error:
        keyword, _, rest = str(error).partition(": ")
        if keyword not in OPTIONS:
            raise
        raise FeatureError(f"{OPTIONS[keyword]}: {rest}") from None


def _queries(
    given: str | None,
    prompt: str | None,
    category: str | None,
    selector: Selector | TextSelector,
    key: str | None,
) -> Iterable[Query]:
    """Read a file or standard input, or take a prompt."""
    is_text = isinstance(selector, TextSelector)
    if prompt is None and given is not None and given != STDIN and not _exists(given):
        if looks_like_a_path(given):
            raise ModelpickError(f"{given}: cannot be read: there is no such file; if it is a prompt, say --prompt")
        prompt, given = given, None
    if prompt is not None and not is_text:
        wanted = selector.metadata.encoder
        raise ModelpickError(
            f"{prompt:.60}: cannot be read: No such file or directory; prompts need --encoder, "
            + (f"for this artifact {wanted}" if wanted else "and an artifact that was trained with one")
        )
    if prompt is None:
        if category is not None:
            raise ModelpickError("--category: expected it with one prompt; files of queries hold their own")
        parse = parse_prompt if is_text else parse_query
        return read_queries(None if given is None else to_read(given), keyed(parse, key) if key else parse)
    if key is not None:
        raise ModelpickError("--key: expected it with a file of queries, whose field it names")
    if given is not None:
        raise ModelpickError("--prompt: expected it without a file of queries")
    if category is not None and isinstance(selector, TextSelector) and not selector.takes_category:
        raise ModelpickError("--category: expected none: this artifact takes no category")
    return [Query("the prompt", prompt=prompt, category=category)]


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long a name, for one, or NUL
        return False
