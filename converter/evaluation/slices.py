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
from ..statistics.estimation import Estimation, carried, estimated, lacking
from .evaluate import MEANS, known_roles
from .policies import Policy, Request, labels, routed, single_models
from .seen import unseen

# Calendar units -> the time in UTC up to which the names of two moments of one slice agree.
UNITS = {"day": "%Y-%m-%d", "week": "%G week %V", "month": "%Y-%m"}
MOST = 100
GAIN, BEFORE = "gain", "before"
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
    latest = masks[names[-1]]
    before = (of_question >= 0) & ~latest
    tables = (
        _columns({"quality": _of(one, known.quality), GAIN: _of(one, utility) - base}, masks | {BEFORE: before})
        for one in everything
    )
    sums = resampled(tables, seed)

    def achieved(name: str) -> list[Achieved]:
        mask = masks[name]
        reasons = [_lacking(one, estimation, mask) for one in everything]
        return [
            Achieved(one.label, *(_estimate(of, f"{name} {kind}", reason) for kind in ("quality", GAIN)))
            for one, of, reason in zip(everything, sums, reasons, strict=True)
        ]

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
                achieved(name),
            )
            for name, mask in masks.items()
        ],
        changes=[
            _change(one, of, names[-1], "quality" if one.label == best else GAIN, _lacking(one, estimation, latest))
            for one, of in zip(everything, sums, strict=True)
            if one.artifact or one.label == best
        ],
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


def _lacking(policy: Policy, estimation: Estimation | None, mask: Mask) -> str:
    """Return why a log does not tell what a policy achieves on the questions of a slice; empty where it does."""
    return "" if estimation is None else lacking(estimation, policy.chances, mask)


def _estimate(of: Sums, name: str, reason: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, reason) if reason else estimated_mean(of, name)


def _change(policy: Policy, of: Sums, last: str, kind: str, reason: str) -> Change:
    change = mean_of(of, f"{last} {kind}") - mean_of(of, f"{BEFORE} {kind}")
    questions = min(of.counts[f"{name} {kind} known"] for name in (last, BEFORE))
    unknown = Estimate(np.nan, np.nan, np.nan, reason)
    return Change(policy.label, kind, unknown if reason else estimate(change, questions))
