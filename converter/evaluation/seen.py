"""Questions that artifacts were trained on: recognised by digests, and left out of what is measured."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec import Struct

from ..artifact.restore import document_field
from ..formats.outcomes import Benchmark
from ..formats.questions import TRAINING_QUESTIONS, digests, from_field


class Seen(Struct):
    """The number of the records' questions that an artifact was trained on."""

    artifact: str
    questions: int
    of: int
    """Number of questions of the records."""
    measured: int
    """Number of questions that no artifact was trained on: they are measured; if there are none, all questions are."""

    @property
    def told(self) -> str:
        """What was seen, and what that means."""
        stand = f"{self.questions:,} of {self.of:,} questions stand in its training records"
        others = (
            f"measured on the {self.measured:,} others"
            if self.measured
            else "its picks for other questions are unknown"
        )
        return f"{stand}: {others}"

    def __str__(self) -> str:
        return f"{self.artifact}: {self.told}"


def unseen(
    artifacts: Mapping[str, str | Path], benchmark: Benchmark, learned: Benchmark | None = None
) -> tuple[Benchmark, list[Seen]]:
    """Leave out the questions that an artifact was trained on, unless no question would be left.

    Parameters
    ----------
    artifacts
        Artifacts by the names under which they are shown. An artifact without digests counts as trained on none of the
        questions.
    learned
        Records that all artifacts were trained on, if they are known.

    Returns
    -------
    Benchmark
        Records to measure on.
    list of Seen
        An entry for each artifact that was trained on some of the questions.

    Raises
    ------
    ArtifactError
        When an artifact is refused.
    """
    questions = digests(benchmark.queries)
    given = np.zeros(len(questions), np.bool_) if learned is None else np.isin(questions, digests(learned.queries))
    masks = {}
    for name, artifact in artifacts.items():
        field = document_field(artifact, TRAINING_QUESTIONS)
        masks[name] = given if field is None else given | np.isin(questions, from_field(field))
    others = np.flatnonzero(~np.any(list(masks.values()), axis=0))
    found = [Seen(name, int(mask.sum()), len(questions), len(others)) for name, mask in masks.items() if mask.any()]
    return (benchmark.of(others) if found and len(others) else benchmark), found
