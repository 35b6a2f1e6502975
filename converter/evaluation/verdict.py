"""Verdicts: whether an artifact is worth calling, in a sentence. Everything that says so says it by this module."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct

from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import KINDS, PLACES

from ..statistics.bootstrap import WANTED, Estimate, whole, written
from ..statistics.estimation import ASSUMED, CONFOUNDED, GUESSED
from .evaluate import MIX_OF, Evaluation, Result
from .policies import Policy
from .power import ENDS, ERRORS

Answer = Literal["worth calling", "not worth calling", "cannot tell"]
# The answers, the best first, and the marks that they are shown by.
MARKS: dict[Answer, str] = {"worth calling": "✓", "cannot tell": "?", "not worth calling": "✗"}
WORTH, UNSURE, WORTHLESS = MARKS
ROUNDING = 1e-9
# A smaller gain than this share of the best single model's quality is not worth a selector.
MATTERS = 0.01
# In one of a hundred training questions, a distance exceeds 99 % of them; from this share on, the questions are others.
DRIFTED = 0.05
# What makes a verdict from a log without propensities less sure than it seems.
ESTIMATED = (
    "the log has no propensities: they are estimated, since no dependence of the model on the question is seen; what a "
    "hidden cause decided is not corrected"
)
# A point of quality, where qualities lie between -1 and 1.
POINT, QUALITY = 0.01, "points of quality"


class Verdict(Struct):
    """Whether a policy of an artifact is worth calling."""

    policy: str
    """Name of the policy; or of the artifact, where the verdict is on all of its policies."""
    answer: Answer
    text: str
    """The answer and its reason, as a sentence."""
    compared: str
    """The same as a sentence that begins with what it is compared with, and by which of its picks."""
    beware: list[str]
    """What makes the answer less sure than it seems, a line each."""
    pays: bool
    """Whether it is worth calling."""

    @property
    def mark(self) -> str:
        """A mark for the answer, which is a character wide."""
        return MARKS[self.answer]


class _Finding(NamedTuple):
    """The answer on one policy."""

    result: Result
    answer: Answer
    reason: str
    """The reason, as the rest of a sentence behind the answer."""
    short: str = ""
    """The reason behind that of another policy of the artifact, for one that is worth calling."""
    measured: str = ""
    """The reason behind the setting and what it is compared with, for one that is worth calling."""


def verdicts(evaluation: Evaluation) -> list[Verdict]:
    """Judge each policy of each artifact.

    A policy is worth calling if its utility is surely higher than that of the best single model; or if it surely saves,
    and its quality is surely higher than that of any static mix of two models at the same price. It is not, if a gain
    that matters can be ruled out: 1 % of the best single model's quality. Else there are too few questions to tell, or
    it was trained on all of them; or they are a log without propensities in which the choice of the model depends on
    the question.
    """
    return [_verdict(one.result.name, [one], evaluation) for one in _findings(evaluation)]


def headlines(evaluation: Evaluation) -> list[Verdict]:
    """Judge each artifact in one sentence: it is worth calling if one of its policies is.

    The sentence names what the artifact picks by default, and of the operating points the one that keeps the most
    quality, by its ``keep``, as far as these are worth calling.
    """
    found = groupby(_findings(evaluation), lambda one: one.result.artifact)
    return [_verdict(name, list(of), evaluation) for name, of in found]


def all_pay(policies: Sequence[Policy], evaluation: Evaluation, requested: Sequence[float]) -> bool:
    """Return whether each requested operating point is worth calling; without any, whether each artifact is."""
    if not requested:
        return all(verdict.pays for verdict in headlines(evaluation))
    pays = {verdict.policy: verdict.pays for verdict in verdicts(evaluation)}
    return all(pays[policy.label] for policy in policies if policy.keep in requested)


def _verdict(name: str, found: Sequence[_Finding], evaluation: Evaluation) -> Verdict:
    answer = next(answer for answer in MARKS if any(one.answer == answer for one in found))
    agreeing = [one for one in found if one.answer == answer]
    if answer == WORTH:
        most = max(one.result.keep or 0.0 for one in agreeing)
        agreeing = [one for one in agreeing if one.result.keep in (None, most)]
        reasons = "; or ".join([agreeing[0].reason, *(one.short for one in agreeing[1:])])
        text = f"{answer.capitalize()}: {reasons}."
        measured = "; ".join(f"{_setting(one.result, evaluation)}: {one.measured}" for one in agreeing)
        compared = f"Compared with always calling {evaluation.baseline}, {measured}. It is {answer}."
    else:
        result, reason = agreeing[0].result, agreeing[0].reason
        text = f"{answer.capitalize()}: {reason}."
        compared = text if result.keep is None else f"{answer.capitalize()}, {_setting(result, evaluation)}: {reason}."
    beware = _beware(agreeing[0].result, evaluation)
    return Verdict(name, answer, text, compared, beware, answer == WORTH)


def _setting(result: Result, evaluation: Evaluation) -> str:
    """Say by which picks of its artifact a policy goes."""
    if result.keep is None:
        return "by default"
    kept = f"the cheapest that promises {100 * result.keep:g} % of {evaluation.baseline}'s quality"
    return f"at the operating point keep={result.keep:g} ({kept}; not the default)"


def _findings(evaluation: Evaluation) -> Iterator[_Finding]:
    mixes = {mix.name: mix for mix in evaluation.of("mix")}
    unmeasured = {one.artifact: one.told for one in evaluation.seen if not one.measured}
    for result in evaluation.of("artifact"):
        if result.artifact in unmeasured:
            yield _Finding(result, UNSURE, unmeasured[result.artifact])
        else:
            yield _judged(result, mixes.get(MIX_OF.format(result.name)), evaluation)


def _judged(result: Result, mix: Result | None, evaluation: Evaluation) -> _Finding:
    if evaluation.estimator == ASSUMED:
        return _Finding(result, UNSURE, f"{CONFOUNDED}: record them, as `decide` and the gateway do")
    price = KINDS[PLACES[evaluation.axis]].noun
    saves, less = _surely(result.saved), f" for {whole(result.saved)} less {price}"
    always = f"always calling {evaluation.baseline}"
    unit = QUALITY if evaluation.objective == Objective() else "points of utility"
    if _surely(result.gain):
        gain = gained(result.gain, evaluation, unit)
        return _proved(result, gain, f" over {always}", less if saves else "")
    if saves and _surely(result.over_mix):
        kept, than = _kept(result, unit, evaluation)
        return _proved(result, kept, f" {than} {always}", less)
    parts = sorted(((share, name) for name, share in mix.selections.items() if share), reverse=True) if mix else []
    if saves and len(parts) > 1:
        mixture = " and ".join(f"{100 * share:.0f} % to {name}" for share, name in parts)
        sending = f"always sending {mixture}, at random,"
        return _unproved(result, result.over_mix, QUALITY, sending, f"has the same {price} and is", evaluation)
    return _unproved(result, result.gain, unit, always, "is", evaluation)


def _proved(result: Result, amount: str, than: str, less: str) -> _Finding:
    """Say what is gained or kept, at which price."""
    point, but = "" if result.keep is None else f" with keep={result.keep:g}", _but(result)
    short = f"{amount}{less}{point}{but}"
    return _Finding(result, WORTH, f"{amount}{than}{less}{point}{but}", short, f"{amount}{less}{but}")


def _unproved(result: Result, gain: Estimate, unit: str, instead: str, it_is: str, evaluation: Evaluation) -> _Finding:
    """Say how much better another way is where a gain that matters is ruled out, or how many questions would tell."""
    if np.isnan(gain.low):
        return _Finding(result, UNSURE, gain.reason)
    matters = MATTERS * max(abs(quality) for quality in _qualities(evaluation))
    if gain.high <= matters:
        lost = Estimate(-gain.value, -gain.high, -gain.low)
        if _surely(lost):
            return _Finding(result, WORTHLESS, f"{instead} {it_is} {gained(lost, evaluation, unit, sign='')} better")
        return _Finding(result, WORTHLESS, f"{instead} {it_is} as good or better: {gained(lost, evaluation, unit)}")
    n = evaluation.queries
    # The interval must leave out either 0 or what matters: the one that is farther from the value.
    distance = max(gain.value, matters - gain.value)
    stand = f"{n:,} question{'' if n == 1 else 's'}"
    if distance > 0:
        needed = n * (ERRORS / distance * (gain.high - gain.low) / (2 * ENDS)) ** 2
        stand += f"; about {_rounded(needed):,} would do"
    than = instead.removesuffix(",")
    return _Finding(result, UNSURE, f"{stand} ({gained(gain, evaluation, unit)} over {than})")


def _beware(result: Result, evaluation: Evaluation) -> list[str]:
    """List what makes an answer less sure than it seems."""
    n, drift = evaluation.queries, evaluation.drifts.get(result.artifact)
    found = [one.told for one in evaluation.seen if one.artifact == result.artifact and one.measured]
    if drift is not None and drift.far >= DRIFTED:
        found.append(
            f"{100 * drift.far:.0f} % of the questions lie farther out than 99 % of its training questions: "
            "they are of another kind"
        )
    if evaluation.estimator == GUESSED:
        found.append(ESTIMATED)
    if result.coverage < 1:
        found.append(f"the quality of {100 * (1 - result.coverage):.1f} % of its calls is not known")
    if n < WANTED:
        found.append(f"intervals from fewer than {WANTED} questions are narrower than they should be")
    return found


def _but(result: Result) -> str:
    """Name the prices that surely rise."""
    risen = [f"{kind} {whole(one, '+')}" for kind, one in result.changes.items() if _surely(one)]
    return f", but {', '.join(risen)}" if risen else ""


def _kept(result: Result, unit: str, evaluation: Evaluation) -> tuple[str, str]:
    """Describe a quality compared with another, where that is above 0 as a share of it; and the word behind it."""
    if np.isnan(result.kept.value):
        return gained(result.gain, evaluation, unit), "over"
    if round(result.kept.value, 2) >= 1:
        return "the same quality", "as"
    return f"{whole(result.kept)} of the quality", "of"


def gained(gain: Estimate, evaluation: Evaluation, unit: str, sign: str = "+") -> str:
    """Write a difference of qualities: in points of 0.01, with their unit, where qualities lie between -1 and 1."""
    if max(abs(quality) for quality in _qualities(evaluation)) > 1:
        return written(gain, f"{sign}z.3f")
    return written(gain, "z.1f", 1 / POINT, f" {unit}", sign=sign)


def _qualities(evaluation: Evaluation) -> list[float]:
    """Return the mean qualities of the single models."""
    return [0.0, *(one.quality.value for one in evaluation.of("single") if not np.isnan(one.quality.value))]


def _rounded(number: float) -> int:
    """Round up to two significant digits."""
    unit: int = 10 ** max(0, int(np.log10(max(number, 1.0))) - 1)
    return int(np.ceil(number / unit)) * unit


def _surely(estimate: Estimate) -> bool:
    """Whether an estimate is above 0 by more than the rounding of sums."""
    return estimate.low > ROUNDING
