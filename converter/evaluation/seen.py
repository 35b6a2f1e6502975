"""Questions that artifacts were trained on: recognised by digests, and left out of what is measured."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec import Struct

from ..artifact.restore import document_field
from ..formats.outcomes import Benchmark
from ..formats.questions import TRAINING_QUESTIONS, digests, from_field


class Seen(Struct):
    """How many of the records' questions an artifact was trained on."""

    artifact: str
    questions: int
    of: int
    """Questions of the records."""
    measured: int
    """Questions that no artifact was trained on, which are what is measured; 0 where there is none: all are, then."""

    def __str__(self) -> str:
        stand = f"{self.artifact}: {self.questions:,} of {self.of:,} questions stand in its training records"
        others = f"measured on the {self.measured:,} others" if self.measured else "what it does on others is unknown"
        return f"{stand}: {others}"


def unseen(
    artifacts: Mapping[str, str | Path], benchmark: Benchmark, learned: Benchmark | None = None
) -> tuple[Benchmark, list[Seen]]:
    """Leave out the questions that an artifact was trained on, unless nothing is left then.

    Parameters
    ----------
    artifacts
        By the names that they are shown under. One without digests is taken to know no question.
    learned
        Records that all of them were trained on, if these are known.

    Returns
    -------
    Benchmark
        What to measure on.
    list of Seen
        Of each artifact that was trained on some of the questions.

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
