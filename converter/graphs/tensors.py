"""Large tensors, which a graph only names: their values are written into the file directly, without a copy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

# Bytes of the largest protocol buffer, which an ONNX file is.
LARGEST_FILE = 2**31 - 1
# Number of bytes from which on a tensor is large.
LARGE = 2**16
# Number of bytes of rows that are processed at once.
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a tensor: an array, of any strides, and the type in which they are stored."""

    array: npt.NDArray[Any]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        """Return the size of the stored values, in bytes."""
        return self.array.size * self.dtype.itemsize

    def named(self, name: str) -> TensorProto:
        """Return the tensor without its values."""
        element_type = helper.np_dtype_to_tensor_dtype(self.dtype)
        return TensorProto(name=name, data_type=element_type, dims=self.array.shape)

    def stored(self) -> Iterator[memoryview]:
        """Yield the bytes of the stored values in chunks."""
        for rows in blocks(self.array):
            yield in_type(rows, self.dtype.newbyteorder("<")).data.cast("B")


def blocks(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of an array in chunks, in order."""
    count = max(1, BLOCK * len(array) // max(array.nbytes, 1))
    return (array[start : start + count] for start in range(0, len(array), count))


def in_type(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return values as a contiguous array of a type; infinity where they overflow."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype, order="C")


def are_single(values: npt.NDArray[np.float64]) -> bool:
    """Return whether float32 holds values exactly."""
    return all(np.array_equal(in_type(rows, np.float32), rows) for rows in blocks(values))
