"""Verdicts: one line that says whether an artifact is worth calling."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import KINDS, PLACES

from ..statistics.bootstrap import Estimate, percent, signed
from ..statistics.estimation import GUESSED
from .evaluate import MIX_OF, Evaluation, Result
from .policies import Policy

ROUNDING = 1e-9


class Verdict(Struct):
    """Whether a policy is worth deploying, and the reason."""

    policy: str
    pays: bool
    text: str


def verdicts(evaluation: Evaluation) -> list[Verdict]:
    """Judge the artifacts' policies.

    A policy pays if its utility is surely higher than that of the best single model, or if it surely saves and its
    quality is surely higher than that of any static mix of two models at the same price. No policy pays on questions
    that it was trained on.
    """
    mixes = {mix.name: mix for mix in evaluation.of("mix")}
    note = f" ({evaluation.estimator})" if evaluation.estimator == GUESSED else ""
    known = {one.artifact: str(one) for one in evaluation.seen if not one.measured}
    return [
        Verdict(one.name, False, known[one.artifact].partition(": ")[2])
        if one.artifact in known
        else _verdict(one, mixes.get(MIX_OF.format(one.name)), evaluation, note)
        for one in evaluation.of("artifact")
    ]


def all_pay(policies: Sequence[Policy], found: Sequence[Verdict]) -> bool:
    """Return whether each requested operating point pays; without any, whether the default picks pay."""
    pays = {verdict.policy: verdict.pays for verdict in found}
    pointed = {policy.artifact for policy in policies if policy.keep is not None}
    return all(pays[p.label] for p in policies if p.keep is not None or p.artifact not in pointed)


def _verdict(result: Result, mix: Result | None, evaluation: Evaluation, note: str) -> Verdict:
    found = _judged(result, mix, evaluation)
    return Verdict(found.policy, found.pays, f"{found.text}{note}")


def _judged(result: Result, mix: Result | None, evaluation: Evaluation) -> Verdict:
    single, noun = evaluation.baseline, KINDS[PLACES[evaluation.axis]].noun
    unit = "" if evaluation.objective == Objective() else " utility"
    saves = _surely(result.saved)
    less = f"for {percent(result.saved)} less {noun}"
    if _surely(result.gain):
        text = f"{signed(result.gain)}{unit} over always calling {single}"
        return Verdict(result.name, True, f"{text}, {less}" if saves else text)
    if saves and _surely(result.over_mix):
        return Verdict(result.name, True, f"{_kept(result, single, unit)} {less}")
    parts = sorted(((share, name) for name, share in mix.selections.items() if share), reverse=True) if mix else []
    if np.isnan(result.gain.low):
        gain = "unknown" if np.isnan(result.gain.value) else f"{signed(result.gain)}{unit}"
        return Verdict(result.name, False, f"its gain over always calling {single} is {gain}: {result.gain.reason}")
    if saves and len(parts) > 1:
        mixture = " and ".join(f"{100 * share:.0f} % to {name}" for share, name in parts)
        return Verdict(result.name, False, f"send {mixture} instead: {signed(result.over_mix)} over that for as much")
    return Verdict(result.name, False, f"call {single} instead: {signed(result.gain)}{unit} over it")


def _kept(result: Result, single: str, unit: str) -> str:
    """Describe the quality compared with the best single model's: as a share of it, where its quality is above 0."""
    if np.isnan(result.kept.value):
        return f"{signed(result.gain)}{unit} over {single}"
    kept = percent(result.kept)
    return f"{single}'s quality ({kept})" if round(result.kept.value, 2) >= 1 else f"{kept} of {single}'s quality"


def _surely(estimate: Estimate) -> bool:
    """Whether an estimate is above 0 by more than the rounding of sums."""
    return estimate.low > ROUNDING
