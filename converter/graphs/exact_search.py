"""Searches for the nearest of the distinct rows: approximate scores, with a proven bound on their error.

A search ranks rows by ``s_j ~ f^2 (|x_j - c|^2 - 2 (q - c).(x_j - c))``. The centre c is zero unless the rows lie far
from zero for their spread, and the factor f is 1 unless they are too large to square in float32. Below, x and q stand
for rows and queries so moved and scaled, ``L = max |x_j|``, ``u = 2^-24`` and ``gamma_n = n u / (1 - n u)``.

*Plain*, in float32: Gemm and TopK. Whatever the order of summation, the error of ``s_j`` is at most
``gamma_n (2 |q| |x_j| + |x_j|^2)``, where n is the number of roundings on the longest path (N. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1, with Cauchy-Schwarz for ``sum |q_i x_i|``). As
``2 |q| L <= |q|^2 + L^2``, that is at most ``E = gamma_n (|q|^2 + 2 L^2)``.

*Quantised*, in 8-bit integers, for one query; `modelpick.runtime.search.integers` scores the best of what that finds in
float32. Many queries at once share the reading of the rows, and are searched for as above; but the rows come first in
the product, which onnxruntime then reads where they are, instead of packing a copy of them. Some dozen queries take
less time so, and more are searched for in blocks. Among rows that no cache holds, more than `MANY` take less time if
queries come first, though the session then packs rows anew for each run::

    query ─┬─ Gather heavy columns ─ Gemm ──────────────────────────────────────┐
           └─ Mul light ─ Div s ─┬─ Round ───────────┬─ MatMulInteger ─ MatMul ─ Add ─ TopK ─ integer_score,
                                 └─ rest, Mul 126 ───┘  ── Cast uint8                         integer_candidate

A row's light columns are ``x^ = a_j w_j`` with integers ``|w| <= 127``; a query's are ``q^ = s (v + v' / 126)`` with
integers ``|v|, |v'| <= 63``, shifted by 64 to be unsigned: products of two neighbours then add up within 16 bits, in
which processors without VNNI instructions sum them. Few heavy columns, such as one-hot categories beside an embedding,
would take up the range of all others: they stay in float32. From ``q.x = q^.x^ + q.(x - x^) + (q - q^).x^``,
Cauchy-Schwarz, and at most half a level between a number and what stands for it, the integers add at most
``2 (|q| max |x_j - x^_j| + s sqrt(d) / 252 max |x^_j|)`` to the error, over the light columns. The scale s is a 63rd of
the query's largest number, and so at most of its length.

A query so long that its scores could overflow is clipped; ``gamma_n |q|^2`` alone exceeds every score then, so that
nothing is proven for it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Input, Metric, Output, Table

from .builder import FLOAT, KINDS, UINT8, Graph
from .tensors import are_single
from .unit_length import directions

Matrix = npt.NDArray[np.float64]
# More rows than wanted, so that the scores separate those near the last.
SPARE = 4
UNIT = 2.0**-24
# Roundings beside the products and their sums: casting both vectors, the norm, scales, the last additions.
EXTRA_ROUNDINGS = 16
LARGEST_SCORE = 1e37
# Rows up to this need no factor.
LARGEST_VALUE = 1e12
# Rows are moved where that makes their largest squared norm so many times smaller.
FAR = 2.0
# Squares of vectors up to this, and of their differences, do not overflow float64.
LONGEST = 1e153

ROW_LEVELS, QUERY_LEVELS, REST_LEVELS, ZERO_POINT = 127, 63, 126, 64
# A column is heavy where its largest value exceeds the median column's that many times.
HEAVY = 4.0
# Bounds are raised by this share, far above the roundings of levels and scales in float32.
SLACK = 1e-3
# Rows that fit the processor's caches.
QUANTISED_AT_ONCE = 128
# The candidates of the quantised search are counted on that many rows, to do for that share of them.
SAMPLE, SAMPLE_SHARE, SAMPLE_MARGIN, CANDIDATE_STEP = 64, 0.99, 1.2, 16
# Microseconds per byte of all rows, where they fit the processor's caches of so many bytes and where they do not; per
# byte of a candidate; and for all else of the quantised search. Measured, see benchmarks/README.md.
CACHE, NEAR_COST, FAR_COST, CANDIDATE_COST, FIXED_COST = 2**24, 1.1e-5, 3e-5, 5e-5, 15.0
# At most `SINGLES` queries take about as long one by one in integers as together in float32. At most `TOGETHER` queries
# are searched for at once where rows come first: more take longer, since onnxruntime reads rows in pieces then. Where
# rows are of more bytes than `BEYOND_CACHES`, more than `MANY` queries take less time if they come first: 256 and 1,024
# take 1.34 to 1.41 times as long without that choice, among 20,000 x 1,038 and 100,000 x 384 rows.
SINGLES, TOGETHER, MANY, BEYOND_CACHES = 5, 32, 64, 2**25


def roundings(products: int) -> tuple[float, float]:
    """Bound the error of a float32 sum of so many products, ``x.y``: ``relative * |x| |y| + absolute * (1 + |y|)``."""
    n = products + EXTRA_ROUNDINGS
    # Products below float32's normal range lose absolute, not relative, accuracy.
    return n * UNIT / (1 - n * UNIT), n * 2.0**-124


class ExactSearch(StrEnum):
    """How candidates are found; "auto" takes what is likely to be faster."""

    auto = "auto"
    plain = "plain"
    quantised = "quantised"


class Search(NamedTuple):
    """Names in the graph."""

    scores: str
    """Float32, (b, c), ascending; no row but the candidates scores below the last."""
    candidates: str
    """Distinct rows, int64, (b, c)."""


# Outputs of the search in integers -> their types.
INTEGER_OUTPUTS: Mapping[str, str] = {Output.INTEGER_SCORE: "float", Output.INTEGER_CANDIDATE: "int64"}


class Rows:
    """Distinct rows, and the same moved and scaled so that float32 holds their squares well.

    Parameters
    ----------
    values
        Shape (u, d).
    metric
        See `modelpick.runtime.schema.Metric`; but for the Euclidean one, rows and queries are scaled to unit length
        before all else.
    """

    def __init__(self, values: Matrix, metric: str = Metric.EUCLIDEAN) -> None:
        self.values, self.metric, self.unit = values, metric, metric != Metric.EUCLIDEAN
        if self.unit:
            values = directions(values)
        self.scaled = values
        self.factor, self.center = 1.0, None
        largest = float(max(values.max(), -values.min()))
        if largest >= LARGEST_VALUE:
            self.factor = float(2.0 ** -np.ceil(np.log2(largest)))
            self.scaled = values * self.factor
        else:
            center = values.mean(axis=0)
            norms = np.einsum("ij,ij->i", values, values)
            moved = norms - values @ (2.0 * center) + center @ center
            if 0.0 < FAR * moved.max() < norms.max():
                self.center = center
                self.scaled = values - center
        self.norms = np.einsum("ij,ij->i", self.scaled, self.scaled)
        self.longest = float(np.sqrt(self.norms.max()))
        self.count, self.width = values.shape
        self._are_single = self.scaled is not self.values or are_single(values)

    def moved(self, graph: Graph, features: str) -> str:
        """Move queries, scaled to unit length where the rows are, as the rows are, float64."""
        return (
            features if self.center is None else graph.node("Sub", features, graph.constant(Table.CENTER, self.center))
        )

    def searched(self, graph: Graph, stored: str) -> str:
        """Return the name of the initializer that is searched: the stored one, unless rows were moved or scaled."""
        return stored if self.scaled is self.values else graph.constant(Table.SEARCH_ROWS, _single(self.scaled))

    def single(self, graph: Graph, searched: str) -> str:
        """Make float32 of rows that are searched, or some of them, where they are not: a copy even so costs memory."""
        return searched if self._are_single else graph.node("Cast", searched, to=FLOAT)

    def error(self) -> tuple[float, float]:
        """Bound the error of float32 scores, ``slope * |q|^2 + constant`` with q moved, not scaled: slope, constant."""
        gamma, absolute = roundings(self.width)
        constant = 2 * gamma * self.longest**2 + absolute * (1 + self.longest)
        # Distances that overflow float64 are equal in it, whatever the search finds.
        return gamma * self.factor**2, constant if self.longest < LONGEST * self.factor else np.inf

    def integer_constant(self, heavy: int) -> float:
        """Bound the constant of the same for scores in integers, of so many heavy columns, and those ranked after them.

        Norms are added to products of the heavy columns in any order, and last to those of all columns.
        """
        (of_all, absolute), (of_heavy, _) = roundings(self.width), roundings(heavy)
        return max(of_all + 4 * UNIT, 2 * of_heavy) * self.longest**2 + absolute * (1 + self.longest)


class Quantised(NamedTuple):
    """Rows as integers: ``light * row ~ scale * integers``."""

    light: npt.NDArray[np.bool_]
    """Which columns are not heavy, shape (d,)."""
    integers: npt.NDArray[np.int8]
    """Shape (u, d)."""
    scales: Matrix
    """Shape (u,)."""
    row_error: float
    """Length of the longest difference between a row's light columns and what the integers stand for."""
    row_norm: float
    """Length of the longest row that the integers stand for."""

    @property
    def heavy(self) -> npt.NDArray[np.int64]:
        """The other columns, int64, (heavy,)."""
        return np.flatnonzero(~self.light)

    def error_slope(self) -> float:
        """Bound what integers add to a score's error, as a multiple of ``|q|``."""
        of_query = np.sqrt(len(self.light)) / (2 * REST_LEVELS * QUERY_LEVELS) * self.row_norm
        return float(2.0 * (1.0 + SLACK) * (self.row_error + of_query))


def add_search(
    graph: Graph, features: str, searched: str, rows: Rows, wanted: int, outputs: dict[str, str], kind: str
) -> Search:
    """Search for the nearest distinct rows.

    Parameters
    ----------
    features
        Name of the float64 queries, (b, d), moved as the rows are.
    searched
        Name of the initializer that is searched, see `Rows.searched`.
    rows
        Distinct rows.
    wanted
        Number of distinct rows that are wanted.
    outputs
        Outputs -> their full names.
    kind
        How candidates are found.
    """
    single = _single_query(graph, features, rows)
    query = _clipped(graph, single, rows)
    norms = graph.constant(Table.SEARCH_NORMS, _single(rows.norms))
    kept = min(wanted + SPARE, rows.count)
    size = graph.constant(Input.CANDIDATES, np.array([kept]))
    found = Search(outputs[Output.SCORE], outputs[Output.CANDIDATE])
    product = Product(query, searched, norms, size)
    integers = _integers(rows, wanted, kept, kind)
    if integers is None:
        _queries_first(graph, product, rows, found)
        for output, kind_of_output in INTEGER_OUTPUTS.items():
            graph.output(outputs[output], "Identity", graph.nothing(KINDS[kind_of_output]))
        return found
    tables = {Table.SINGLES: SINGLES, Table.TOGETHER: TOGETHER}
    if 4 * rows.count * rows.width <= BEYOND_CACHES:
        _rows_first(graph, product, rows, found)
    else:
        tables[Table.MANY] = MANY
        are_many = graph.node("Greater", graph.node("Shape", query, end=1), graph.constant("many", np.array([MANY])))
        many, few = graph.branch(), graph.branch()
        branches = (many, _queries_first(many, product, rows)), (few, _rows_first(few, product, rows))
        graph.choose(are_many, found, ("float", "int64"), *branches)
    branch = graph.branch()
    results = dict(zip(INTEGER_OUTPUTS, _integer_search(branch, single, norms, rows, integers), strict=True))
    graph.optional_branch(Input.INTEGERS, False, outputs, INTEGER_OUTPUTS, branch, results)
    error = np.array([integers.slope, rows.integer_constant(len(integers.parts.heavy))])
    graph.constant(Table.INTEGER_ERROR, error)
    for table, queries in tables.items():
        graph.constant(table, np.array([queries]))
    return found


class Product(NamedTuple):
    """Names of what scores are made of."""

    query: str
    searched: str
    norms: str
    size: str
    """How many candidates there are."""


def _queries_first(graph: Graph, product: Product, rows: Rows, found: Sequence[str] = ()) -> list[str]:
    """Return the lowest scores in float32, ascending, (b, c), and their rows; under the names of outputs, if given."""
    query, searched, norms, size = product
    scores = graph.node("Gemm", query, rows.single(graph, searched), norms, alpha=-2.0, transB=1)
    return graph.nodes("TopK", [scores, size], 2, *found, axis=1, largest=0, sorted=1)


def _rows_first(graph: Graph, product: Product, rows: Rows, found: Sequence[str] = ()) -> list[str]:
    """Return the same by a product that has the rows as its first factor."""
    query, searched, norms, size = product
    column = graph.node("Unsqueeze", norms, graph.constant("column_axis", np.array([1])))
    scores = graph.node("Gemm", rows.single(graph, searched), query, column, alpha=-2.0, transB=1)
    columns = graph.nodes("TopK", [scores, size], 2, axis=0, largest=0, sorted=1)
    return [
        graph.nodes("Transpose", [each], 1, *found[place : place + 1], perm=[1, 0])[0]
        for place, each in enumerate(columns)
    ]


class Integers(NamedTuple):
    """A search in integers."""

    parts: Quantised
    slope: float
    """What it adds to the error of a score is at most so many times ``|q|``, over the light columns of q."""
    candidates: int
    """How many it finds."""


def _integers(rows: Rows, wanted: int, kept: int, kind: str) -> Integers | None:
    """Plan the search in integers, or return None where there is none."""
    if kind == ExactSearch.plain or kept >= rows.count:
        return None
    parts = quantise(rows.scaled)
    slope = parts.error_slope()
    count = min(max(kept, needed_candidates(rows, parts, slope, wanted)), rows.count)
    if kind == ExactSearch.auto and _plain_cost(rows) <= _integer_cost(rows, parts, count):
        return None
    return Integers(parts, slope, count)


def needed_candidates(rows: Rows, parts: Quantised, slope: float, wanted: int) -> int:
    """Count how many of the lowest integer scores prove nearly every query.

    Counted on rows of the model as queries, each without itself: those that the bound cannot exclude.
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


def _single_query(graph: Graph, features: str, rows: Rows) -> str:
    """Scale queries, and cast them to float32."""
    if rows.factor != 1.0:
        features = graph.node("Mul", features, graph.constant(Table.FACTOR, np.array(rows.factor)))
    return graph.node("Cast", features, to=FLOAT)


def _clipped(graph: Graph, query: str, rows: Rows) -> str:
    limit = LARGEST_SCORE / (np.sqrt(rows.width) * max(rows.longest, 1.0))
    return graph.node("Clip", query, _scalar(graph, -limit), _scalar(graph, limit))


def _integer_search(graph: Graph, query: str, norms: str, rows: Rows, integers: Integers) -> list[str]:
    """Return the lowest scores in integers, ascending, float32 (b, c), and their rows."""
    parts = integers.parts
    axis = graph.constant("part_axis", np.array([1]))
    light = graph.node("Unsqueeze", graph.node("Mul", query, graph.constant("light", _single(parts.light))), axis)
    largest = graph.largest(light)
    levels = graph.node("Mul", light, graph.node("Div", _scalar(graph, QUERY_LEVELS), largest))
    whole = graph.node("Round", levels)
    rest = graph.node("Mul", graph.node("Sub", levels, whole), _scalar(graph, REST_LEVELS))
    both = graph.node("Concat", whole, rest, axis=1)
    # The cast rounds down, and what is added makes of that rounding to the nearest.
    unsigned = graph.node("Cast", graph.node("Add", both, _scalar(graph, ZERO_POINT + 0.5)), to=UINT8)
    weights = graph.constant("search_integers", parts.integers.T)
    zero_point = graph.constant("search_zero_point", np.array(ZERO_POINT, dtype=np.uint8))
    products = graph.node("Cast", graph.node("MatMulInteger", unsigned, weights, zero_point), to=FLOAT)
    part_scales = graph.constant("part_scales", _single([[[1.0, 1.0 / REST_LEVELS]]]) / _single(QUERY_LEVELS))
    summed = graph.node("Squeeze", graph.node("MatMul", graph.node("Mul", largest, part_scales), products), axis)
    scaled = graph.node("Mul", summed, graph.constant("search_scales", _single(-2.0 * parts.scales)))
    scores = graph.node("Add", scaled, _heavy_scores(graph, query, norms, rows, parts.heavy))
    size = graph.constant("integer_candidates", np.array([integers.candidates]))
    return graph.nodes("TopK", [scores, size], 2, axis=1, largest=0, sorted=1)


def _heavy_scores(graph: Graph, query: str, norms: str, rows: Rows, heavy: npt.NDArray[np.int64]) -> str:
    if not heavy.size:
        return norms
    columns = graph.node("Gather", query, graph.constant(Table.HEAVY, heavy), axis=1)
    heavy_rows = graph.constant("heavy_rows", _single(rows.scaled[:, heavy]))
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
        # Float32, as in the graph: what the integers stand for must be the same in both.
        scales[block] = _single(np.abs(kept).max(axis=1) / ROW_LEVELS)
        levels = kept / np.where(scales[block] > 0, scales[block], 1.0)[:, None]
        integers[block] = np.clip(np.rint(levels), -ROW_LEVELS, ROW_LEVELS)
        meant = integers[block] * scales[block, None]
        row_error = max(row_error, float(np.linalg.norm(kept - meant, axis=1).max()))
        row_norm = max(row_norm, float(np.linalg.norm(meant, axis=1).max()))
    return Quantised(light, integers, scales, row_error, row_norm)


def _single(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def _scalar(graph: Graph, value: float) -> str:
    return graph.constant("number", _single(value))
