"""What the tables of an artifact must be for the runtime to read them: shapes that agree, and indices of what there is.

Lengths have names. Some the metadata say, the others the first table that has them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from ..schema import Metric, Stored, Table
from .onnx_reader import Tensor
from .protobuf import MalformedError

_FLOATS, _SINGLES, _DOUBLES, _INTEGERS = ("<f4", "<f8"), ("<f4",), ("<f8",), ("<i8",)


class _Spec(NamedTuple):
    types: tuple[str, ...]
    shape: tuple[str | int, ...]
    least: float | None = None
    below: str | None = None
    """Length that all values are less than."""
    needed: bool = True


def _optional(specs: Mapping[str, _Spec]) -> dict[str, _Spec]:
    return {name: spec._replace(needed=False) for name, spec in specs.items()}


_COUNT = _Spec(_INTEGERS, (1,), 1)
_BOUND = _Spec(_DOUBLES, (), 0)
_LEAD = _Spec(_DOUBLES, (4,))
_NEAREST = {
    Stored.ROWS: _Spec(_FLOATS, ("distinct", "features")),
    Table.MEMBERS: _Spec(_INTEGERS, ("distinct", "group"), 0),
    Table.K: _COUNT,
    Table.CANDIDATES: _COUNT,
    Table.ERROR_SLOPE: _BOUND,
    Table.ERROR_CONSTANT: _BOUND,
    **_optional(
        {
            Table.SEARCH_ROWS: _Spec(_SINGLES, ("distinct", "features")),
            Table.SEARCH_NORMS: _Spec(_SINGLES, ("distinct",)),
            Table.INTEGER_ERROR: _Spec(_DOUBLES, (2,), 0),
            Table.HEAVY: _Spec(_INTEGERS, ("heavy",), 0, "features"),
            Table.CENTER: _Spec(_DOUBLES, ("features",)),
            Table.FACTOR: _BOUND,
            **dict.fromkeys((Table.KEPT, Table.TOGETHER), _COUNT),
            **dict.fromkeys((Table.SINGLES, Table.MANY), _COUNT._replace(least=0)),
        }
    ),
}
_VOTE = {
    **_NEAREST,
    Table.ROW_MODEL: _Spec(_INTEGERS, ("rows",), 0, "models"),
    Table.ROW_QUALITY: _Spec(_DOUBLES, ("rows",)),
    Table.ROW_SPEED: _Spec(_DOUBLES, ("rows",)),
}
_QUERIES = {
    **_NEAREST,
    Table.FIRST_ROW: _Spec(_INTEGERS, ("distinct",), 0, "rows"),
}
_OUTCOMES = _Spec(_DOUBLES, ("distinct", 3, "models"))
_STORED = _optional(
    {
        Stored.WEIGHTS: _Spec(_FLOATS, ("classifiers", "features")),
        Stored.SUPPORT_VECTORS: _Spec(_FLOATS, ("support", "features")),
        Stored.QUERIES: _Spec(_FLOATS, ("queries", "features")),
    }
)
_CHOICES = _STORED | _optional(
    {
        Table.CENTROIDS: _Spec(_FLOATS, ("choices", "features")),
        Table.LEAD: _LEAD,
        Table.OFFSETS: _Spec(_DOUBLES, ("choices",)),
    }
)
_SCORED = {
    Table.CENTROIDS: _Spec(_FLOATS, ("clusters", "features")),
    Table.SCORES: _Spec(_DOUBLES, ("clusters", "models")),
    Table.SUPPORT: _Spec(_INTEGERS, ("clusters", "models"), 0),
    **_optional({Table.LEAD: _LEAD}),
}
_SHRUNK = {
    Table.CENTROIDS: _Spec(_FLOATS, ("fine", "features")),
    Stored.COARSE_CENTROIDS: _Spec(_FLOATS, ("coarse", "features")),
    Table.COARSE_MEANS: _Spec(_DOUBLES, ("coarse", "models")),
    Table.FINE_SUMS: _Spec(_DOUBLES, ("fine", "models")),
    Table.FINE_COUNTS: _Spec(_DOUBLES, ("fine", "models"), 0),
    Table.LATENCIES: _Spec(_DOUBLES, ("models",)),
    **_STORED,
    **_optional({Table.LEAD: _LEAD, Table.COARSE_LEAD: _LEAD}),
}
_PREDICTED = {**_STORED, Table.MEAN_OUTCOMES: _Spec(_DOUBLES, (3, "models"))}
TABLES: Final[Mapping[tuple[str, str], Mapping[str, _Spec]]] = MappingProxyType(
    {
        (algorithm, version): specs
        for algorithm, versions, specs in (
            ("knn", "native/1 native/2 trainer/1", _VOTE),
            ("knn", "queries/1", {**_QUERIES, Table.OUTCOMES: _OUTCOMES._replace(least=0)}),
            ("knn", "queries/2 queries/3", {**_QUERIES, Table.OUTCOMES: _OUTCOMES}),
            ("kmeans", "native/1", _CHOICES),
            ("kmeans", "native/2", _SCORED),
            ("svm", "native/1 native/2 trainer/1", _CHOICES),
            ("mlp", "native/1 native/2", _CHOICES),
            ("hiershrink", "native/1", _SHRUNK),
            ("kernel_ridge", "native/1 native/2", _PREDICTED),
        )
        for version in versions.split()
    }
)
"""Algorithm and semantics -> name of a tensor -> what it must be."""
METRICS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("knn", "native/1"): Metric.EUCLIDEAN,
        ("knn", "native/2"): Metric.CHORD,
        ("knn", "trainer/1"): Metric.COSINE,
        ("knn", "queries/1"): Metric.EUCLIDEAN,
        ("knn", "queries/2"): Metric.CHORD,
        ("knn", "queries/3"): Metric.CHORD,
    }
)
"""By which a graph ranks rows; all that the runtime proves of its scores rests on it."""


def check_tables(rule: tuple[str, str], known: Mapping[str, int], tables: Mapping[str, Tensor]) -> None:
    """Check the tables of an artifact.

    Parameters
    ----------
    rule
        Algorithm and semantics.
    known
        How many ``rows``, ``features``, ``models``, ``choices`` and neighbours, ``k``, the metadata say there are.
    tables
        Name -> array.

    Raises
    ------
    MalformedError
        When one is missing, of another type or shape, or holds an index of what is not there.
    """
    specs, lengths = TABLES.get(rule, {}), dict(known)
    for name, spec in specs.items():
        if name not in tables:
            if spec.needed:
                raise MalformedError(f"expected the tensor {name}")
            continue
        table = tables[name]
        wanted = [lengths.get(length) if isinstance(length, str) else length for length in spec.shape]
        pairs = list(zip(wanted, table.shape, strict=False))
        if table.ndim != len(wanted) or not all(length in (None, got) for length, got in pairs):
            expected = ", ".join(str(length or name) for length, name in zip(wanted, spec.shape, strict=True))
            raise MalformedError(f"its tensor {name}: expected the shape ({expected}), got {table.shape}")
        if not table.size or table.dtype.str not in spec.types:
            raise MalformedError(f"its tensor {name}: expected values of type {spec.types[-1]}, got {table.dtype.str}")
        lengths |= {length: got for length, got in zip(spec.shape, table.shape, strict=True) if isinstance(length, str)}
        most = None if spec.below is None else lengths[spec.below] - 1
        if not (spec.least is None or table.min() >= spec.least) or not (most is None or table.max() <= most):
            raise MalformedError(f"its tensor {name}: expected values from {spec.least} to {most}")
    if Table.MEMBERS in specs:
        rows = lengths["rows" if Table.ROW_MODEL in specs else "distinct"]
        _check_members(tables[Table.MEMBERS], rows, lengths["k"])


def _check_members(members: Tensor, rows: int, k: int) -> None:
    """Check that each row of the members has some rows, ascending, filled up with their number, and no row is twice."""
    filled = members == rows
    ascends = (members[:, 1:] > members[:, :-1]) | filled[:, 1:]
    counts = np.bincount(members[~filled]) if members.max() <= rows else np.zeros(1)
    if filled[:, 0].any() or not ascends.all() or counts.max() != 1 or not 0 < k <= counts.sum():
        raise MalformedError(f"its tensor {Table.MEMBERS}: expected {k} rows or more, each once and in ascending order")
