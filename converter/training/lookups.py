"""What users give where records lack it: the categories of tasks, and the prices of tokens. Both are JSON."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from modelpick.runtime import DocumentError
from modelpick.runtime.features import CATEGORIES

from ..files.io import read_bytes
from ..files.text import not_utf8
from ..formats.decoding import Refusal, decode

TOKENS_PRICED = 1e6
_Price = Annotated[float, Meta(ge=0)]
_T = TypeVar("_T")


class Price(Struct):
    """What a million tokens of a model cost."""

    input_price: _Price
    output_price: _Price

    def cost(self, read: float | None, written: float | None, total: float | None) -> float | None:
        """Return the cost of an answer by its numbers of tokens, or None where they do not tell."""
        if read is not None and written is not None:
            return (read * self.input_price + written * self.output_price) / TOKENS_PRICED
        if total is not None and self.input_price == self.output_price:
            return total * self.input_price / TOKENS_PRICED
        return None


def read_categories(path: Path) -> dict[str, str]:
    """Read an object whose fields are tasks, and whose values are their categories.

    Raises
    ------
    DocumentError
        When it is none, or names a category that is unknown.
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
        When it is none.
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
