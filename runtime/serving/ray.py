"""Selections over a Ray dataset; needs ray, the extra ``ray``."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.data import ActorPoolStrategy, Dataset

from ..selector import Selector

BATCH = 4_096


class _Worker:
    """Holds a selector for as long as its process lives."""

    def __init__(self, artifact: bytes, column: str, output: str) -> None:
        self._selector = Selector.load(artifact)
        self._column, self._output = column, output

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        features = batch[self._column]
        if features.dtype == object:
            features = np.array(features.tolist())
        return {**batch, self._output: np.array(self._selector.select_batch(features), dtype=object)}


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

    Lazy, as Ray's datasets are. What a killed worker had not finished is computed again by another.

    Parameters
    ----------
    dataset
        Rows with a column of features, each of shape (d,).
    artifact
        Path or bytes; every worker gets the bytes.
    column, output
        Names of the column of features, and of the new one with the picks.
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
