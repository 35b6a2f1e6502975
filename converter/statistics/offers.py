"""When models were on offer: one that was added later, or retired, is judged on the questions in between alone."""

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..formats.outcomes import Benchmark, iso

Mask = npt.NDArray[np.bool_]
# A model that is always on offer lacks answers at the beginning, or at the end, with this chance at most.
BY_CHANCE = 1e-5


class Period(Struct, frozen=True):
    """The questions of a log during which a model was on offer."""

    model: str
    first: str
    last: str
    """Times of its first and last answer, as ISO 8601 writes them."""
    questions: int
    of: int

    def __str__(self) -> str:
        judged = f"judged on these {self.questions:,} of {self.of:,} questions"
        return f"{self.model}: on offer from {self.first} to {self.last}: {judged}"


def offered(benchmark: Benchmark) -> Mask:
    """Return whether each model was on offer at each question of a log, (n_queries, n_models).

    A model was not on offer before its first answer, or after its last one, if k answers at random times would leave
    out this share s of the questions with a probability, ``(1 - s)^k``, below `BY_CHANCE`. Without times all
    models were on offer.
    """
    asked, recorded = benchmark.asked, ~np.isnan(benchmark.quality)
    found = np.ones_like(recorded)
    for model, own in enumerate(recorded.T):
        if np.isnan(asked[own]).all():
            continue
        first, last = np.nanmin(asked[own]), np.nanmax(asked[own])
        for stretch in (asked < first, asked > last):
            if (1 - stretch.mean()) ** own.sum() < BY_CHANCE:
                found[stretch, model] = False
    return found


def periods(benchmark: Benchmark) -> list[Period]:
    """List the models that were on offer for a part of the questions."""
    asked, there = benchmark.asked, offered(benchmark)
    found = []
    for model, own in enumerate(there.T):
        if not own.all():
            times = asked[~np.isnan(benchmark.quality[:, model])]
            span = (iso(float(np.nanmin(times))), iso(float(np.nanmax(times))))
            found.append(Period(benchmark.model_names[model], *span, int(own.sum()), len(own)))
    return found
