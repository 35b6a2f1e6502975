"""The reader of a form: rows that were left as JSON become matrices, and oddities are noted."""

import numpy as np
import numpy.typing as npt
from msgspec import Raw

from ..files.io import Contents, give_back
from .decoding import IgnoredSize, decode, refuse

Matrix = npt.NDArray[np.float64]
# The number of parts in which the text of rows is given back.
PARTS = 256


class Reader:
    """Reads the fields that a form left as JSON, and notes oddities.

    Parameters
    ----------
    text
        The JSON; all `msgspec.Raw` of the form are views of it.
    """

    def __init__(self, text: Contents) -> None:
        self.text = text
        self.odd: list[tuple[str, str]] = []
        """Places in the document, each with its oddity."""

    def warn(self, path: str, message: str) -> None:
        """Note an oddity and its place."""
        self.odd.append((path, message))

    def ignored_size(self, declared: IgnoredSize, counted: int | list[int], path: str, of: str) -> None:
        """Note a declared size, which the original ignores, where it differs from the counted one."""
        if isinstance(declared, int | list) and declared != counted:
            self.warn(path, f"{declared!r} is ignored: expected {counted}, {of}")

    def matrix(self, rows: list[Raw], path: str, field: str = "") -> Matrix:
        """Decode rows, float64, shape (n, d), and give their text back; therefore rows can be read only once.

        Rows are decoded one by one: a list of lists would take four times the memory of the array.

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
        """Give back the memory of the text between two of its parts."""
        begin = _address(self.text)
        give_back(self.text, _address(first) - begin, _address(last) + memoryview(last).nbytes - begin)


def _address(data: Contents | Raw) -> int:
    address: int = np.frombuffer(data, np.uint8).ctypes.data
    return address
