"""What `evaluate` measures of tasks that training did not see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.table import Table

from ..evaluation.leave_out import FAR, leave_out
from ..evaluation.retraining import recipe_of
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import signed, written
from ..training.records import values_of
from .console import emit, progress, show

CATEGORY = "category"


class Unseen(NamedTuple):
    """Which tasks training does not see."""

    leave_out: Annotated[
        str | None,
        typer.Option(
            metavar="category|FIELD",
            help="Leave each category out of training in turn, or each value of another field of the records, such as "
            "set, and pick for its questions.",
        ),
    ] = None
    far: Annotated[
        float, typer.Option(help="With --leave-out: the share from which on a question is far, and gets the default.")
    ] = FAR


def show_left_out(
    artifacts: Sequence[Path], data: Path, records: Benchmark, unseen: Unseen, seed: int, *, as_json: bool
) -> None:
    """Leave out each group of questions, for each artifact, and print what its picks are worth."""
    field = unseen.leave_out or CATEGORY
    groups = records.categories if field == CATEGORY else values_of(data, field, records)
    found = {}
    for artifact in artifacts:
        recipe = recipe_of(artifact, records)
        with progress(f"{artifact.stem}: leaving out", "groups") as done:
            found[artifact.stem] = leave_out(recipe, records, groups, far=unseen.far, seed=seed, done=done)
    if as_json:
        emit(msgspec.json.encode(found).decode())
        return
    for name, parts in found.items():
        columns = (field, "questions", "default", "its quality", "gain", "far", f"gain, far={unseen.far:g}")
        table = Table(*columns, title=f"{name}, trained without each {field}: gain over its default model")
        for one in parts:
            gains = (signed(one.gain), f"{one.far:.1%}", signed(one.gain_with_far))
            table.add_row(one.group, f"{one.queries:,}", one.default, written(one.quality, ".3f"), *gains)
        show(table)
