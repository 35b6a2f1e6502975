"""Categories of tasks and prices of tokens, which a user gives for records that lack them. Both files are JSON."""

from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from modelpick.runtime import DocumentError
from modelpick.runtime.features import CATEGORIES

from ..files.io import read_bytes
from ..files.text import not_utf8
from ..formats.decoding import Refusal, decode, refuse
from .record import Record

TOKENS_PRICED = 1e6
_Price = Annotated[float, Meta(ge=0)]
_T = TypeVar("_T")


class Price(Struct):
    """Prices of a million tokens of a model."""

    input_price: _Price
    output_price: _Price

    def cost(self, read: float | None, written: float | None, total: float | None) -> float | None:
        """Return the cost of an answer by its numbers of tokens, or None where too few are known."""
        if read is not None and written is not None:
            return (read * self.input_price + written * self.output_price) / TOKENS_PRICED
        if total is not None and self.input_price == self.output_price:
            return total * self.input_price / TOKENS_PRICED
        return None


class Given(NamedTuple):
    """Categories and prices that are given with the records; a record's own category and cost take precedence."""

    categories: dict[str, str] | None
    """Categories of tasks."""
    prices: dict[str, Price] | None
    """Prices of models."""

    def complete(self, record: Record) -> Record:
        """Set the category and the cost of a record that lacks them.

        Raises
        ------
        Refusal
            When prices are given, but not for its model.
        """
        task = record.task_name
        if not record.category and task is not None:
            record.category = (self.categories or {}).get(task, task if task in CATEGORIES else None)
        if record.cost is None and self.prices is not None:
            if record.model_name not in self.prices:
                refuse("model_name", f"expected one of those with a price, got {record.model_name!r}")
            tokens = record.input_tokens, record.output_tokens, record.token_num
            record.cost = self.prices[record.model_name].cost(*tokens)
        return record


def read_given(categories: str | Path | None, prices: str | Path | None) -> Given:
    """Read the files that are given, see `read_categories` and `read_prices`."""
    return Given(
        None if categories is None else read_categories(Path(categories)),
        None if prices is None else read_prices(Path(prices)),
    )


def read_categories(path: Path) -> dict[str, str]:
    """Read an object whose fields are tasks, and whose values are their categories.

    Raises
    ------
    DocumentError
        When the file is not such an object, or names an unknown category.
    """
    tasks = _read(path, dict[str, str])
    for task, category in tasks.items():
        if category not in CATEGORIES:
            raise DocumentError(f"{path}: $.{task}: expected one of {', '.join(CATEGORIES)}, got {category!r}")
    return tasks


def read_prices(path: Path) -> dict[str, Price]:
    """Read an object whose fields are models, and whose values have ``input_price`` and ``output_price``.

    Prices are of a million tokens, as in LLMRouter's files of candidates; other fields are ignored.

    Raises
    ------
    DocumentError
        When the file is not such an object.
    """
    return _read(path, dict[str, Price])


def _read(path: Path, kind: type[_T]) -> _T:
    name, data = read_bytes(path, DocumentError)
    try:
        return decode(data, kind)
    except Refusal as refusal:
        raise DocumentError(f"{name}: {refusal}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise DocumentError(f"{name}: {not_utf8(data) or f'expected JSON: {cause}'}") from None
