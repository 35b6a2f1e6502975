"""All numbers of a report, as one tree: ``--json`` prints it, and the page and the summary are made from it."""

from collections import Counter
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from modelpick.runtime import OperatingPoint
from modelpick.runtime.decision.operating_points import written_point

from ..evaluation.drift import Drift
from ..evaluation.evaluate import MANY, Evaluation
from ..evaluation.evaluate import to_fields as evaluation_fields
from ..evaluation.verdict import Verdict
from ..statistics.bootstrap import Estimate
from ..verification.report import Report

BEFORE = "{} (before)"
"""Name under which a replaced artifact is shown."""


class Machine(Struct):
    """Where a report was made."""

    processor: str
    cores: int
    system: str
    versions: dict[str, str]
    """Versions of Python and of the libraries that run artifacts."""


class Latency(Struct):
    """How long picks took on this machine, in seconds."""

    calls: int
    """Number of single calls that were timed."""
    median: float
    p90: float
    """The 90th percentile of a call's time."""
    p99: float
    batch: int
    """Number of queries in the batch that was timed."""
    per_query: float
    """Time of the batch, divided by its number of queries."""


class Artifact(Struct):
    """The properties of an artifact, and its speed on this machine."""

    name: str
    """Stem of its file, or its path where the stem is ambiguous."""
    path: str
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the file."""
    source_sha256: str
    """SHA-256 of the JSON model; empty where there was none."""
    format_version: int
    algorithm: str
    semantics: str
    rows: int
    width: int
    k: int
    """Number of neighbours; 0 where the algorithm has none."""
    model_names: list[str]
    default: str | None
    embedding_model: str | None
    embedding_dim: int | None
    encoder: str | None
    """Name and digest of the encoder that it was trained with."""
    tools: dict[str, str]
    points: list[OperatingPoint]
    latency: Latency
    verification: Report | None
    unverified: str
    """Why there is no verification."""
    drift: Drift | None


class Flow(Struct):
    """The number of queries that one model answered before and one answers now, perhaps the same model."""

    before: str
    after: str
    queries: int


class Score(Struct):
    """Score of a model."""

    model: str
    score: float


class Why(Struct):
    """An explanation of a pick, shortened."""

    model: str
    scores: list[Score]
    """The highest scores, in descending order."""
    because: str
    """What decided: neighbours, cluster or classifier, in words."""


class Reason(Struct):
    """A reason why picks changed."""

    words: str
    queries: int
    """Number of queries whose picks changed for it."""
    examples: list[str]
    """Some of these queries: their texts, or the numbers of made queries."""


class Telling(Struct):
    """One of the most telling changed queries."""

    query: str
    """Text of the query, or the number of the made query."""
    category: str | None
    reason: str
    """Why the pick changed, in words."""
    before: Why
    after: Why
    quality_before: float | None
    """Recorded quality of the former pick; None where it is unknown."""
    quality_after: float | None


class Effect(Struct):
    """The mean of an outcome on the queries where it is known of both picks."""

    before: float
    after: float
    change: Estimate
    share: Estimate
    """The change as a share of the mean before; NaN where the latter is not surely above 0."""


class CategoryChange(Struct):
    """Changes among the records' queries of a category."""

    category: str
    queries: int
    changed: int
    quality: Estimate
    """Change of the mean quality."""


class Picks(Struct):
    """Picks of the new artifact, compared with the old one's."""

    of: str
    """``queries of the records``, or ``made queries``."""
    queries: int
    changed: int
    flows: list[Flow]
    """Flows, the most frequent first."""
    reasons: list[Reason]
    """Reasons why picks changed, the most frequent first."""
    telling: list[Telling]
    """Most telling changes: the largest known changes of quality first, then the most clearly decided ones."""
    better: int
    """Number of changed queries whose recorded quality rises."""
    worse: int
    effects: dict[str, Effect]
    """Kind of outcome -> what changes of it, as far as the kind was recorded."""
    categories: list[CategoryChange]
    estimator: str = ""
    """For a log, how outcomes were estimated, in words."""

    def volume(self) -> Counter[str]:
        """Count the queries that each model answers, before and now together."""
        answered = Counter[str]()
        for flow in self.flows:
            answered.update({flow.before: flow.queries})
            answered.update({flow.after: flow.queries})
        return answered


class Comparison(Struct):
    """What changes from one artifact to another."""

    name: str
    """Name of the new artifact."""
    old: Artifact
    nature: list[str]
    """What kind of change it is, in sentences."""
    picks: list[Picks]
    omitted: str
    """Why there are no made queries."""

    @property
    def is_unchanged(self) -> bool:
        """Whether queries were compared, and all are answered by the same model as before."""
        return bool(self.picks) and not any(one.changed for one in self.picks)


class Mark(Struct):
    """A row of the model, or a query of the records, on a map."""

    x: float
    y: float
    pick: str
    row: int | None
    """Index among the artifact's distinct rows, centroids or support vectors; None for a query."""
    query: str | None
    """Text of the query, shortened; None for a row."""


class Map(Struct):
    """Rows and queries on their first two principal components."""

    artifact: str
    columns: int
    """Number of columns that determine the place: all, or the embedding's where its width is known."""
    by_direction: bool
    """Whether vectors are scaled to unit length first, as the artifact does with queries."""
    explained: list[float]
    """Share of the variance along each axis."""
    rows: int
    """Number of rows, of which the marks may be a sample."""
    queries: int
    marks: list[Mark]


class Worth(Struct):
    """What artifacts achieve on records; replaced artifacts are called NAME (before)."""

    evaluation: Evaluation
    headlines: list[Verdict]
    """Whether each artifact is worth calling, by one of its policies."""
    verdicts: list[Verdict]
    """Whether each policy of each artifact is worth calling."""


class Facts(Struct):
    """A report in numbers."""

    version: str
    """Version of modelpick."""
    made: str
    """Day on which the report was made, such as 2026-05-31, in UTC."""
    machine: Machine
    artifacts: list[Artifact]
    added: list[str]
    """Artifacts without a counterpart among the old ones, where there are old ones."""
    removed: list[str]
    """Old artifacts without a counterpart."""
    comparisons: list[Comparison]
    data: str | None
    """File of the records."""
    worth: Worth | None
    questions: int
    """Number of questions of the records that were compared and evaluated."""
    maps: list[Map]
    samples: int
    """Number of queries made from each model."""

    @property
    def failed(self) -> Report | None:
        """Verification of the first artifact that disagrees with its JSON model."""
        reports = [one.verification for one in self.artifacts if one.verification is not None]
        return next((report for report in reports if not report.passed), None)

    def named(self) -> list[tuple[str, Artifact]]:
        """Return the artifacts, then those that they replace, by the names under which they are shown."""
        old = {one.old.path: one.old for one in self.comparisons}.values()
        return [*((one.name, one) for one in self.artifacts), *((BEFORE.format(one.name), one) for one in old)]

    def model_colors(self) -> dict[str, int]:
        """Return a number, from 0, for each of at most `MANY` models that have a colour of their own.

        They are the models that the first picture shows most, then the next picture.
        """
        pictures = [picks.volume() for one in self.comparisons for picks in one.picks]
        pictures += [Counter(mark.pick for mark in one.marks) for one in self.maps]
        names = dict.fromkeys(name for shown in pictures for name, _ in shown.most_common())
        return {name: color for color, name in enumerate(list(names)[:MANY])}


def to_fields(facts: Facts) -> dict[str, Any]:
    """Return the JSON of a report."""
    fields = asdict(facts)
    fields["artifacts"] = [_artifact_fields(one) for one in facts.artifacts]
    fields["comparisons"] = [asdict(one) | {"old": _artifact_fields(one.old)} for one in facts.comparisons]
    if facts.worth is not None:
        worth = facts.worth
        fields["worth"] = asdict(worth) | {"evaluation": evaluation_fields(worth.evaluation)}
    return fields


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    points = []
    for point in artifact.points:
        fields = written_point(point)
        del fields["shares"]
        points.append({name: Estimate(*one) if isinstance(one, list) else one for name, one in fields.items()})
    return asdict(artifact) | {"points": points}
