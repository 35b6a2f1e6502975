"""The table of algorithms: (algorithm, semantics) -> how its artifacts are answered.

Twin of `modelpick.converter.algorithms`, which has the same six families and the same rows. No family imports another.
Modules that families share import none of them.
"""

from . import hiershrink, kernel_ridge, kmeans, knn, mlp, svm
from .base import Rows

TABLE: Rows = {**knn.ROWS, **kmeans.ROWS, **svm.ROWS, **mlp.ROWS, **hiershrink.ROWS, **kernel_ridge.ROWS}


def takers(name: str) -> str:
    """Name the algorithms that take a key of `modelpick.runtime.request.Given`, for messages."""
    able = [f"{algorithm} {semantics}" for (algorithm, semantics), row in TABLE.items() if name in row.takes]
    return f"{', '.join(able[:-1])} or {able[-1]}" if len(able) > 1 else able[0]
