"""Distinct labels and rows, counted by first appearance."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
Rows = npt.NDArray[np.int64]


def name_array(names: Sequence[str]) -> Names:
    """Return an array of Python strings, shape (n,)."""
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


def indexed(labels: Sequence[str]) -> tuple[Names, Rows]:
    """Return the distinct labels in order of their first row, and the index of each row's label, shape (n,)."""
    names = list(dict.fromkeys(labels))
    index = {name: i for i, name in enumerate(names)}
    return name_array(names), np.array([index[name] for name in labels], dtype=np.int64)


def row_groups(rows: Matrix) -> Rows:
    """Return each row's number among the distinct rows, counted by first appearance: int64, shape (n,)."""
    first: dict[bytes, int] = {}
    # Adding 0.0 gives -0.0 and 0.0, which are equal, the same bytes. Digests of rows take less memory than the rows.
    groups = [first.setdefault(sha256(row + 0.0).digest(), len(first)) for row in np.asarray(rows)]
    return np.array(groups, dtype=np.int64)


def taken(rows: Matrix, numbers: Rows) -> Matrix:
    """Take rows, each at most once and in ascending order; all rows are taken without a copy."""
    return rows if len(numbers) == len(rows) else rows[numbers]
