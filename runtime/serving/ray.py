"""Selections over a Ray dataset; needs ray, the extra ``ray``."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from ray.data import ActorPoolStrategy, Dataset
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.ray needs {missing.name}: pip install 'modelpick[ray]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..errors import FeatureError
from ..selector import Selector

BATCH = 4_096
# What the column of errors is called, after that of the picks.
ERROR_SUFFIX = "_error"


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
        """Return what is wrong with a row, or nothing."""
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
    """Pick the model for each row of a Ray dataset, in a pool of actors that load the artifact once each.

    A row that cannot be answered, such as one with NaN, gets null, and the reason in another column, which is null for
    the others.

    Lazy, as Ray's datasets are. What a killed worker had not finished is computed again by another.

    Parameters
    ----------
    dataset
        Rows with a column of features, each of shape (d,).
    artifact
        Path or bytes; every worker gets the bytes.
    column, output
        Names of the column of features, and of the new one with the picks; that of the errors ends in `ERROR_SUFFIX`.
    workers
        Actors, of one processor each.
    batch_size
        Rows in a call.

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    """
    data = artifact if isinstance(artifact, bytes) else Path(artifact).read_bytes()
    Selector.load(artifact).close()
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(data, column, output),
        batch_size=batch_size,
        batch_format="numpy",
        compute=ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
