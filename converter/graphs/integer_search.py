"""A search in 8-bit integers for the candidates of one query, and the bound on the error that integers add.

`modelpick.runtime.search.integers` scores the best candidates in float32::

    query ─┬─ Gather heavy columns ─ Gemm ──────────────────────────────────────┐
           └─ Mul light ─ Div s ─┬─ Round ───────────┬─ MatMulInteger ─ MatMul ─ Add ─ TopK ─ integer_score,
                                 └─ rest, Mul 126 ───┘  ── Cast uint8                         integer_candidate

A row's light columns are ``x^ = a_j w_j`` with integers ``|w| <= 127``; a query's are ``q^ = s (v + v' / 126)`` with
integers ``|v|, |v'| <= 63``, shifted by 64 to be unsigned: products of two neighbours then add up within 16 bits, in
which processors without VNNI instructions sum them. A few heavy columns, such as one-hot categories behind an
embedding, would use up the range of all others. Therefore they stay in float32. From ``q.x = q^.x^ + q.(x - x^) + (q -
q^).x^``, Cauchy-Schwarz, and a rounding of at most half a level, it follows that the integers add at most ``2 (|q| max
|x_j - x^_j| + s sqrt(d) / 252 max |x^_j|)`` to the error, over the light columns. The scale s is a 63rd of the query's
largest number, and so at most of its length.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Input, Output, Table

from .builder import FLOAT, KINDS, UINT8, Graph
from .rows import Matrix, Rows
from .tensors import in_type

# Outputs of the search -> their types.
INTEGER_OUTPUTS: Mapping[str, str] = {Output.INTEGER_SCORE: "float", Output.INTEGER_CANDIDATE: "int64"}
ROW_LEVELS, QUERY_LEVELS, REST_LEVELS, ZERO_POINT = 127, 63, 126, 64
# A column is heavy where its largest value exceeds the median column's more than `HEAVY` times.
HEAVY = 4.0
# Bounds are raised by this share, which is far above the rounding of levels and scales in float32.
SLACK = 1e-3
# Number of rows that are quantised at once: they fit the processor's caches.
QUANTISED_AT_ONCE = 128
# The number of candidates is chosen on `SAMPLE` rows, so that it suffices for the share `SAMPLE_SHARE` of them.
SAMPLE, SAMPLE_SHARE, SAMPLE_MARGIN, CANDIDATE_STEP = 64, 0.99, 1.2, 16
# Microseconds that a search takes: per byte of all rows, where they fit caches of `CACHE` bytes and where they do not;
# per byte of a candidate; and for all else in integers. Measured, see benchmarks/README.md.
CACHE, NEAR_COST, FAR_COST, CANDIDATE_COST, FIXED_COST = 2**24, 1.1e-5, 3e-5, 5e-5, 15.0


class Quantised(NamedTuple):
    """Rows as integers: ``light * row ~ scale * integers``."""

    light: npt.NDArray[np.bool_]
    """Mask of the columns that are not heavy, shape (d,)."""
    integers: npt.NDArray[np.int8]
    """Shape (u, d)."""
    scales: Matrix
    """Shape (u,)."""
    row_error: float
    """Largest distance between a row's light columns and their value in integers."""
    row_norm: float
    """Length of the longest row in integers."""

    @property
    def heavy(self) -> npt.NDArray[np.int64]:
        """The heavy columns, int64, (heavy,)."""
        return np.flatnonzero(~self.light)

    def error_slope(self) -> float:
        """Return a bound on the error that integers add to a score, as a multiple of ``|q|``."""
        of_query = np.sqrt(len(self.light)) / (2 * REST_LEVELS * QUERY_LEVELS) * self.row_norm
        return float(2.0 * (1.0 + SLACK) * (self.row_error + of_query))


class Integers(NamedTuple):
    """A search in integers."""

    parts: Quantised
    slope: float
    """The search adds at most ``slope * |q|`` to the error of a score, over the light columns of q."""
    candidates: int
    """Number of candidates that the search finds."""


def plan(rows: Rows, wanted: int, kept: int, if_faster: bool) -> Integers | None:
    """Plan the search in integers; None where there is none.

    Parameters
    ----------
    rows
        Distinct rows.
    wanted, kept
        Number of wanted rows, and number of candidates that the search in float32 keeps.
    if_faster
        Whether to plan a search only where it is likely to be faster than float32.
    """
    if kept >= rows.count:
        return None
    parts = quantise(rows.scaled)
    slope = parts.error_slope()
    count = min(max(kept, needed_candidates(rows, parts, slope, wanted)), rows.count)
    if if_faster and _plain_cost(rows) <= _integer_cost(rows, parts, count):
        return None
    return Integers(parts, slope, count)


def needed_candidates(rows: Rows, parts: Quantised, slope: float, wanted: int) -> int:
    """Return how many of the lowest integer scores are needed to prove nearly all queries.

    Some rows of the model serve as queries. For each of them, the candidates are the other rows that the bound cannot
    exclude.
    """
    sample = np.linspace(0, rows.count - 1, min(SAMPLE, rows.count)).astype(np.int64)
    queries = rows.scaled[sample]
    exact = rows.norms - 2.0 * queries @ rows.scaled.T
    exact[np.arange(len(sample)), sample] = np.inf
    farthest = np.partition(exact, wanted - 1, axis=1)[:, wanted - 1 : wanted]
    error = slope * np.linalg.norm(queries * parts.light, axis=1, keepdims=True)
    within = (exact <= farthest + SAMPLE_MARGIN * error).sum(axis=1)
    return -(-int(np.quantile(within, SAMPLE_SHARE)) // CANDIDATE_STEP) * CANDIDATE_STEP


def _plain_cost(rows: Rows) -> float:
    return _reading_cost(4 * rows.count * rows.width)


def _integer_cost(rows: Rows, parts: Quantised, candidates: int) -> float:
    read = _reading_cost(rows.count * (rows.width + 4 * len(parts.heavy)))
    return read + float(4 * candidates * rows.width) * CANDIDATE_COST + FIXED_COST


def _reading_cost(size: int) -> float:
    return size * (NEAR_COST if size <= CACHE else FAR_COST)


def add_integer_search(
    graph: Graph, query: str, norms: str, rows: Rows, integers: Integers | None, outputs: dict[str, str]
) -> None:
    """Add the branch of the search, which `Input.INTEGERS` turns on, or outputs without values where there is none.

    Parameters
    ----------
    query, norms
        Names of the query in float32, and of the squared norms of the rows.
    rows, integers
        Distinct rows, and the planned search.
    outputs
        Outputs -> their full names.
    """
    if integers is None:
        for output, kind in INTEGER_OUTPUTS.items():
            graph.output(outputs[output], "Identity", graph.nothing(KINDS[kind]))
        return
    branch = graph.branch()
    results = dict(zip(INTEGER_OUTPUTS, _lowest(branch, query, norms, rows, integers), strict=True))
    graph.optional_branch(Input.INTEGERS, False, outputs, INTEGER_OUTPUTS, branch, results)
    error = np.array([integers.slope, rows.integer_constant(len(integers.parts.heavy))])
    graph.constant(Table.INTEGER_ERROR, error)


def _lowest(graph: Graph, query: str, norms: str, rows: Rows, integers: Integers) -> list[str]:
    """Return the lowest scores in integers, ascending, float32 (b, c), and their rows."""
    parts = integers.parts
    axis = graph.constant("part_axis", np.array([1]))
    light = graph.node("Unsqueeze", graph.node("Mul", query, graph.in_float32("light", parts.light)), axis)
    largest = graph.largest(light)
    levels = graph.node("Mul", light, graph.node("Div", graph.single_number(QUERY_LEVELS), largest))
    whole = graph.node("Round", levels)
    rest = graph.node("Mul", graph.node("Sub", levels, whole), graph.single_number(REST_LEVELS))
    both = graph.node("Concat", whole, rest, axis=1)
    # The cast rounds down; the added half turns this into rounding to the nearest.
    unsigned = graph.node("Cast", graph.node("Add", both, graph.single_number(ZERO_POINT + 0.5)), to=UINT8)
    weights = graph.constant("search_integers", parts.integers.T)
    zero_point = graph.constant("search_zero_point", np.array(ZERO_POINT, dtype=np.uint8))
    products = graph.node("Cast", graph.node("MatMulInteger", unsigned, weights, zero_point), to=FLOAT)
    part_scales = graph.constant(
        "part_scales", in_type([[[1.0, 1.0 / REST_LEVELS]]], np.float32) / np.float32(QUERY_LEVELS)
    )
    summed = graph.node("Squeeze", graph.node("MatMul", graph.node("Mul", largest, part_scales), products), axis)
    scaled = graph.node("Mul", summed, graph.in_float32("search_scales", -2.0 * parts.scales))
    scores = graph.node("Add", scaled, _heavy_scores(graph, query, norms, rows, parts.heavy))
    size = graph.constant("integer_candidates", np.array([integers.candidates]))
    return graph.nodes("TopK", [scores, size], 2, axis=1, largest=0, sorted=1)


def _heavy_scores(graph: Graph, query: str, norms: str, rows: Rows, heavy: npt.NDArray[np.int64]) -> str:
    if not heavy.size:
        return norms
    columns = graph.node("Gather", query, graph.constant(Table.HEAVY, heavy), axis=1)
    heavy_rows = graph.in_float32("heavy_rows", rows.scaled[:, heavy])
    return graph.node("Gemm", columns, heavy_rows, norms, alpha=-2.0, transB=1)


def quantise(rows: Matrix) -> Quantised:
    """Quantise each row, shape (u, d), with a scale of its own."""
    largest = np.maximum(rows.max(axis=0), -rows.min(axis=0))
    light = largest <= HEAVY * np.median(largest)
    integers, scales = np.empty(rows.shape, dtype=np.int8), np.empty(len(rows))
    row_error = row_norm = 0.0
    for start in range(0, len(rows), QUANTISED_AT_ONCE):
        block = slice(start, start + QUANTISED_AT_ONCE)
        kept = rows[block] * light
        # Float32, as in the graph: integers must have the same values in both.
        scales[block] = in_type(np.abs(kept).max(axis=1) / ROW_LEVELS, np.float32)
        levels = kept / np.where(scales[block] > 0, scales[block], 1.0)[:, None]
        integers[block] = np.clip(np.rint(levels), -ROW_LEVELS, ROW_LEVELS)
        meant = integers[block] * scales[block, None]
        row_error = max(row_error, float(np.linalg.norm(kept - meant, axis=1).max()))
        row_norm = max(row_norm, float(np.linalg.norm(meant, axis=1).max()))
    return Quantised(light, integers, scales, row_error, row_norm)
