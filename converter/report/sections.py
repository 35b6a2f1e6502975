"""From facts to sections: headings, words, tables and pictures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import takewhile
from pathlib import Path

from ..evaluation.evaluate import MEANS
from ..formats.words import listed
from ..statistics.bootstrap import UNKNOWN
from .answers import Answer, answers
from .does_it_pay import does_it_pay
from .facts import Artifact, Facts, Map
from .layout import Page, Section
from .pictures import drift_picture, isolated, map_picture
from .tables import Cell, Table, count, microseconds, number, share, size
from .what_changes import what_changes

NAMED = 3
"""Most artifacts that a title names."""


def page_of(facts: Facts) -> Page:
    """Write a report."""
    colors, told = facts.model_colors(), answers(facts)
    several = len(told) > 1
    found = [
        *([_told(one) for one in told if not one.is_unchanged] if several else []),
        what_changes(facts, colors),
        does_it_pay(facts),
        _maps(facts, colors),
        _drift(facts),
        Section(
            "Where it comes from, verification, time of a pick",
            parts=[_artifacts(facts), _verification(facts), _latency(facts)],
            is_folded=True,
        ),
    ]
    first = overview(facts, told) if several else _told(told[0])
    return Page(title(facts), subject(facts), first, [section for section in found if section is not None])


def title(facts: Facts) -> str:
    """Name the artifacts of a report, and its day."""
    names = [isolated(one.name) for one in facts.artifacts]
    return f"{listed(names, NAMED)}: report of {date.fromisoformat(facts.made):%-d %B %Y}"


def subject(facts: Facts) -> str:
    """Say what was compared, and on what."""
    words = []
    if len(facts.artifacts) == len(facts.comparisons) == 1:
        old, new = _apart(facts.comparisons[0].old.path, facts.artifacts[0].path)
        words.append(f"{isolated(new)} replaces {isolated(old)}.")
    if facts.data is not None:
        words.append(f"Measured on {facts.questions:,} questions of {isolated(facts.data)}.")
    if facts.worth is not None and facts.worth.evaluation.estimator != MEANS:
        words.append(f"A log: {facts.worth.evaluation.estimator}.")
    return " ".join(words)


def _apart(*paths: str) -> list[str]:
    """Leave out the folders that paths share in front."""
    folders = zip(*(Path(path).parts[:-1] for path in paths), strict=False)
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, folders)))
    return [str(Path(*Path(path).parts[shared:])) for path in paths]


def overview(facts: Facts, told: Sequence[Answer]) -> Section:
    """Write a line for each artifact that is not unchanged, and one for all others."""
    unchanged = [isolated(one.name) for one in told if one.is_unchanged]
    words = [
        *([f"Unchanged, all queries are answered by the same models: {listed(unchanged)}."] if unchanged else []),
        *([f"New, in addition to the old ones: {listed(list(map(isolated, facts.added)))}."] if facts.added else []),
        *([f"No longer there: {listed(list(map(isolated, facts.removed)))}."] if facts.removed else []),
    ]
    rows: list[list[Cell]] = [
        [one.name, "\n".join(lead.marked for lead in one.leads)] for one in told if not one.is_unchanged
    ]
    return Section(
        "In short",
        words=words,
        tables=[Table("What matters of each artifact", ("artifact", "in short"), rows)] if rows else [],
    )


def _told(answer: Answer) -> Section:
    return Section(
        answer.name,
        leads=answer.leads,
        words=answer.nature,
        tables=[] if answer.numbers is None else [answer.numbers],
        look=answer.look,
    )


def _verified(artifact: Artifact) -> str:
    found = artifact.verification
    if found is None:
        return artifact.unverified
    return f"{'✓' if found.passed else '✗'} {found.agreed:,} of {found.queries:,}"


def _artifacts(facts: Facts) -> Section:
    what = Table(
        "What each artifact is",
        ("artifact", "algorithm", "rules", "rows", "width", "models", "k", "default", "embeddings", "size"),
        [
            [
                name,
                one.algorithm,
                one.semantics,
                count(one.rows),
                count(one.width),
                count(len(one.model_names)),
                count(one.k) if one.k else UNKNOWN,
                one.default or UNKNOWN,
                _embedding(one),
                size(one.size),
            ]
            for name, one in facts.named()
        ],
    )
    made = Table(
        "Where each comes from",
        ("artifact", "file", "SHA-256 of the file", "SHA-256 of its JSON model", "format", "made by"),
        [
            [
                name,
                one.path,
                one.sha256,
                one.source_sha256 or UNKNOWN,
                count(one.format_version),
                ", ".join(f"{tool} {version}" for tool, version in one.tools.items()),
            ]
            for name, one in facts.named()
        ],
    )
    having: dict[str, list[str]] = {}
    for name, one in facts.named():
        for model in one.model_names:
            having.setdefault(model, []).append(name)
    everyone = len(facts.named())
    models = Table(
        "Language models that can be picked",
        ("model", "by"),
        [[model, "all artifacts" if len(names) == everyone else ", ".join(names)] for model, names in having.items()],
    )
    return Section("Artifacts", tables=[what, made, models])


def _embedding(artifact: Artifact) -> str:
    known = [
        artifact.encoder or artifact.embedding_model or "",
        f"{artifact.embedding_dim:,} wide" if artifact.embedding_dim else "",
    ]
    return ", ".join(filter(None, known)) or UNKNOWN


def _verification(facts: Facts) -> Section:
    rows: list[list[Cell]] = []
    for name, one in facts.named():
        found = one.verification
        if found is None:
            rows.append([name, one.unverified, *[UNKNOWN] * 4])
            continue
        differences = (number(value, ".1e") for value in (found.score_difference, found.distance_difference))
        wrong = UNKNOWN if found.worst is None else f"{found.worst.artifact} instead of {found.worst.estimator}"
        rows.append([name, _verified(one), count(found.tied), *differences, wrong])
    words = [
        "Each artifact was run in onnxruntime, and compared with a scikit-learn estimator of the JSON model that it "
        f"restores, on {facts.samples:,} queries made from that model. Picks, scores and distances must agree; where "
        "float64's rounding decides, a query is tied."
    ]
    columns = ("artifact", "agreed", "tied", "largest difference of scores", "of distances", "worst disagreement")
    return Section(
        "Verification", words=words, tables=[Table("Artifacts compared with their estimators", columns, rows)]
    )


def _maps(facts: Facts, colors: Mapping[str, int]) -> Section | None:
    if not facts.maps:
        return None
    words = [
        "Vectors that lie close together in all dimensions mostly do so here too, but not the other way round. Squares "
        "are rows of the model, discs are queries of the records; the colour is the model that is picked there."
    ]
    widths = {one.name: one.width for one in facts.artifacts}
    return Section("Map", words=words, parts=[_map(one, widths[one.artifact], colors) for one in facts.maps])


def _map(found: Map, width: int, colors: Mapping[str, int]) -> Section:
    drawn = Counter(mark.row is None for mark in found.marks)
    sampled = drawn[False] < found.rows or drawn[True] < found.queries
    shown = f"{drawn[False]:,} of {found.rows:,} rows and {drawn[True]:,} of {found.queries:,} queries are drawn"
    words = [
        f"{shown}{', a random sample' if sampled else ''}. The axes hold "
        f"{' and '.join(share(one).text for one in found.explained)} of the variance "
        f"of the first {found.columns:,} columns{'' if found.columns == width else ', the embedding'}"
        f"{', of vectors scaled to unit length, as picks depend on their direction' if found.by_direction else ''}."
    ]
    picks = Counter((mark.pick, mark.row is None) for mark in found.marks)
    names = sorted(dict.fromkeys(mark.pick for mark in found.marks), key=lambda name: colors.get(name, len(colors)))
    rows: list[list[Cell]] = [[name, count(picks[name, False]), count(picks[name, True])] for name in names]
    table = Table("Marks by the model that is picked", ("model", "rows", "queries"), rows)
    return Section(found.artifact, words=words, pictures=[map_picture(found, colors, table)])


def _drift(facts: Facts) -> Section | None:
    found = [(one.name, one.drift) for one in facts.artifacts if one.drift is not None]
    if not found:
        return None
    words = [
        "How far the records' queries lie from the nearest row or centroid, compared with how far rows lie from one "
        "another, as recorded at conversion. Where nothing drifted, 1 % are far."
    ]
    parts = []
    for name, drift in found:
        deciles = zip(range(0, 101, 10), drift.recorded, drift.found, [None, *drift.tenths], strict=True)
        rows: list[list[Cell]] = [
            [f"{percent} %", number(recorded), number(seen), UNKNOWN if tenth is None else share(tenth)]
            for percent, recorded, seen, tenth in deciles
        ]
        columns = ("up to", "recorded distance", "queries' distance", "queries in this tenth of the recorded ones")
        far = f"{share(drift.far).text} of {drift.queries:,} queries are far."
        picture = drift_picture(drift, Table("Deciles of distances", columns, rows))
        parts.append(Section(name, words=[far], pictures=[picture]))
    return Section("Drift", words=words, parts=parts)


def _latency(facts: Facts) -> Section:
    machine = facts.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    words = [f"Measured on {machine.processor}, {machine.cores} cores, {machine.system}; {versions}; one thread."]
    rows: list[list[Cell]] = [
        [
            name,
            *(microseconds(value) for value in (one.latency.median, one.latency.p90, one.latency.p99)),
            count(one.latency.calls),
            microseconds(one.latency.per_query),
            count(one.latency.batch),
        ]
        for name, one in facts.named()
    ]
    columns = ("artifact", "median", "9 of 10", "99 of 100", "calls", "per query in a batch", "of")
    return Section("Time of a pick", words=words, tables=[Table("Time of a pick", columns, rows)])
