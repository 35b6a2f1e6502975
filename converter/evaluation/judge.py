"""The whole way of an evaluation: artifacts and held-out records -> estimates, and whether each artifact pays."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

from modelpick.runtime import ModelpickError, Objective

from ..formats.outcomes import Benchmark
from .calibration import calibrations
from .evaluate import Evaluation, evaluate_policies
from .picks import Pick, picks_worst_first
from .policies import Policy, Request, labels, routed
from .recovery import preferences, recover
from .seen import unseen
from .verdict import Verdict, all_pay, headlines, verdicts


class Judgement(NamedTuple):
    """What artifacts achieve on records, and whether they pay."""

    evaluation: Evaluation
    verdicts: list[Verdict]
    """Whether each policy of each artifact is worth calling."""
    policies: list[Policy]
    """Policies of each artifact: its picks by the objective, then at each operating point."""
    requested: Sequence[float]
    """Operating points that were asked for."""
    records: Benchmark
    """The questions that were measured: those that no artifact was trained on, unless each was."""

    @property
    def all_pay(self) -> bool:
        """Whether each requested operating point is worth calling; without any, whether each artifact is."""
        return all_pay(self.policies, self.evaluation, self.requested)

    @property
    def headlines(self) -> list[Verdict]:
        """Return whether each artifact is worth calling, by one of its policies."""
        return headlines(self.evaluation)

    def picks(self) -> list[Pick]:
        """List all picks by regret, the highest first; picks of unknown regret come last."""
        return picks_worst_first(self.policies, self.records, self.evaluation.objective)


def evaluate(
    artifacts: Sequence[str | Path],
    records: Benchmark,
    *,
    learned: Benchmark | None = None,
    pair: tuple[str, str] | None = None,
    strong_share: float | None = None,
    seed: int = 0,
    **request: Unpack[Request],
) -> Judgement:
    """Measure artifacts on benchmark records that they were not trained on, and say whether they pay.

    Artifacts are compared with the best choice in hindsight, each single model, chance, and the best mix of two models
    at the same mean cost. Questions that an artifact was trained on are left out; its digests or ``learned`` tell them.

    Parameters
    ----------
    artifacts
        Paths of artifacts.
    records
        Held-out records with embeddings, see `read_records`.
    learned
        Records that the artifacts were trained on, which determine the best single model. By default the artifacts'
        metadata do.
    pair
        Weak and strong model: the choice between the two is measured too, by APGR and CPT.
    strong_share
        The objective is found that sends this share of the calls to the strong model of ``pair``.
    seed
        Seed of the bootstrap.
    **request
        What each artifact picks by, see `modelpick.converter.evaluation.policies.Request`. By default the operating
        points are all of `modelpick.converter.evaluation.policies.KEEPS` that an artifact promises.

    Raises
    ------
    DocumentError
        When a query has no embedding, no pick is a model with records, or no utility is known.
    ArtifactError, FeatureError
        When an artifact is refused, or does not fit the records or the request.
    ModelpickError
        When ``strong_share`` is given without ``pair``.
    """
    if strong_share is not None and pair is None:
        raise ModelpickError("--strong-share: expected --pair, which names the strong model")
    named = {name: path for path, name in labels(artifacts).items()}
    records, seen = unseen(named, records, learned)
    keeps = request.setdefault("keeps", None)
    policies = routed(artifacts, records, **request)
    objective = request.get("objective", Objective())
    evaluation = evaluate_policies(policies, records, objective=objective, learned=learned, seed=seed)
    evaluation.seen = seen
    predict_category = request.get("predict_category", False)
    evaluation.calibrations = calibrations(named, records, predict_category=predict_category, seed=seed)
    if pair is not None:
        preferred = preferences(artifacts, records, *pair, predict_category=predict_category)
        evaluation.recoveries = recover(preferred, records, *pair, strong_share=strong_share, seed=seed)
    return Judgement(evaluation, verdicts(evaluation), policies, keeps or (), records)
