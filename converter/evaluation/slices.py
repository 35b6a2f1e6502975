"""What artifacts and models achieve by time, and whether it changes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import DocumentError, ModelpickError, Objective

from ..formats.outcomes import Benchmark, Matrix, iso
from ..statistics.bootstrap import (
    FEWEST,
    Estimate,
    Sums,
    Vector,
    estimate,
    estimated_mean,
    mean_of,
    resampled,
    signed,
    with_known,
)
from ..statistics.estimation import carried, estimated, lacking
from .evaluate import MEANS, known_roles
from .policies import Policy, Request, labels, routed, single_models
from .seen import unseen

# Calendar units -> the time in UTC up to which the names of two moments of one slice agree.
UNITS = {"day": "%Y-%m-%d", "week": "%G week %V", "month": "%Y-%m"}
MOST = 100
QUALITY, GAIN, BEFORE = "quality", "gain", "before"
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Achieved(Struct):
    """What a policy achieves on the questions of a slice."""

    policy: str
    quality: Estimate
    gain: Estimate
    """Mean utility minus that of the best single model."""


class TimeSlice(Struct):
    """Questions of a stretch of time."""

    name: str
    first: str
    last: str
    """Times of the first and the last question, as ISO 8601 writes them."""
    questions: int
    results: list[Achieved]
    """Of the artifacts' policies, then of the single models."""


class Change(Struct):
    """By how much a policy's gain in the last slice exceeds its gain before; for the best single model, its quality."""

    policy: str
    kind: str
    """"gain" or "quality"."""
    by: Estimate

    @property
    def is_sure(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.by.low > 0 or self.by.high < 0


class TimeSlices(Struct):
    """What policies achieve by time."""

    baseline: str
    """The best single model, by the objective."""
    estimator: str
    """How outcomes were estimated, in words."""
    untimed: int
    """Number of questions without a time, which are left out."""
    slices: list[TimeSlice]
    changes: list[Change]

    def sentence(self) -> str:
        """Say whether the last slice differs from those before."""
        before = f"{self.slices[-1].name} compared with before"
        unknown = [one for one in self.changes if np.isnan(one.by.low)]
        if len(unknown) == len(self.changes):
            return f"{before}: no change is known: {unknown[0].by.reason}"
        sure = [f"the {one.kind} of {one.policy} changed by {signed(one.by)}" for one in self.changes if one.is_sure]
        return f"{before}: {', '.join(sure) or 'no gain, and not the quality of the best single model, surely changed'}"


def evaluate_slices(
    artifacts: Sequence[str | Path],
    records: Benchmark,
    *,
    by: int | str,
    seed: int = 0,
    **request: Unpack[Request],
) -> TimeSlices:
    """Measure artifacts and single models on the questions of each stretch of time.

    Questions that an artifact was trained on are left out. Outcomes of a log are estimated once, from all of it.

    Parameters
    ----------
    artifacts
        Paths of artifacts.
    records
        Records with embeddings and timestamps.
    by
        Number of slices with equally many questions; or "day", "week" or "month", in UTC.
    seed
        Seed of the bootstrap.
    **request
        What each artifact picks by, see `modelpick.converter.evaluation.policies.Request`.

    Raises
    ------
    DocumentError
        When fewer than two or more than `MOST` slices have questions, or as `modelpick.converter.evaluate` does.
    ArtifactError, FeatureError
        When an artifact is refused, or does not fit the records or the request.
    ModelpickError
        When ``by`` is another word.
    """
    records, _ = unseen({name: path for path, name in labels(artifacts).items()}, records)
    names, of_question = _sliced(records.asked, by)
    policies, objective = routed(artifacts, records, **request), request.get("objective", Objective())
    estimation = estimated(records, seed) if records.is_log else None
    known, supported = (records, records) if estimation is None else (estimation.benchmark, carried(estimation))
    best = known_roles(policies, supported, objective, None)[1]["best"]
    utility = known.known_utilities(objective)
    base = utility[:, known.model_names.index(best)]
    everything = [*policies, *single_models(known)]
    masks = {name: of_question == place for place, name in enumerate(names)}
    last = names[-1]
    parts = masks | {BEFORE: (of_question >= 0) & ~masks[last]}
    tables = (_columns({QUALITY: _of(one, known.quality), GAIN: _of(one, utility) - base}, parts) for one in everything)
    sums = dict(zip((one.label for one in everything), resampled(tables, seed), strict=True))
    lacked = {
        name: {one.label: "" if estimation is None else lacking(estimation, one.chances, mask) for one in everything}
        for name, mask in parts.items()
    }

    def reason(name: str, label: str, kind: str) -> str:
        of_base = lacked[name][best] if kind == GAIN else ""
        return lacked[name][label] or (of_base and f"{best}: {of_base}")

    def found(name: str, label: str, kind: str) -> Estimate:
        unknown = reason(name, label, kind)
        return _unknown(unknown) if unknown else estimated_mean(sums[label], f"{name} {kind}")

    def change(label: str, kind: str) -> Change:
        unknown = reason(last, label, kind) or reason(BEFORE, label, kind)
        return Change(label, kind, _unknown(unknown) if unknown else _risen(sums[label], last, kind))

    return TimeSlices(
        baseline=best,
        estimator=MEANS if estimation is None else estimation.estimator,
        untimed=int((of_question < 0).sum()),
        slices=[
            TimeSlice(
                name,
                iso(float(records.asked[mask].min())),
                iso(float(records.asked[mask].max())),
                int(mask.sum()),
                [Achieved(label, found(name, label, QUALITY), found(name, label, GAIN)) for label in sums],
            )
            for name, mask in masks.items()
        ],
        changes=[*(change(one.label, GAIN) for one in policies), change(best, QUALITY)],
    )


def _sliced(asked: Vector, by: int | str) -> tuple[list[str], Indices]:
    """Return the names of the slices in order of time, and the slice of each question, -1 without a time."""
    timed = np.flatnonzero(~np.isnan(asked))
    timed = timed[np.argsort(asked[timed], kind="stable")]
    if isinstance(by, str):
        if by not in UNITS:
            raise ModelpickError(f"slices: expected a number, or one of {', '.join(UNITS)}, got {by!r}")
        stamps = [datetime.fromtimestamp(seconds, UTC).strftime(UNITS[by]) for seconds in asked[timed].tolist()]
        names = list(dict.fromkeys(stamps))
        numbers = [names.index(stamp) for stamp in stamps]
    else:
        by = min(by, len(timed))
        names = [f"{number} of {by}" for number in range(1, by + 1)]
        numbers = [place * by // len(timed) for place in range(len(timed))]
    if not FEWEST <= len(set(numbers)) <= MOST:
        raise DocumentError(f"expected questions with timestamps in {FEWEST} to {MOST} slices, got {len(set(numbers))}")
    of_question = np.full(len(asked), -1, dtype=np.int64)
    of_question[timed] = numbers
    return names, of_question


def _of(policy: Policy, values: Matrix) -> Vector:
    """Return what a policy achieves on each question, (n_queries,); NaN where an outcome of its picks is unknown."""
    called = policy.chances > 0
    found = np.where(called, policy.chances * values, 0.0).sum(axis=1)
    return np.where(called.any(axis=1), found, np.nan)


def _columns(achieved: Mapping[str, Vector], masks: Mapping[str, Mask]) -> dict[str, Vector]:
    return with_known(
        {
            f"{name} {kind}": np.where(mask, values, np.nan)
            for name, mask in masks.items()
            for kind, values in achieved.items()
        }
    )


def _unknown(reason: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, reason)


def _risen(of: Sums, last: str, kind: str) -> Estimate:
    """Estimate by how much the mean on the questions of the last slice exceeds the mean on those before."""
    change = mean_of(of, f"{last} {kind}") - mean_of(of, f"{BEFORE} {kind}")
    return estimate(change, min(of.counts[f"{name} {kind} known"] for name in (last, BEFORE)))
