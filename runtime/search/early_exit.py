"""Picks from the scores of a KNN search alone, where they prove which rows vote.

Scores are known up to an error E. Where two that follow one another are more than 2 E apart, every row up to the first
is nearer than every row from the second on. The k rows that vote are known
then, though not their order, which matters only to break a tie of the vote.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from ..algorithms.base import Ballot
from ..artifact.onnx_reader import Tensor
from ..decision.voting import vote_weights

# Sums of the same votes in another order differ by far less than this.
CLEAR_LEAD = 1e-9


class Shortcut:
    """What the rows of a KNN artifact vote.

    Parameters
    ----------
    tables
        Initializers of the artifact, see `modelpick.runtime.artifact.metadata.TABLES`.
    k
        Number of rows that vote.
    n_models
        Number of language models.
    complete
        Whether the search gives every distinct row.
    quality_weight
        Share of the quality in a vote that most calls will ask for.
    """

    def __init__(
        self, tables: Mapping[str, Tensor], k: int, n_models: int, complete: bool, quality_weight: float
    ) -> None:
        members = tables["members"][:, :k]
        self._k, self._n_models, self._complete = k, n_models, complete
        self._quality_weight = quality_weight
        # Padding votes nothing.
        self._sizes = (members < len(tables["row_model"])).sum(axis=1)
        weights = vote_weights(tables["row_quality"], tables["row_speed"], quality_weight)
        self._models = np.append(tables["row_model"], 0)[members]
        self._weights = np.append(weights, 0.0)[members]
        self._votes: list[list[tuple[int, float]]] = [
            list(zip(models[:size], votes[:size], strict=True))
            for size, models, votes in zip(
                self._sizes.tolist(), self._models.tolist(), self._weights.tolist(), strict=True
            )
        ]
        # A group of k rows or more decides alone.
        self._decided = [self._clear_winner([votes], None) if len(votes) >= k else None for votes in self._votes]

    def winner(self, scores: Sequence[float], candidates: Sequence[int], gap: float, ballot: Ballot) -> int | None:
        """Pick the model for one query, or None where the scores do not prove it.

        Parameters
        ----------
        scores, candidates
            Outputs of the search, length c each.
        gap
            How far apart scores must be to prove an order.
        ballot
            What the caller asks; another quality weight than most calls ask for is not proven here.
        """
        if ballot.quality_weight != self._quality_weight:
            return None
        left, place = self._k - len(self._votes[candidates[0]]), 0
        while left > 0 and place + 1 < len(candidates):
            place += 1
            left -= len(self._votes[candidates[place]])
        if not (scores[place + 1] - scores[place] > gap if place + 1 < len(scores) else self._complete):
            return None
        if place == 0 and ballot.allowed is None:
            return self._decided[candidates[0]]
        if place and left and not scores[place] - scores[place - 1] > gap:
            return None
        return self._clear_winner([self._votes[candidate] for candidate in candidates[: place + 1]], ballot.allowed)

    def _clear_winner(
        self, groups: Sequence[Sequence[tuple[int, float]]], allowed: npt.NDArray[np.bool_] | None
    ) -> int | None:
        """Let the first k votes of groups count, and give the winner if it leads clearly."""
        sums: dict[int, float] = {}
        for model, weight in islice(chain.from_iterable(groups), self._k):
            if allowed is None or allowed[model]:
                sums[model] = sums.get(model, 0.0) + weight
        if not sums:
            return None
        winner = max(sums, key=sums.__getitem__)
        lead = sums.pop(winner) * (1.0 - CLEAR_LEAD)
        return winner if all(total < lead for total in sums.values()) else None

    def winners(
        self,
        scores: npt.NDArray[np.float32],
        candidates: npt.NDArray[np.int64],
        gaps: npt.NDArray[np.float64],
        ballot: Ballot,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Pick the models for many queries, as `winner` does for one.

        Parameters
        ----------
        scores, candidates
            Outputs of the search, (b, c).
        gaps
            How far apart each query's scores must be, (b,).
        ballot
            As `winner` takes it.

        Returns
        -------
        (model indices, whether the scores prove them), (b,) each
        """
        if ballot.quality_weight != self._quality_weight:
            return np.full(len(scores), -1), np.zeros(len(scores), dtype=np.bool_)
        queries = np.arange(len(scores))
        with np.errstate(invalid="ignore"):
            apart = np.diff(scores.astype(np.float64), axis=1) > gaps[:, None]
        apart = np.column_stack([apart, np.full(len(scores), self._complete)])
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
        if ballot.allowed is not None:
            sums[:, ~ballot.allowed] = -np.inf
        winners = sums.argmax(axis=1)
        clear = sums[queries, winners] * (1.0 - CLEAR_LEAD)
        sums[queries, winners] = -np.inf
        return winners, proven & (clear > 0.0) & (sums.max(axis=1) < clear)
