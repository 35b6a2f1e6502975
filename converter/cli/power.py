"""The command that computes how many questions of a log show a gain: power."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from modelpick.runtime import Objective

from ..evaluation.power import EXPLORES, Needed, needed_questions
from ..evaluation.simulation import HARD, UNIFORM
from ..statistics.bootstrap import UNKNOWN
from .console import emit, plain, say, show
from .names import artifacts_in
from .options import WEIGHTS, Artifacts, AsJson, Data, RecordOptions, Seed, expanded
from .records import load_records


@expanded
def power(
    artifacts: Artifacts,
    data: Data,
    *,
    gain: Annotated[
        float, typer.Option(min=1e-9, help="The mean utility over the best single model's that is to be seen.")
    ] = 0.02,
    explore: Annotated[
        list[float],
        typer.Option(
            min=0, max=1, help="Probability with which the log holds another model than the pick; repeatable."
        ),
    ] = list(EXPLORES),  # noqa: B006 (typer copies it)
    keep: Annotated[list[float] | None, typer.Option(min=0, help="Picks at this operating point too.")] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help=f"The policy that writes the log: {UNIFORM}; {HARD}; a model's name; or an artifact, a file that ends "
            "in .onnx. By default each artifact itself."
        ),
    ] = None,
    reading: RecordOptions,
    objective: Annotated[Objective, WEIGHTS],
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Say how many questions of a log show a gain.

    The gain is over the best single model; the number depends on how much the log's policy explores. Four of five
    logs of this length show the gain: its 95 % interval lies above 0. The records, complete or a log, tell how much
    outcomes vary.
    """
    found = needed_questions(
        artifacts_in(artifacts),
        load_records(data, reading),
        gain=gain,
        explores=explore,
        logged_by=policy,
        seed=seed,
        objective=objective,
        keeps=keep or [],
    )
    if as_json:
        for one in found:
            emit(msgspec.json.encode(one).decode())
    else:
        _show(found)


def _show(found: Sequence[Needed]) -> None:
    """Print the number of questions of each policy by its exploration, and why some have none."""
    say(f"Questions of a log that show a gain of {found[0].gain:g} over always calling {found[0].baseline}:")
    by_policy: dict[str, list[Needed]] = {}
    for one in found:
        by_policy.setdefault(one.policy, []).append(one)
    table = plain("exploration", *by_policy)
    for rows in zip(*by_policy.values(), strict=True):
        table.add_row(f"{100 * rows[0].explore:.3g} %", *(one.about for one in rows))
    show(table)
    for policy, reason in dict.fromkeys((one.policy, one.reason) for one in found if one.reason):
        say(f"{UNKNOWN} {policy}: {reason}")
