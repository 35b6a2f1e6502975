"""What a check reads a form with: rows that were left as JSON become matrices, and what is odd is noted."""

import numpy as np
import numpy.typing as npt
from msgspec import Raw

from ..files.io import Contents, give_back
from .decoding import IgnoredSize, decode, refuse

Matrix = npt.NDArray[np.float64]
# Text of rows is given back in so many parts.
PARTS = 256


class Reader:
    """Reads what a form left as JSON, and notes what is odd.

    Parameters
    ----------
    text
        The JSON of which all `msgspec.Raw` of the form are views.
    """

    def __init__(self, text: Contents) -> None:
        self.text = text
        self.odd: list[tuple[str, str]] = []
        """Places in the document, and what is odd about them."""

    def warn(self, path: str, message: str) -> None:
        """Note a place where something is odd."""
        self.odd.append((path, message))

    def ignored_size(self, declared: IgnoredSize, counted: int | list[int], path: str, of: str) -> None:
        """Note a size that a file declares and the original ignores, if it is not what was counted."""
        if isinstance(declared, int | list) and declared != counted:
            self.warn(path, f"{declared!r} is ignored: expected {counted}, {of}")

    def matrix(self, rows: list[Raw], path: str, field: str = "") -> Matrix:
        """Decode rows, float64, shape (n, d), and give their text back: they can be read once.

        One by one: a list of lists would take four times the memory of the array.

        Parameters
        ----------
        rows
            JSON arrays of numbers, in the order of the text.
        path, field
            Place of the rows, and of the array within each.
        """
        decoded = np.empty((0, 0))
        part = -(-len(rows) // PARTS)
        for index, row in enumerate(rows):
            place = f"{path}[{index}]{field}"
            values = decode(row, list[float], place)
            if index == 0:
                if not values:
                    refuse(place, "expected at least one number")
                decoded = np.empty((len(rows), len(values)))
            if len(values) != decoded.shape[1]:
                refuse(place, f"expected {decoded.shape[1]} numbers, got {len(values)}")
            decoded[index] = values
            if (index + 1) % part == 0:
                self._give_back(rows[index + 1 - part], row)
        if not rows:
            refuse(path, "expected at least one row")
        return decoded

    def _give_back(self, first: Raw, last: Raw) -> None:
        """Give back the text from one part of it to another."""
        begin = _address(self.text)
        give_back(self.text, _address(first) - begin, _address(last) + memoryview(last).nbytes - begin)


def _address(data: Contents | Raw) -> int:
    address: int = np.frombuffer(data, np.uint8).ctypes.data
    return address
