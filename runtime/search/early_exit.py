"""Early exit: what the scores of a KNN search alone prove, before any exact distance is computed.

Scores are known up to an error E. Where two consecutive scores are more than 2 E apart, each row up to the first is
proven to be nearer than each row from the second on. If k rows are up to the first, the voting rows are known. Their
order is not known, but matters only to break a tie of the vote.

`apart_one` and `EarlyExit.pick_one` answer for one query, `apart_many` and `EarlyExit.pick_many` for many;
`modelpick.runtime.algorithms.base` explains why there are two of each.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Sums of the same votes in another order differ by far less than this share of the sum of their magnitudes.
CLEAR_MARGIN = 1e-9


class Ranked(NamedTuple):
    """Candidates of one query, nearest first."""

    scores: list[float]
    """Scores, ascending, length c; rows that are no candidates score at least as high as the last."""
    candidates: list[int]
    """Distinct rows, length c."""
    gap: float
    """How far apart two scores must be to prove an order: 2 E."""


class Found(NamedTuple):
    """The result of a search alone for queries, (b, c) each, in ascending order of score."""

    scores: npt.NDArray[np.float32]
    candidates: npt.NDArray[np.int64]

    def some(self, queries: npt.NDArray[np.int64]) -> "Found":
        """Take the result for some of the queries."""
        return Found(self.scores[queries], self.candidates[queries])

    def each(self, gaps: npt.NDArray[np.float64]) -> Iterator[Ranked]:
        """Return the result for each query, given how far apart its scores must be, (b,)."""
        return map(Ranked, self.scores.tolist(), self.candidates.tolist(), gaps.tolist())


def apart_one(scores: Sequence[float], place: int, gap: float, complete: bool) -> bool:
    """Whether the scores prove, for one query, that the candidates up to ``place`` are the nearest.

    Parameters
    ----------
    scores
        Ascending, length c.
    place
        The last of the candidates in question, from 0.
    gap
        How far apart two scores must be to prove an order: 2 E.
    complete
        Whether all rows are candidates, so that none lies behind the last.
    """
    return scores[place + 1] - scores[place] > gap if place + 1 < len(scores) else complete


def apart_many(scores: npt.NDArray[np.float32], gaps: npt.NDArray[np.float64], complete: bool) -> npt.NDArray[np.bool_]:
    """Return what `apart_one` does for many queries and each place: scores (b, c), gaps (b,) -> (b, c)."""
    with np.errstate(invalid="ignore"):
        apart = np.diff(scores.astype(np.float64), axis=1) > gaps[:, None]
    return np.column_stack([apart, np.full(len(scores), complete)])


def are_known(apart: npt.NDArray[np.bool_], taken: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.bool_]:
    """Whether scores prove which k rows are the nearest, (b,).

    Parameters
    ----------
    apart
        See `apart_many`, (b, c).
    taken
        Number of rows that the candidates up to each place stand for, (b, c).
    """
    queries, place = np.arange(len(taken)), (taken >= k).argmax(axis=1)
    whole = (place == 0) | (taken[queries, place] == k)
    known: npt.NDArray[np.bool_] = apart[queries, place] & (taken[:, -1] >= k) & (whole | apart[queries, place - 1])
    return known


class EarlyExit:
    """Picks by a vote of the nearest rows where scores alone prove which rows vote.

    Parameters
    ----------
    members
        Rows of each distinct row, int64, shape (distinct, g), padded with the number of rows.
    models, votes
        Model index and vote weight of each row, (n,).
    k
        Number of rows that vote.
    n_models
        Number of language models.
    complete
        Whether the search returns every distinct row.
    """

    def __init__(
        self,
        members: npt.NDArray[np.int64],
        models: npt.NDArray[np.int64],
        votes: npt.NDArray[np.float64],
        k: int,
        n_models: int,
        complete: bool,
    ) -> None:
        members = members[:, :k]
        self._k, self._n_models, self._complete = k, n_models, complete
        # Padding has no votes.
        self._sizes = (members < len(models)).sum(axis=1)
        self._models = np.append(models, 0)[members]
        self._weights = np.append(votes, 0.0)[members]
        self._votes: list[list[tuple[int, float]]] = [
            list(zip(models[:size], votes[:size], strict=True))
            for size, models, votes in zip(
                self._sizes.tolist(), self._models.tolist(), self._weights.tolist(), strict=True
            )
        ]
        # A group of k rows or more decides alone.
        self._decided = [self._clear_pick([votes], None) if len(votes) >= k else None for votes in self._votes]

    def pick_one(self, ranked: Ranked, allowed: npt.NDArray[np.bool_] | None = None) -> int | None:
        """Pick the model for one query, or None where the scores do not prove it.

        Parameters
        ----------
        ranked
            What the search found.
        allowed
            Which models may win, shape (n_models,); all by default.
        """
        scores, candidates, gap = ranked
        left, place = self._k - len(self._votes[candidates[0]]), 0
        while left > 0 and place + 1 < len(candidates):
            place += 1
            left -= len(self._votes[candidates[place]])
        if not apart_one(scores, place, gap, self._complete):
            return None
        if place == 0 and allowed is None:
            return self._decided[candidates[0]]
        if place and left and not apart_one(scores, place - 1, gap, self._complete):
            return None
        return self._clear_pick([self._votes[candidate] for candidate in candidates[: place + 1]], allowed)

    def votes_in_order(self, ranked: Ranked) -> tuple[list[int], list[float]] | None:
        """Return the models and weights of the k voting rows of one query, nearest first.

        None where the scores do not prove the order of the rows, on which a tied vote depends.
        """
        scores, candidates, gap = ranked
        voters: list[tuple[int, float]] = []
        for place, candidate in enumerate(candidates):
            if not apart_one(scores, place, gap, self._complete):
                return None
            voters += self._votes[candidate]
            if len(voters) >= self._k:
                models, weights = zip(*voters[: self._k], strict=True)
                return list(models), list(weights)
        return None

    def _clear_pick(
        self, groups: Sequence[Sequence[tuple[int, float]]], allowed: npt.NDArray[np.bool_] | None
    ) -> int | None:
        """Count the first k votes of groups, and return the best model if its margin is clear."""
        sums: dict[int, float] = {}
        magnitude = 0.0
        for model, weight in islice(chain.from_iterable(groups), self._k):
            magnitude += abs(weight)
            if allowed is None or allowed[model]:
                sums[model] = sums.get(model, 0.0) + weight
        if not sums:
            return None
        best = max(sums, key=sums.__getitem__)
        needed = sums.pop(best) - CLEAR_MARGIN * magnitude
        return best if all(total < needed for total in sums.values()) else None

    def pick_many(
        self, found: Found, gaps: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Pick the models for many queries, as `pick_one` does for one.

        Parameters
        ----------
        found
            What the search found.
        gaps
            How far apart each query's scores must be, (b,).
        allowed
            Which models may win, shape (n_models,); all by default.

        Returns
        -------
        (model indices, whether the scores prove them), (b,) each
        """
        scores, candidates = found
        queries = np.arange(len(scores))
        sizes = self._sizes[candidates]
        taken = sizes.cumsum(axis=1)
        known = are_known(apart_many(scores, gaps, self._complete), taken, self._k)

        before = (taken - sizes)[:, :, None] + np.arange(self._models.shape[1])
        counted = (before < self._k) & (before < taken[:, :, None])
        places = queries[:, None, None] * self._n_models + self._models[candidates]
        votes = np.where(counted, self._weights[candidates], 0.0)
        sums = np.bincount(places.ravel(), votes.ravel(), len(scores) * self._n_models).reshape(len(scores), -1)
        # A model without a vote has no sum, which matters where others' sums are negative.
        voted = np.zeros(sums.shape, dtype=np.bool_)
        voted.ravel()[places[counted]] = True
        sums[~voted if allowed is None else ~(voted & allowed)] = -np.inf
        picks = sums.argmax(axis=1)
        needed = sums[queries, picks] - CLEAR_MARGIN * np.abs(votes).sum(axis=(1, 2))
        sums[queries, picks] = -np.inf
        return picks, known & np.isfinite(needed) & (sums.max(axis=1) < needed)
