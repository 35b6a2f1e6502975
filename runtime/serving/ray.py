"""Selections over a Ray dataset; needs ray, the extra ``ray``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt

try:
    from ray.data import Dataset, TaskPoolStrategy
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.ray needs {missing.name}: pip install 'modelpick[ray]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..artifact.seal import read_sealed
from ..errors import FeatureError
from ..selector import Selector

BATCH = 4_096
# The name of the column of errors is the name of the column of picks with this suffix.
ERROR_SUFFIX = "_error"
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


class _Worker:
    """Holds a selector for as long as its process lives."""

    def __init__(self, artifact: bytes, column: str, output: str) -> None:
        self._selector = Selector.load(artifact)
        self._column, self._output = column, output

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        rows = batch[self._column].tolist() if batch[self._column].dtype == object else batch[self._column]
        picks: list[str | None]
        try:
            picks, errors = [*self._selector.select_batch(rows)], [""] * len(rows)
        except FeatureError:
            errors = [self._error(row) for row in rows]
            good = [row for row, error in zip(rows, errors, strict=True) if not error]
            picked = iter(self._selector.select_batch(good))
            picks = [None if error else next(picked) for error in errors]
        columns = {self._output: picks, self._output + ERROR_SUFFIX: [error or None for error in errors]}
        return {**batch, **{name: np.array(values, dtype=object) for name, values in columns.items()}}

    def _error(self, row: npt.ArrayLike | None) -> str:
        """Return the reason why a row cannot be answered, or None."""
        try:
            self._selector.checked(row)
        except FeatureError as error:
            return str(error)
        return ""


def select_dataset(
    dataset: Dataset,
    artifact: str | Path | bytes,
    *,
    column: str = "features",
    output: str = "model",
    workers: int = 1,
    batch_size: int = BATCH,
) -> Dataset:
    """Pick the model for each row of a Ray dataset, in processes that load the artifact once each.

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

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    """
    _, data = read_sealed(artifact)
    Selector.load(artifact).close()
    return dataset.map_batches(
        _Workers(_Worker, (data,), column, output),
        batch_size=batch_size,
        batch_format="numpy",
        compute=TaskPoolStrategy(size=workers),
        num_cpus=1,
    )
