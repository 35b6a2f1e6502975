"""Searches for the nearest of the distinct rows: approximate scores, with a proven bound on their error.

A search ranks rows by ``s_j ~ f^2 (|x_j - c|^2 - 2 (q - c).(x_j - c))``. The centre c is zero unless the rows lie far
from zero for their spread, and the factor f is 1 unless they are too large to square in float32. Below, x and q are the
moved and scaled rows and queries, ``L = max |x_j|``, ``u = 2^-24`` and ``gamma_n = n u / (1 - n u)``.

*Plain*, in float32: Gemm and TopK. Whatever the order of summation, the error of ``s_j`` is at most
``gamma_n (2 |q| |x_j| + |x_j|^2)``, where n is the number of roundings on the longest path (N. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1, with Cauchy-Schwarz for ``sum |q_i x_i|``). As
``2 |q| L <= |q|^2 + L^2``, that is at most ``E = gamma_n (|q|^2 + 2 L^2)``.

*Quantised*, in 8-bit integers, for one query, see `integer_search`. Many queries share one reading of the rows, and are
searched for in float32, with the rows as the first factor of the product: onnxruntime then reads the rows in place
instead of packing a copy. At most `TOGETHER` queries are searched for in one run. Where no cache holds the rows, more
than `MANY` queries take less time as the first factor, though the session then packs rows anew for each run.

A query whose scores could overflow is clipped. Then ``gamma_n |q|^2`` alone exceeds every score, so that nothing is
proven for the query.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from modelpick.runtime.schema import Input, Output, Table

from .builder import FLOAT, Graph
from .integer_search import add_integer_search, plan
from .rows import Rows

# Additional candidates, so that the scores separate the rows near the last wanted one.
SPARE = 4
LARGEST_SCORE = 1e37
# At most `SINGLES` queries take about as long one by one in integers as together in float32. At most `TOGETHER` queries
# are searched for at once where rows come first: more take longer, since onnxruntime reads rows in pieces then. Where
# rows are of more bytes than `BEYOND_CACHES`, more than `MANY` queries take less time if they come first: 256 and 1,024
# take 1.34 to 1.41 times as long without that choice, among 20,000 x 1,038 and 100,000 x 384 rows.
SINGLES, TOGETHER, MANY, BEYOND_CACHES = 5, 32, 64, 2**25


class ExactSearch(StrEnum):
    """How candidates are found; "auto" takes the way that is likely to be faster."""

    auto = "auto"
    plain = "plain"
    quantised = "quantised"


class Search(NamedTuple):
    """Names in the graph."""

    scores: str
    """Scores, float32, (b, c), ascending; rows that are no candidates score at least as high as the last."""
    candidates: str
    """Distinct rows, int64, (b, c)."""


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
    norms = graph.in_float32(Table.SEARCH_NORMS, rows.norms)
    kept = min(wanted + SPARE, rows.count)
    product = Product(query, rows, searched, norms, graph.constant(Input.CANDIDATES, np.array([kept])))
    found = Search(outputs[Output.SCORE], outputs[Output.CANDIDATE])
    integers = None if kind == ExactSearch.plain else plan(rows, wanted, kept, kind == ExactSearch.auto)
    tables = {} if integers is None else {Table.SINGLES: SINGLES, Table.TOGETHER: TOGETHER}
    if integers is None:
        _queries_first(graph, product, found)
    elif 4 * rows.count * rows.width <= BEYOND_CACHES:
        _rows_first(graph, product, found)
    else:
        tables[Table.MANY] = MANY
        are_many = graph.node("Greater", graph.node("Shape", query, end=1), graph.constant("many", np.array([MANY])))
        many, few = graph.branch(), graph.branch()
        branches = (many, _queries_first(many, product)), (few, _rows_first(few, product))
        graph.choose(are_many, found, ("float", "int64"), *branches)
    add_integer_search(graph, single, norms, rows, integers, outputs)
    for table, queries in tables.items():
        graph.constant(table, np.array([queries]))
    return found


class Product(NamedTuple):
    """The operands of scores."""

    query: str
    """Name of the queries, float32, (b, d)."""
    rows: Rows
    searched: str
    """Name of the searched rows, see `Rows.searched`."""
    norms: str
    """Name of the rows' squared norms, float32, (u,)."""
    size: str
    """Name of the number of wanted candidates."""


def _queries_first(graph: Graph, product: Product, found: Sequence[str] = ()) -> list[str]:
    """Return the lowest scores in float32, ascending, (b, c), and their rows, under the names of outputs if given."""
    query, rows, searched, norms, size = product
    scores = graph.node("Gemm", query, rows.single(graph, searched), norms, alpha=-2.0, transB=1)
    return graph.nodes("TopK", [scores, size], 2, *found, axis=1, largest=0, sorted=1)


def _rows_first(graph: Graph, product: Product, found: Sequence[str] = ()) -> list[str]:
    """Return the lowest scores and their rows by a product whose first factor is the rows."""
    query, rows, searched, norms, size = product
    column = graph.node("Unsqueeze", norms, graph.constant("column_axis", np.array([1])))
    scores = graph.node("Gemm", rows.single(graph, searched), query, column, alpha=-2.0, transB=1)
    columns = graph.nodes("TopK", [scores, size], 2, axis=0, largest=0, sorted=1)
    return [
        graph.nodes("Transpose", [each], 1, *found[place : place + 1], perm=[1, 0])[0]
        for place, each in enumerate(columns)
    ]


def _single_query(graph: Graph, features: str, rows: Rows) -> str:
    """Scale queries, and cast them to float32."""
    if rows.factor != 1.0:
        features = graph.node("Mul", features, graph.constant(Table.FACTOR, np.array(rows.factor)))
    return graph.node("Cast", features, to=FLOAT)


def _clipped(graph: Graph, query: str, rows: Rows) -> str:
    limit = LARGEST_SCORE / (np.sqrt(rows.width) * max(rows.longest, 1.0))
    return graph.node("Clip", query, graph.single_number(-limit), graph.single_number(limit))
