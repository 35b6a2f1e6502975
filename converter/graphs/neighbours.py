"""Exact nearest rows: a fast search for candidates, then their distances in float64, and a certificate.

::

    features ─┬─ search ─┬─ score (b, c) ─────────────── bound on every other row ─┐
    (b, d)    │          └─ candidate (b, c) ─ If refine                           │
              │                                    │                               │
              └──────── Sub ◄──── Gather rows ◄────┘                               │
                         │                                                         │
                   sum of squares ─ TopK ─ neighbours (b, k) ─ k-th distance ─ certified (b, 1)

Identical embeddings are searched once and expanded to their rows afterwards: ``members`` lists the rows of each
distinct embedding that may count. Candidates are put in ascending order of row before the stable TopK by distance, so
that equal distances go to the lower row.

`exact_search` ranks by an approximation of ``|x_j|^2 - 2 q.x_j = |q - x_j|^2 - |q|^2`` with an error of at most E, and
no row outside the candidates scores below the last candidate. Queries and rows are moved alike if they lie far from
zero, see `Rows`. Therefore the squared distance of a row outside is at least ``s_c - E + |q|^2``. Where this exceeds
the k-th exact distance, no row outside belongs to the k nearest, and ``certified`` is true.

A caller may override these initializers, which are inputs too:

- ``refine`` (bool): false runs the search alone, and the neighbours are empty. The scores alone prove which rows are
  the k nearest wherever two consecutive scores are more than 2 E apart.
- ``k`` (int64, shape (1,)): number of neighbours; the distance of padding, beyond the last row, is infinite.
- ``candidates`` (int64, shape (1,)): where ``certified`` is false, a caller asks for more, up to all distinct rows.
- ``integers`` (bool): true also searches in 8-bit integers, where there are any, see `exact_search`. All other outputs
  stay the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import Input, Metric, Output, Stored, Table

from .builder import DOUBLE, Graph
from .exact_search import ExactSearch, Search, add_search
from .integer_search import INTEGER_OUTPUTS
from .rows import Rows
from .tensors import LARGEST_FILE, are_single
from .unit_length import add_directions

OUTPUTS = {
    Output.ROW: "int64",
    Output.DISTANCE: "double",
    Output.CERTIFIED: "bool",
    Output.SCORE: "float",
    Output.CANDIDATE: "int64",
    **INTEGER_OUTPUTS,
}
OPTIONS: Mapping[str, list[str]] = {"exact_search": list(ExactSearch)}


def check_size(values: npt.NDArray[np.float64], metric: str = Metric.EUCLIDEAN) -> None:
    """Refuse distinct rows, (u, d), that no file can hold, before any work on them.

    Rows are stored once, in float32 where float32 is exact; again, in float32, where the search needs them scaled to
    unit length; and in 8-bit integers.

    Raises
    ------
    DocumentError
        When the rows take more bytes than a file may have.
    """
    each = (4 if are_single(values) else 8) + (4 if metric != Metric.EUCLIDEAN else 0) + 1
    if values.size * each > LARGEST_FILE:
        raise DocumentError(
            f"$.embeddings: expected at most {LARGEST_FILE // (values.shape[1] * each):,} distinct rows of "
            f"{values.shape[1]:,} numbers, which fill the 2 GB of an ONNX file, got {len(values):,}: keep fewer rows, "
            "round numbers to float32, or train kernel ridge with landmarks"
        )


class Column(NamedTuple):
    """Values of all rows; an output gives the values of the neighbours."""

    table: str
    """Name of the initializer."""
    values: npt.NDArray[Any]
    """Shape (rows,)."""
    kind: str
    """Type of the output, one of `modelpick.converter.graphs.builder.KINDS`."""


def add_neighbours(
    graph: Graph,
    features: str,
    outputs: dict[str, str],
    rows: Rows,
    members: npt.NDArray[np.int64],
    n_rows: int,
    k: int,
    columns: Mapping[str, Column],
) -> None:
    """Write the search and what refines it.

    Parameters
    ----------
    features
        Name of the float64 queries, (b, d).
    outputs
        Outputs -> their full names.
    rows
        Distinct rows.
    members
        Rows of each distinct row, see `group_members`.
    n_rows, k
        Number of rows, and number of neighbours.
    columns
        Outputs that describe each neighbour -> the columns that they are taken from.
    """
    stored = graph.stored_exactly(Stored.ROWS, rows.values)
    query = add_directions(graph, features).product(graph) if rows.unit else features
    moved = rows.moved(graph, query)
    smallest_group = int((members < n_rows).sum(axis=1).min())
    kind = graph.option("exact_search", ExactSearch.auto)
    wanted = -(-k // min(k, smallest_group))
    search = add_search(graph, moved, rows.searched(graph, stored), rows, wanted, outputs, kind)

    refined = graph.branch()
    squared = _squared_distances(refined, query, stored, search.candidates, rows)
    squared, by_row = _expand(refined, squared, search.candidates, members, n_rows)
    size = refined.constant(Input.K, np.array([k]))
    nearest, ranks = refined.nodes("TopK", [squared, size], 2, axis=1, largest=0, sorted=1)
    neighbours = refined.node("GatherElements", by_row, ranks, axis=1)
    if rows.metric == Metric.COSINE:
        distances = refined.node("Mul", nearest, refined.constant("half", np.array(0.5)))
    else:
        distances = refined.node("Sqrt", nearest)
    results = {Output.ROW: neighbours, Output.DISTANCE: distances}
    known = refined.node("Min", neighbours, refined.constant("last_row", np.array(n_rows - 1))) if columns else ""
    for name, column in columns.items():
        results[name] = refined.node("Gather", refined.constant(column.table, column.values), known, axis=0)
    results[Output.CERTIFIED] = _certified(refined, moved, search, nearest, rows)
    kinds = OUTPUTS | {name: column.kind for name, column in columns.items()}
    graph.in_float64(outputs, kinds, refined, results)


def group_members(
    groups: npt.NDArray[np.int64], k: int, models: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """List the rows of each group: int64, shape (n_groups, g).

    In ascending order: the first k rows of the group, since no more of its rows can be among the k nearest, and the
    first row of each model. Shorter lists are padded with the number of rows.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = rank < k
    if models is not None:
        kept[np.unique(np.stack([groups, models])[:, order], axis=1, return_index=True)[1]] = True
    place = np.cumsum(kept) - 1
    starts = np.cumsum(sizes) - sizes
    place -= np.repeat(place[starts], sizes)
    members = np.full((len(sizes), int(place.max()) + 1), len(groups), dtype=np.int64)
    members[groups[order][kept], place[kept]] = order[kept]
    return members


def _squared_distances(graph: Graph, query: str, stored: str, candidates: str, rows: Rows) -> str:
    vectors = graph.node("Cast", graph.node("Gather", stored, candidates, axis=0), to=DOUBLE)
    if rows.unit:
        vectors = add_directions(graph, vectors).product(graph)
    column = graph.node("Unsqueeze", query, graph.constant("candidate_axis", np.array([1])))
    return graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0)


def _expand(
    graph: Graph, squared: str, candidates: str, members: npt.NDArray[np.int64], n_rows: int
) -> tuple[str, str]:
    """Expand groups to rows, in ascending order of row: squared distances and rows, (b, c * g)."""
    flat = graph.constant("flat", np.array([0, -1]))
    rows = graph.node("Gather", graph.constant(Table.MEMBERS, members), candidates, axis=0)
    # Rows whose distance overflows must still come before padding, which sorts behind all rows.
    padding = graph.node("Equal", rows, graph.constant("no_row", np.array(n_rows)))
    distances = graph.node(
        "Where",
        padding,
        graph.constant("infinity", np.array(np.inf)),
        graph.node("Unsqueeze", squared, graph.constant("member_axis", np.array([2]))),
    )
    distances, rows = (graph.node("Reshape", values, flat) for values in (distances, rows))
    count = graph.node("Shape", rows, start=1)
    by_row, order = graph.nodes("TopK", [rows, count], 2, axis=1, largest=0, sorted=1)
    return graph.node("GatherElements", distances, order, axis=1), by_row


def _certified(graph: Graph, moved: str, search: Search, nearest: str, rows: Rows) -> str:
    """Return for each query, (b, 1), whether no row outside the candidates belongs to the k nearest."""
    last = graph.constant("last_column", np.array([-1]))
    outside = graph.node("Cast", graph.node("Gather", search.scores, last, axis=1), to=DOUBLE)
    farthest = graph.node("Gather", nearest, last, axis=1)
    # Float64's own rounding errors, of at most d * 2^-53 each, are covered four times over.
    slack = rows.width * 2.0**-51
    square = rows.factor**2
    q2, down = graph.squared_norm(moved), graph.constant("down", np.array(square * (1 - slack)))
    slope, constant = rows.error()
    error = graph.node(
        "Add",
        graph.node("Mul", q2, graph.constant(Table.ERROR_SLOPE, np.array(slope))),
        graph.constant(Table.ERROR_CONSTANT, np.array(constant)),
    )
    lower = graph.node("Sub", graph.node("Add", outside, graph.node("Mul", q2, down)), error)
    upper = graph.node("Mul", farthest, graph.constant("up", np.array(square * (1 + slack))))
    return graph.node("Greater", lower, upper)
