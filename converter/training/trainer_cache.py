"""The cache of embeddings that the original's training code keeps: ``.npz`` of one pickled dictionary, query -> vector.

No code of the file runs: the calls of a pickle are read as data if they make strings, a dictionary and arrays of
numbers; anything else is refused.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from modelpick.runtime.artifact.seal import open_file

from ..files.text import check_unpacked

_HEADERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
# Name of the only array in the file.
ARRAY = "embeddings"


class _Array:
    """An array as a pickle describes it."""

    def __init__(self, *arguments: Any) -> None:
        self.values: Any = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Type", bool, Any]) -> None:
        _, shape, kind, _, content = state
        if kind.code == "O8" and shape == ():
            (self.values,) = content
        elif kind.code in ("f2", "f4", "f8") and len(shape) == 1:
            self.values = np.frombuffer(content, np.dtype(kind.order + kind.code))
            if self.values.shape != shape:
                raise ValueError("an array of another length")
        else:
            raise ValueError("an array that is no vector")


class _Type:
    """The type of an array's values as a pickle describes it."""

    def __init__(self, code: str, *arguments: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


# Names that numpy writes for arrays -> the classes that read them.
_KNOWN = {"_reconstruct": _Array, "ndarray": _Array, "dtype": _Type}


class _Data(pickle.Unpickler):
    """An unpickler that only knows these names."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] != "numpy" or name not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _KNOWN[name]


def open_array(archive: zipfile.ZipFile, name: str) -> tuple[io.BytesIO, tuple[tuple[int, ...], bool, np.dtype[Any]]]:
    """Open an array of ``.npz`` without reading it; returns it, its shape, whether it is Fortran-ordered, and its type.

    Raises
    ------
    KeyError, ValueError
        When there is no array of this name, or its header is not one that numpy writes for numbers.
    """
    info = archive.getinfo(f"{name}.npy")
    check_unpacked(info.file_size, info.compress_size)
    file = io.BytesIO(archive.read(info))
    return file, _HEADERS[read_magic(file)](file)


def read_cache(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Read the embeddings of queries, one vector each; None where the file has another layout.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    try:
        with open_file(path) as opened, zipfile.ZipFile(opened) as archive:
            if archive.namelist() != [f"{ARRAY}.npy"]:
                return None
            file, (shape, _, kind) = open_array(archive, ARRAY)
        if shape != () or not kind.hasobject:
            return None
        found = _Data(file).load().values
    except OSError:
        raise
    except Exception:  # a malformed file may fail in any way
        return None
    if not isinstance(found, dict) or not all(isinstance(query, str) for query in found):
        return None
    vectors: dict[str, Any] = {query: getattr(vector, "values", None) for query, vector in found.items()}
    return vectors if all(isinstance(vector, np.ndarray) for vector in vectors.values()) else None
