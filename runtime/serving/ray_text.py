"""Selections for prompts in a Ray dataset; needs ray and tokenizers, the extras ``ray`` and ``text``."""

from pathlib import Path

try:
    import pyarrow
    from ray.data import Dataset, TaskPoolStrategy
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.ray_text needs {missing.name}: pip install 'modelpick[ray,text]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..artifact.seal import read_sealed
from ..deciding import Exploring
from ..text import TextSelector
from ..text.messages import Which
from .ray import _Workers, answers, check

BATCH = 512


class _Worker:
    """Holds a selector and its encoder for as long as its process lives."""

    def __init__(
        self,
        artifact: bytes,
        encoder: bytes,
        column: str,
        category: str | None,
        output: str,
        message: Which,
        exploring: Exploring | None,
    ) -> None:
        self._selector = TextSelector.load(artifact, encoder, message=message)
        self._column, self._category, self._output, self._exploring = column, category, output, exploring

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        prompts = batch.column(self._column).to_pylist()
        categories = batch.column(self._category).to_pylist() if self._category else [None] * len(prompts)
        key = None if self._exploring is None else self._exploring.key
        keys = None if key is None else batch.column(key).to_pylist()
        for name, values in answers(self._selector, self._exploring, self._output, keys, prompts, categories).items():
            kind = pyarrow.float64() if name in ("timestamp", "propensity") else pyarrow.string()
            batch = batch.append_column(name, pyarrow.array(values, kind))
        return batch


def select_prompts(
    dataset: Dataset,
    artifact: str | Path | bytes,
    encoder: str | Path | bytes,
    *,
    column: str = "query",
    category: str | None = None,
    output: str = "model",
    message: Which = "last_user",
    workers: int = 1,
    batch_size: int = BATCH,
    exploring: Exploring | None = None,
) -> Dataset:
    """Pick the model for each prompt of a Ray dataset, or decide on it, in processes that load both files once each.

    Lazy, as Ray's datasets are. A row that cannot be answered gets null, and the reason in a second new column.

    Parameters
    ----------
    dataset
        Rows with a column of prompts, texts or messages.
    artifact, encoder
        Paths or bytes; every process gets the bytes.
    column, category
        Names of the columns of prompts, and of their categories where the artifact needs a category.
    output
        Name of the new column with the picks. The column of errors is ``output`` with `ERROR_SUFFIX` behind it.
    message
        See `TextSelector.load`.
    workers
        Number of tasks at a time, of one CPU each.
    batch_size
        Rows in a call.
    exploring
        See `modelpick.runtime.serving.ray.select_dataset`.

    Raises
    ------
    ArtifactError
        When one of the files is refused, or they do not belong together.
    FeatureError
        When ``exploring`` is invalid.
    """
    contents = tuple(read_sealed(file)[1] for file in (artifact, encoder))
    with TextSelector.load(artifact, encoder, message=message) as selector:
        check(selector, exploring)
    return dataset.map_batches(
        _Workers(_Worker, contents, column, category, output, message, exploring),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=TaskPoolStrategy(size=workers),
        num_cpus=1,
    )
