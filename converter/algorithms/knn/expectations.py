"""What verification expects of neighbours, also where rounding decides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Output

from ..base import Matrix
from ..row import TOLERANCE, Answer, Explanation, Held, WholeGraph, difference, explained_scores
from .neighbours import ExactNeighbors, Rows


class Found(NamedTuple):
    """The neighbours of a query, as the artifact explains them, and as the estimator finds them."""

    explained: Answer
    distances: Matrix
    """Distances by the estimator, ascending, shape (k,)."""
    rows: Rows
    """Rows by the estimator, or, where rounding decides, by the artifact; shape (k,)."""
    rounded: bool
    """Whether rounding decides."""


def found_neighbours(
    estimator: ExactNeighbors,
    queries: Matrix,
    explained: Sequence[Explanation],
    groups: Rows,
    numbers: Mapping[int, int],
) -> Iterator[Found]:
    """Yield the neighbours of each query on both sides.

    Parameters
    ----------
    groups
        Index of each of the estimator's rows among the distinct rows, shape (n,).
    numbers
        Row in the JSON model -> the estimator's row.
    """
    chosen = np.array([[numbers.get(one["row"], -1) for one in why["neighbours"]] for why in explained])
    for why, nearest, rows, rounded in zip(explained, *followed(estimator, queries, chosen, groups), strict=True):
        distances = np.array([neighbour["distance"] for neighbour in why["neighbours"]])
        answer = Answer(explained_scores(why, estimator.classes_), distances)
        yield Found(answer, nearest, rows, bool(rounded))


class Followed(NamedTuple):
    """Columns of `Found`, one for each query."""

    distances: Matrix
    rows: Rows
    rounded: npt.NDArray[np.bool_]


def followed(estimator: ExactNeighbors, queries: Matrix, chosen: Rows, groups: Rows) -> Followed:
    """Find the neighbours of queries, (b, d); where rounding decides, follow the artifact's choice, (b, k)."""
    distances, rows = estimator.kneighbors(queries)
    rounded = np.full(len(queries), False)
    if chosen.shape != rows.shape:
        return Followed(distances, rows, rounded)
    for place in np.flatnonzero((chosen != rows).any(axis=1)):
        rounded[place] = _are_as_near(estimator, queries[place], chosen[place], distances[place], groups)
    return Followed(distances, np.where(rounded[:, None], chosen, rows), rounded)


def _are_as_near(estimator: ExactNeighbors, query: Matrix, chosen: Rows, nearest: Matrix, groups: Rows) -> bool:
    """Return whether rows are distinct, as near as the nearest within rounding, and the lowest of identical rows."""
    if len(np.unique(chosen)) != len(nearest) or chosen.min() < 0 or chosen.max() >= estimator.n_samples_fit_:
        return False
    for group in np.unique(groups[chosen]):
        among = chosen[groups[chosen] == group]
        if not np.array_equal(among, np.flatnonzero(groups == group)[: len(among)]):
            return False
    return difference(estimator.distances(query[None])[0, chosen], nearest) <= TOLERANCE


def hold_neighbours(
    estimator: ExactNeighbors, queries: Matrix, ask: WholeGraph, groups: Rows, columns: Mapping[str, npt.NDArray[Any]]
) -> Iterator[Held]:
    """Compare the outputs of the whole graph, as a client asks for them, with the estimator; see `Row.hold`.

    Where neighbours are not certified, a client asks again with all distinct rows as candidates. A graph must not
    certify one neighbour among one candidate, since another row may always be as near.

    Parameters
    ----------
    groups
        See `found_neighbours`.
    columns
        Output -> the values of all rows; the output holds the values of the neighbours.
    """
    names = (Output.ROW, Output.DISTANCE, *columns)
    certified, *found = ask((Output.CERTIFIED, *names), queries)
    for place in np.flatnonzero(~certified.ravel()):
        again = ask(names, queries[place : place + 1], candidates=int(groups.max()) + 1)
        for values, of_one in zip(found, again, strict=True):
            values[place] = of_one[0]
    distances, rows, _ = followed(estimator, queries, found[0], groups)
    expected = (rows, distances, *(values[rows] for values in columns.values()))
    yield from map(Held, names, found, expected)
    (bare,) = ask((Output.CERTIFIED,), queries, k=1, candidates=1)
    yield Held(Output.CERTIFIED, bare, np.full_like(bare, False))
