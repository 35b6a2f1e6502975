"""How many questions a log needs to show a gain, by how much its policy explores: a computation of power."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple, Unpack

import numpy as np
from msgspec import Struct

from modelpick.runtime import Objective
from modelpick.runtime.decision.objective import utilities

from ..formats.outcomes import Benchmark, Matrix
from ..statistics.bootstrap import CONFIDENCE, FEWEST, UNKNOWN, WANTED
from ..statistics.estimation import Estimation, carried, estimated
from .evaluate import known_roles
from .policies import Policy, Request, chosen, routed
from .simulation import UNIFORM, chances_of, explored

EXPLORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# Share of such logs whose interval of the gain lies above 0.
POWER = 0.8
# The standard errors between an estimate and each end of its interval.
ENDS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
# The gain, in standard errors, that the share `POWER` of logs shows. Source: J. Cohen, Statistical Power Analysis,
# 1988, chapter 2.
ERRORS = ENDS + NormalDist().inv_cdf(POWER)
NO_ANSWERS = "the log would hold no answer of {} to questions for which they differ: explore more"
NO_UTILITY = "no utility of its picks is known"
NOTHING_DIFFERS = "it picks as always calling {} does"


class Needed(Struct, frozen=True):
    """About how many questions of a log show a gain of a policy over the best single model."""

    policy: str
    baseline: str
    gain: float
    explore: float
    questions: int | None
    """None where no log of this policy shows it."""
    reason: str = ""
    """Why there is no number."""

    @property
    def about(self) -> str:
        """The number of questions in two digits, as far as it is known; a dash where there is none."""
        return UNKNOWN if self.questions is None else f"{float(f'{self.questions:.2g}'):,.0f}"


def needed_questions(
    artifacts: Sequence[str | Path],
    records: Benchmark,
    *,
    gain: float,
    explores: Sequence[float] = EXPLORES,
    logged_by: str | None = None,
    seed: int = 0,
    **request: Unpack[Request],
) -> list[Needed]:
    """Compute how many questions, each with one answer, show a gain of artifacts over the best single model.

    In `POWER` of the logs with this number of questions, the 95 % interval of a gain that is as large as ``gain`` lies
    above 0.

    Parameters
    ----------
    artifacts
        Paths of artifacts.
    records
        Complete records, or a log, with embeddings: they tell how outcomes vary.
    gain
        Mean utility over that of the best single model, above 0.
    explores
        Probabilities with which the log holds another model than the pick of the policy that writes it.
    logged_by
        This policy, see `modelpick.converter.evaluation.simulation.chances_of`; by default each artifact itself. Where
        it is uniform, ``explores`` does not count.
    seed
        Seed of the folds by which outcomes are predicted.
    **request
        What each artifact picks by, see `modelpick.converter.evaluation.policies.Request`.

    Returns
    -------
    list of Needed
        For each policy of each artifact, one for each of ``explores``.

    Raises
    ------
    DocumentError
        When a query has no embedding, no utility is known, or the logging policy is unknown.
    ArtifactError, FeatureError
        When an artifact is refused, or does not fit the records or the request.
    """
    policies = routed(artifacts, records, **request)
    objective = request.get("objective", Objective())
    estimation = estimated(records, seed)
    _, roles = known_roles(policies, carried(estimation) if records.is_log else records, objective, None)
    best, m = roles["best"], len(records.model_names)
    always = chosen(np.full(len(records.queries), records.model_names.index(best)), m)
    explores = [1 - 1 / m] if logged_by == UNIFORM else explores
    found = []
    for policy in policies:
        influence = _influence(policy.chances - always, records, estimation, objective)
        for explore in explores:
            logged = explored(policy.chances, explore) if logged_by is None else chances_of(records, logged_by, explore)
            questions, reason = _needed(influence, (policy, Policy(best, always)), logged, gain)
            found.append(Needed(policy.label, best, gain, explore, questions, reason.format(best)))
    return found


class _Influence(NamedTuple):
    """What the variance of an estimated gain is made of: its influence function, by the policy that logs."""

    fixed: float
    """The part that does not depend on the policy that logs."""
    squares: Matrix
    """An answer with the probability p of being logged adds its value here, divided by p; (n_queries, n_models)."""
    differs: Matrix
    """By how much the chances of the two policies differ, (n_queries, n_models)."""

    def variance(self, logged: Matrix) -> float:
        """Return the variance of the influence function; the mean of N questions has an N-th of it."""
        parts = np.divide(self.squares, logged, out=np.zeros_like(logged), where=self.squares != 0)
        return self.fixed + float(np.nanmean(parts.sum(axis=1)))


def _influence(differs: Matrix, records: Benchmark, estimation: Estimation, objective: Objective) -> _Influence:
    """Take the influence function of doubly robust estimates apart.

    With residuals e of the predictions and differences d of the chances, its variance is that of ``sum d r``, plus the
    mean of ``sum d^2 e^2 / p - (sum d e)^2``, sums over the models: only one term depends on the propensities p of a
    log. The others are the same as in the records, complete or logged. Source: M. Dudik, D. Erhan, J. Langford, L. Li,
    Doubly Robust Policy Evaluation and Optimization, Statistical Science 29, 2014.
    """
    residuals = records.utilities(objective) - utilities(estimation.predicted, objective)
    weights = np.where(np.isnan(residuals), 0.0, estimation.weights)
    residuals = np.nan_to_num(residuals)
    gains = np.where(differs != 0, differs * estimation.benchmark.utilities(objective), 0.0).sum(axis=1)
    known = ~np.isnan(gains)
    if known.sum() < FEWEST:
        return _Influence(np.nan, np.zeros_like(weights), differs)
    corrections = (weights * differs * residuals).sum(axis=1)[known]
    squares = np.where(known[:, None], weights * differs**2 * residuals**2, np.nan)
    return _Influence(float(gains[known].var(ddof=1) - (corrections**2).mean()), squares, differs)


def _needed(influence: _Influence, policies: Sequence[Policy], logged: Matrix, gain: float) -> tuple[int | None, str]:
    """Return the number of questions, or why there is none; the estimates of both policies must rest on `WANTED`."""
    if not influence.differs.any():
        return None, NOTHING_DIFFERS
    if ((influence.differs != 0) & (logged == 0)).any():
        return None, NO_ANSWERS
    variance = influence.variance(logged)
    if np.isnan(variance):
        return None, NO_UTILITY
    squares = [np.divide(one.chances**2, logged, out=np.zeros_like(logged), where=logged > 0) for one in policies]
    least = WANTED * max(float(of.sum(axis=1).mean()) for of in squares)
    return ceil(max(variance * (ERRORS / gain) ** 2, least)), ""
