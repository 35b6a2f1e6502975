"""The nearest rows of a query vote: by a search alone, else by exact distances, else by a look at more rows."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .algorithm import Explanation, Queries, Run
from .artifact import Metadata
from .errors import ArtifactError
from .onnx_file import Tensor
from .shortcut import Shortcut
from .voting import vote, vote_one, vote_weights

SEARCH_OUTPUTS = ("score", "candidate")
SEARCH_ONLY = np.array(False)
VOTE_OUTPUTS = ("certified", "model", "quality", "speed")
OUTPUTS = (*VOTE_OUTPUTS, "row", "distance")
# Float64 values that one run may compute distances from.
DISTANCE_VALUES = 2**16
# A search that is repeated looks at so many times more candidates, and then at blocks of so many.
GROWTH, BLOCK = 8, 4096
Table = dict[str, npt.NDArray[Any]]
_Value = TypeVar("_Value", float, npt.NDArray[np.float64])


class Neighbours:
    """Picks the model that the nearest rows vote for.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.artifact.TABLES`.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor]) -> None:
        self._k, self._names = metadata.k, np.array(metadata.model_names, dtype=object)
        self._distinct = len(tables["members"])
        self._candidates, kept = int(tables["candidates"][0]), tables.get("kept")
        self._kept = None if kept is None else int(kept[0])
        self._complete = (self._kept or self._candidates) >= self._distinct
        self._center = tables.get("center")
        if self._center is not None:
            self._center2 = float(self._center @ self._center)
            # More than all roundings of the three sums that expand the square.
            self._slack = metadata.n_features_in * 2.0**-50
        self._shortcut = Shortcut(tables, metadata.k, len(metadata.model_names))
        self._chunk = max(1, DISTANCE_VALUES // (metadata.n_features_in * (self._kept or self._candidates)))

    def winner(self, run: Run, query: Queries, q2: float) -> int:
        """See `Algorithm`."""
        scores, candidates = run(SEARCH_OUTPUTS, {"features": query, "refine": SEARCH_ONLY})
        if self._center is not None:
            q2 = self._moved(q2, float(np.vdot(query, self._center)))
        winner = self._shortcut.winner(scores[0].tolist(), candidates[0].tolist(), q2)
        if winner is not None:
            return winner
        _, models, qualities, speeds = self._nearest(run, query, VOTE_OUTPUTS, self._known(scores, candidates))
        return vote_one(models[0].tolist(), qualities[0].tolist(), speeds[0].tolist())

    def winners(self, run: Run, queries: Queries) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        scores, candidates = run(SEARCH_OUTPUTS, {"features": queries, "refine": SEARCH_ONLY})
        q2 = np.einsum("ij,ij->i", queries, queries)
        if self._center is not None:
            q2 = self._moved(q2, np.einsum("ij,j->i", queries, self._center))
        winners, proven = self._shortcut.winners(scores, candidates, q2)
        left = np.flatnonzero(~proven)
        for start in range(0, len(left), self._chunk):
            chunk = left[start : start + self._chunk]
            known = self._known(scores[chunk], candidates[chunk])
            _, models, qualities, speeds = self._nearest(run, queries[chunk], VOTE_OUTPUTS, known)
            winners[chunk] = vote(models, vote_weights(qualities, speeds), len(self._names)).winners
        return winners

    def explain(self, run: Run, query: Queries) -> Explanation:
        """See `Algorithm`."""
        found = dict(zip(OUTPUTS, self._nearest(run, query, OUTPUTS), strict=True))
        if found["row"].shape != (1, self._k):
            raise ArtifactError(f"expected {self._k} neighbours, got shape {found['row'].shape}")
        weights = vote_weights(found["quality"], found["speed"])
        outcome = vote(found["model"], weights, len(self._names))
        columns = {
            "row": found["row"],
            "distance": found["distance"],
            "model": self._names[found["model"]],
            "quality": found["quality"],
            "speed": found["speed"],
            "vote": weights,
        }
        rows = zip(*(values[0].tolist() for values in columns.values()), strict=True)
        neighbours = [dict(zip(columns, row, strict=True)) for row in rows]
        return Explanation(int(outcome.winners[0]), outcome.scores[0], {"neighbours": neighbours})

    def _moved(self, q2: _Value, product: _Value) -> _Value:
        """Bound ``|q - center|^2`` from above, given ``|q|^2`` and ``q.center``."""
        return (q2 + self._center2) * (1.0 + self._slack) - 2.0 * product

    def _known(self, scores: npt.NDArray[Any], candidates: npt.NDArray[Any]) -> Table:
        """Tell a graph that can take it what it has found before; the others' search costs less than a branch."""
        return {} if self._kept is None else {"known_score": scores, "known_candidate": candidates}

    def _nearest(
        self, run: Run, queries: Queries, outputs: tuple[str, ...], known: Table | None = None
    ) -> list[npt.NDArray[Any]]:
        """Find the k nearest rows, nearest first: outputs of the graph, (b, k) each, the first of them `certified`."""
        found = run(outputs, {"features": queries, **(known or {})})
        if not (self._complete or found[0].all()):
            for query in np.flatnonzero(~found[0][:, 0]):
                again = self._search_again(run, queries[query : query + 1])
                for name, values in zip(outputs[1:], found[1:], strict=True):
                    values[query] = again[name]
        return found

    def _search_again(self, run: Run, query: Queries) -> Table:
        """Look at more candidates, and then at block after block of all rows, until the answer is proven."""
        found: Table = {}
        for first, candidates, kept in self._rounds():
            feeds = {"features": query, "first": np.array([first]), "candidates": np.array([candidates])}
            if self._kept is not None:
                feeds["kept"] = np.array([kept])
            certified, *values = run(OUTPUTS, feeds)
            block = {name: value[0] for name, value in zip(OUTPUTS[1:], values, strict=True)}
            if first:
                block = {name: np.append(found[name], value) for name, value in block.items()}
            nearest = np.lexsort((block["row"], block["distance"]))[: self._k]
            found = {name: value[nearest] for name, value in block.items()}
            if certified.all():
                break
        return found

    def _rounds(self) -> Iterator[tuple[int, int, int]]:
        """Give the first candidate, the end of the candidates, and how many of them are kept."""
        end = min(GROWTH * self._candidates, self._distinct)
        yield 0, end, min(GROWTH * (self._kept or 0), end)
        end = 0
        while end < self._distinct:
            first, end = end, end + BLOCK
            if self._distinct - end < self._candidates:  # a block holds k rows at least
                end = self._distinct
            yield first, end, end - first
