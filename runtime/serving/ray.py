"""Selections over a Ray dataset; needs ray, the extra ``ray``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt

try:
    from ray.data import Dataset, TaskPoolStrategy
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.ray needs {missing.name}: pip install 'modelpick[ray]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..artifact.seal import read_sealed
from ..deciding import Decision, Exploring
from ..errors import FeatureError
from ..selector import Selector

if TYPE_CHECKING:
    from ..text import TextSelector  # which needs another extra

BATCH = 4_096
# The name of the column of errors is the name of the column of picks with this suffix.
ERROR_SUFFIX = "_error"
# Columns of decisions, see `modelpick.runtime.deciding.Decision.as_record`.
DECIDED = ("decision_id", "timestamp", "default", "propensity", "policy")
_B = TypeVar("_B")
# The worker that this process made last, and its key: a process of Ray runs task after task.
_made: tuple[str, Any] = "", None


class _Workers(Generic[_B]):
    """Answers batches by a worker that each process of Ray makes once from files.

    Batches are tasks, not calls of actors: Ray passes the arguments of an actor through its object store, where an
    actor that starts again may not find them. Files are passed as arrays, which processes of one machine read in place.

    Parameters
    ----------
    make
        Makes a function of batches from the bytes of files and other arguments.
    files
        Bytes of the files.
    arguments
        The other arguments.
    """

    def __init__(self, make: Callable[..., Callable[[_B], _B]], files: tuple[bytes, ...], *arguments: Any) -> None:
        self._make, self._arguments, self._key = make, arguments, uuid4().hex
        self._files = [np.frombuffer(file, np.uint8) for file in files]

    def __call__(self, batch: _B) -> _B:
        """Answer a batch."""
        global _made
        if _made[0] != self._key:
            _made = "", None  # never two at once
            _made = self._key, self._make(*(file.tobytes() for file in self._files), *self._arguments)
        answer: Callable[[_B], _B] = _made[1]
        return answer(batch)


def answers(
    selector: "Selector | TextSelector",
    exploring: Exploring | None,
    output: str,
    keys: list[Any] | None,
    *rows: Any,
    refuse: Callable[..., object] = lambda *_: None,
) -> dict[str, list[Any]]:
    """Return the new columns of a batch: picks and errors, and, where ``exploring`` is not None, parts of decisions.

    Parameters
    ----------
    selector
        Picks.
    exploring
        How to decide.
    output
        Name of the column of picks.
    keys
        Key of each row, if there are keys.
    rows
        Columns, which are arguments of `Selector.select_batch`.
    refuse
        Raises `FeatureError` for a row that a batch of it alone would refuse in words of a batch.
    """

    def many(part: slice) -> Sequence[str | Decision]:
        columns = [column[part] for column in rows]
        if exploring is None:
            return selector.select_batch(*columns)
        hashed = None if keys is None else [None if key is None else str(key) for key in keys[part]]
        return selector.decide_batch(*columns, keys=hashed, explore=exploring.explore, margin=exploring.margin)

    found: list[str | Decision | FeatureError] = []
    try:
        found += many(slice(None))
    except FeatureError:
        for place in range(len(rows[0])):
            try:
                refuse(*(column[place] for column in rows))
                found += many(slice(place, place + 1))
            except FeatureError as error:
                found.append(error)
    picks = [one.model if isinstance(one, Decision) else one for one in found]
    columns = {
        output: [pick if isinstance(pick, str) else None for pick in picks],
        output + ERROR_SUFFIX: [str(one) if isinstance(one, FeatureError) else None for one in found],
    }
    records = [one.as_record() if isinstance(one, Decision) else {} for one in found]
    return columns | {name: [record.get(name) for record in records] for name in DECIDED if exploring is not None}


def check(selector: "Selector | TextSelector", exploring: Exploring | None) -> None:
    """Check how to decide, before any row is answered; raises `FeatureError`."""
    if exploring is not None:
        selector.check_exploring(None, exploring.explore, exploring.margin)


class _Worker:
    """Holds a selector for as long as its process lives."""

    def __init__(self, artifact: bytes, column: str, output: str, exploring: Exploring | None) -> None:
        self._selector = Selector.load(artifact)
        self._column, self._output, self._exploring = column, output, exploring

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        rows = batch[self._column].tolist() if batch[self._column].dtype == object else batch[self._column]
        key = None if self._exploring is None else self._exploring.key
        keys = None if key is None else batch[key].tolist()
        columns = answers(self._selector, self._exploring, self._output, keys, rows, refuse=self._selector.checked)
        return {**batch, **{name: np.array(values, dtype=object) for name, values in columns.items()}}


def select_dataset(
    dataset: Dataset,
    artifact: str | Path | bytes,
    *,
    column: str = "features",
    output: str = "model",
    workers: int = 1,
    batch_size: int = BATCH,
    exploring: Exploring | None = None,
) -> Dataset:
    """Pick the model for each row of a Ray dataset, or decide on it, in processes that load the artifact once each.

    A row that cannot be answered, such as a row with NaN, gets null, and the reason in another column, which is null in
    all other rows.

    Lazy, as Ray's datasets are. Batches that a killed worker has not finished are computed again by another worker.

    Parameters
    ----------
    dataset
        Rows with a column of features, each of shape (d,).
    artifact
        Path or bytes; every process gets the bytes.
    column, output
        Names of the column of features, and of the new column with the picks. The column of errors is ``output`` with
        `ERROR_SUFFIX` behind it.
    workers
        Number of tasks at a time, of one CPU each.
    batch_size
        Rows in a call.
    exploring
        How to decide, see `Selector.decide`; the new columns `DECIDED` have what a record has of a decision. None to
        pick.

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    FeatureError
        When ``exploring`` is invalid.
    """
    _, data = read_sealed(artifact)
    with Selector.load(artifact) as selector:
        check(selector, exploring)
    return dataset.map_batches(
        _Workers(_Worker, (data,), column, output, exploring),
        batch_size=batch_size,
        batch_format="numpy",
        compute=TaskPoolStrategy(size=workers),
        num_cpus=1,
    )
