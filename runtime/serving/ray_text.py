"""Selections for prompts in a Ray dataset; needs ray and tokenizers, the extras ``ray`` and ``text``."""

from pathlib import Path
from typing import Any

try:
    import pyarrow
    from ray.data import Dataset, TaskPoolStrategy
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.ray_text needs {missing.name}: pip install 'modelpick[ray,text]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..artifact.seal import read_sealed
from ..errors import FeatureError
from ..text import TextSelector
from ..text.messages import Which
from .ray import ERROR_SUFFIX, _Workers

BATCH = 512


class _Worker:
    """Holds a selector and its encoder for as long as its process lives."""

    def __init__(
        self, artifact: bytes, encoder: bytes, column: str, category: str | None, output: str, message: Which
    ) -> None:
        self._selector = TextSelector.load(artifact, encoder, message=message)
        self._column, self._category, self._output = column, category, output

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        prompts = batch.column(self._column).to_pylist()
        categories = batch.column(self._category).to_pylist() if self._category else [None] * len(prompts)
        picks: list[tuple[str | None, str | None]]
        try:
            picks = [(model, None) for model in self._selector.select_batch(prompts, categories)]
        except FeatureError:
            picks = [self._pick(*row) for row in zip(prompts, categories, strict=True)]
        for place, name in enumerate((self._output, self._output + ERROR_SUFFIX)):
            batch = batch.append_column(name, pyarrow.array([pick[place] for pick in picks], pyarrow.string()))
        return batch

    def _pick(self, prompt: Any, category: str | None) -> tuple[str | None, str | None]:
        try:
            return self._selector.select_batch([prompt], [category])[0], None
        except FeatureError as error:
            return None, str(error)


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
) -> Dataset:
    """Pick the model for each prompt of a Ray dataset, in processes that load both files once each.

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

    Raises
    ------
    ArtifactError
        When one of the files is refused, or they do not belong together.
    """
    contents = tuple(read_sealed(file)[1] for file in (artifact, encoder))
    TextSelector.load(artifact, encoder, message=message).close()
    return dataset.map_batches(
        _Workers(_Worker, contents, column, category, output, message),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=TaskPoolStrategy(size=workers),
        num_cpus=1,
    )
