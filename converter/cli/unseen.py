"""What `evaluate` measures of tasks and models that training did not see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import ModelpickError

from ..evaluation.few import few_answers
from ..evaluation.leave_out import FAR, leave_out
from ..evaluation.retraining import recipe_of
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import in_percent, percent, signed, written
from ..training.records import values_of
from .console import emit, progress, show
from .select import options_named

CATEGORY = "category"


class Unseen(NamedTuple):
    """Which tasks or models training does not see."""

    leave_out: Annotated[
        str | None,
        typer.Option(
            metavar="category|FIELD",
            help="Leave each category out of training in turn, or each value of another field of the records, such as "
            "set, and pick for its questions.",
        ),
    ] = None
    far: Annotated[
        float | None,
        typer.Option(help=f"With --leave-out, the share from which on a question is far, and gets the default: {FAR}."),
    ] = None
    few: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Hold out a third of the models in turn, add them by this number of answers each, as `modelpick add` "
            "does, and pick for held-out questions; repeatable.",
        ),
    ] = None

    @property
    def is_asked(self) -> bool:
        """Whether selectors are trained, instead of artifacts measured."""
        return self.leave_out is not None or self.few is not None

    def check(self) -> None:
        """Raise a `ModelpickError` where one option needs another one, or its absence."""
        if self.leave_out is not None and self.few is not None:
            raise ModelpickError("--few: expected it without --leave-out")
        if self.leave_out is None and self.far is not None:
            raise ModelpickError("--far: expected it with --leave-out")


def show_unseen(
    artifacts: Sequence[Path], data: Path, records: Benchmark, unseen: Unseen, seed: int, *, as_json: bool
) -> None:
    """Train selectors as each artifact was, without some tasks or models, and print what their picks are worth."""
    if unseen.few is None:
        show_left_out(artifacts, data, records, unseen, seed, as_json=as_json)
    else:
        show_few(artifacts, records, unseen.few, seed, as_json=as_json)


def show_few(artifacts: Sequence[Path], records: Benchmark, few: Sequence[int], seed: int, *, as_json: bool) -> None:
    """Hold out models, for each artifact, and print what a few answers of them are worth."""
    found = {}
    for artifact in artifacts:
        with progress(f"{artifact.stem}: holding models out", "selectors") as done:
            found[artifact.stem] = few_answers(recipe_of(artifact, records), records, few, seed=seed, done=done)
    if as_json:
        emit(msgspec.json.encode(found).decode())
        return
    for name, one in found.items():
        title = f"{name}: a third of the models is new, {one.queries:,} held-out questions"
        table = Table("answers of each new model", "quality", "of training on all answers", "gain", title=title)
        table.add_row("none: they are not picked", written(one.without, ".4f"), "", "")
        for row in one.few:
            table.add_row(f"{row.answers:,}", written(row.quality, ".4f"), percent(row.kept), signed(row.gain))
        table.add_row("all", written(one.all, ".4f"), "", "")
        table.add_row("the best single model", written(one.single, ".4f"), "", "")
        show(table)


def show_left_out(
    artifacts: Sequence[Path], data: Path, records: Benchmark, unseen: Unseen, seed: int, *, as_json: bool
) -> None:
    """Leave out each group of questions, for each artifact, and print what its picks are worth."""
    field, far = unseen.leave_out or CATEGORY, FAR if unseen.far is None else unseen.far
    groups = records.categories if field == CATEGORY else values_of(data, field, records)
    found = {}
    for artifact in artifacts:
        recipe = recipe_of(artifact, records)
        with options_named(), progress(f"{artifact.stem}: leaving out", "groups") as done:
            found[artifact.stem] = leave_out(recipe, records, groups, far=far, seed=seed, done=done)
    if as_json:
        emit(msgspec.json.encode(found).decode())
        return
    for name, parts in found.items():
        columns = (field, "questions", "default", "its quality", "gain", "far", f"gain, far={far:g}")
        table = Table(*columns, title=f"{name}, trained without each {field}: gain over its default model")
        for one in parts:
            gains = (signed(one.gain), in_percent(one.far), signed(one.gain_with_far))
            table.add_row(one.group, f"{one.queries:,}", one.default, written(one.quality, ".3f"), *gains)
        show(table)
