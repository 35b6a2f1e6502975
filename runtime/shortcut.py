"""Picks from the scores of a KNN search alone, where they prove which rows vote.

Scores are known up to an error E that is linear in the query's squared norm. Where two that follow one another are more
than 2 E apart, every row up to the first is nearer than every row from the second on. The k rows that vote are known
then, though not their order, which matters only to break a tie of the vote.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from .onnx_file import Tensor
from .voting import vote_weights

# Sums of the same votes in another order differ by far less than this.
CLEAR_LEAD = 1e-9


class Shortcut:
    """What the rows of a KNN artifact vote.

    Parameters
    ----------
    tables
        Initializers of the artifact, see `modelpick.runtime.artifact.TABLES`.
    k
        Number of rows that vote.
    n_models
        Number of language models.
    """

    def __init__(self, tables: Mapping[str, Tensor], k: int, n_models: int) -> None:
        members = tables["members"]
        self._k, self._n_models = k, n_models
        # All distinct rows are candidates: none is outside.
        self.complete = int(tables.get("kept", tables["candidates"])[0]) >= len(members)
        self._slope, self._constant = 2.0 * float(tables["error_slope"]), 2.0 * float(tables["error_constant"])
        # Padding votes nothing.
        self._sizes = (members < len(tables["row_model"])).sum(axis=1)
        weights = vote_weights(tables["row_quality"], tables["row_speed"])
        self._models = np.append(tables["row_model"], 0)[members]
        self._weights = np.append(weights, 0.0)[members]
        self._votes: list[list[tuple[int, float]]] = [
            list(zip(models[:size], votes[:size], strict=True))
            for size, models, votes in zip(
                self._sizes.tolist(), self._models.tolist(), self._weights.tolist(), strict=True
            )
        ]

        # A group of k rows or more decides alone.
        self._decided = [self._clear_winner([votes]) if len(votes) >= k else None for votes in self._votes]

    def winner(self, scores: Sequence[float], candidates: Sequence[int], q2: float) -> int | None:
        """Pick the model for one query, or None where the scores do not prove it.

        Parameters
        ----------
        scores, candidates
            Outputs of the search, length c each.
        q2
            Squared norm of the query, moved by the artifact's ``center`` if it has one.
        """
        gap = self._slope * q2 + self._constant
        left, place = self._k - len(self._votes[candidates[0]]), 0
        while left > 0 and place + 1 < len(candidates):
            place += 1
            left -= len(self._votes[candidates[place]])
        if not (scores[place + 1] - scores[place] > gap if place + 1 < len(scores) else self.complete):
            return None
        if place == 0:
            return self._decided[candidates[0]]
        if left and not scores[place] - scores[place - 1] > gap:
            return None
        return self._clear_winner([self._votes[candidate] for candidate in candidates[: place + 1]])

    def _clear_winner(self, groups: Sequence[Sequence[tuple[int, float]]]) -> int | None:
        """Let the first k votes of groups count, and give the winner if it leads clearly."""
        sums: dict[int, float] = {}
        for model, weight in islice(chain.from_iterable(groups), self._k):
            sums[model] = sums.get(model, 0.0) + weight
        winner = max(sums, key=sums.__getitem__)
        lead = sums.pop(winner) * (1.0 - CLEAR_LEAD)
        return winner if all(total < lead for total in sums.values()) else None

    def winners(
        self, scores: npt.NDArray[np.float32], candidates: npt.NDArray[np.int64], q2: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Pick the models for many queries, as `winner` does for one.

        Parameters
        ----------
        scores, candidates
            Outputs of the search, (b, c).
        q2
            Squared norms of the queries, (b,), moved likewise.

        Returns
        -------
        (model indices, whether the scores prove them), (b,) each
        """
        queries = np.arange(len(scores))
        gap = self._slope * q2 + self._constant
        with np.errstate(invalid="ignore"):
            apart = np.diff(scores.astype(np.float64), axis=1) > gap[:, None]
        apart = np.column_stack([apart, np.full(len(scores), self.complete)])
        sizes = self._sizes[candidates]
        taken = sizes.cumsum(axis=1)
        place = (taken >= self._k).argmax(axis=1)
        whole = taken[queries, place] == self._k
        proven = apart[queries, place] & (taken[:, -1] >= self._k) & (whole | (place == 0) | apart[queries, place - 1])

        before = (taken - sizes)[:, :, None] + np.arange(self._models.shape[1])
        counted = (before < self._k) & (before < taken[:, :, None])
        places = queries[:, None, None] * self._n_models + self._models[candidates]
        votes = np.where(counted, self._weights[candidates], 0.0)
        sums = np.bincount(places.ravel(), votes.ravel(), len(scores) * self._n_models).reshape(len(scores), -1)
        winners = sums.argmax(axis=1)
        clear = sums[queries, winners] * (1.0 - CLEAR_LEAD)
        sums[queries, winners] = -np.inf
        return winners, proven & (sums.max(axis=1) < clear)
