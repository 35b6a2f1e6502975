"""Facts -> sections: headings, words, tables and pictures, which the page shows; the summary leaves out the last."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..evaluation.evaluate import Result
from .facts import Artifact, Comparison, Facts, Map, Picks, Telling, Why, Worth
from .pictures import Picture, drift_picture, flow_picture, frontier_picture, isolated, map_picture
from .tables import (
    UNKNOWN,
    Cell,
    Table,
    change,
    count,
    interval,
    microseconds,
    number,
    part,
    share,
    size,
)


class Section(NamedTuple):
    """A heading and what stands below it; sections nest."""

    title: str
    words: list[str] = []  # noqa: RUF012 (never changed)
    pictures: list[Picture] = []  # noqa: RUF012
    tables: list[Table] = []  # noqa: RUF012
    parts: "list[Section]" = []  # noqa: RUF012


def sections(facts: Facts) -> list[Section]:
    """Write a report."""
    colors = model_colors(facts)
    found = [
        _summary(facts),
        _artifacts(facts),
        _verification(facts),
        _changes(facts, colors),
        _worth(facts),
        _maps(facts, colors),
        _drift(facts),
        _latency(facts),
    ]
    return [section for section in found if section is not None]


def model_colors(facts: Facts) -> dict[str, int]:
    """Return a number for each model of all artifacts, in order of their first appearance."""
    artifacts = [*facts.artifacts, *(one.old for one in facts.comparisons)]
    names = dict.fromkeys(name for artifact in artifacts for name in artifact.model_names)
    return {name: color for color, name in enumerate(names)}


def _summary(facts: Facts) -> Section:
    compared = {one.name: one for one in facts.comparisons}
    pays = {one.policy: one.pays for one in facts.worth.verdicts} if facts.worth else {}
    rows: list[list[Cell]] = []
    for artifact in facts.artifacts:
        comparison = compared.get(artifact.name)
        picks = comparison.picks[0] if comparison and comparison.picks else None
        rows.append(
            [
                artifact.name,
                _verified(artifact),
                f"{picks.changed:,} of {picks.queries:,} {picks.of}" if picks else UNKNOWN,
                change(picks.effects.get("quality")) if picks else UNKNOWN,
                {True: "✓ yes", False: "✗ no", None: UNKNOWN}[pays.get(artifact.name)],
            ]
        )
    words = [] if facts.data is None else [f"Records: {isolated(facts.data)}."]
    words += [f"New, beside the old ones: {_listed(facts.added)}."] if facts.added else []
    words += [f"No longer there: {_listed(facts.removed)}."] if facts.removed else []
    columns = ("artifact", "verified", "picks that change", "change of quality", "worth calling")
    return Section("Summary", words, tables=[Table("What to look at first", columns, rows)])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(isolated, names))


def _verified(artifact: Artifact) -> str:
    found = artifact.verification
    if found is None:
        return artifact.unverified
    return f"{'✓' if found.passed else '✗'} {found.agreed:,} of {found.queries:,}"


def _all(facts: Facts) -> list[tuple[str, Artifact]]:
    """Return new artifacts, and behind them the old ones, by the name that they are shown under."""
    return [
        *((one.name, one) for one in facts.artifacts),
        *((f"{one.name} (before)", one) for one in {one.old.path: one.old for one in facts.comparisons}.values()),
    ]


def _artifacts(facts: Facts) -> Section:
    what = Table(
        "What each artifact is",
        ("artifact", "algorithm", "rules", "rows", "width", "models", "k", "default", "embedding model", "size"),
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
            for name, one in _all(facts)
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
            for name, one in _all(facts)
        ],
    )
    having: dict[str, list[str]] = {}
    for name, one in _all(facts):
        for model in one.model_names:
            having.setdefault(model, []).append(name)
    everyone = len(_all(facts))
    models = Table(
        "Language models that can be picked",
        ("model", "by"),
        [[model, "all artifacts" if len(names) == everyone else ", ".join(names)] for model, names in having.items()],
    )
    return Section("Artifacts", tables=[what, made, models])


def _embedding(artifact: Artifact) -> str:
    known = [artifact.embedding_model or "", f"{artifact.embedding_dim:,} wide" if artifact.embedding_dim else ""]
    return ", ".join(filter(None, known)) or UNKNOWN


def _verification(facts: Facts) -> Section:
    rows: list[list[Cell]] = []
    for name, one in _all(facts):
        found = one.verification
        if found is None:
            rows.append([name, one.unverified, *[UNKNOWN] * 4])
            continue
        differences = (number(value, ".1e") for value in (found.score_difference, found.distance_difference))
        wrong = UNKNOWN if found.worst is None else f"{found.worst.artifact} instead of {found.worst.estimator}"
        rows.append([name, _verified(one), count(found.tied), *differences, wrong])
    words = [
        f"Each artifact was run in onnxruntime beside a scikit-learn estimator of the JSON model that it restores, on "
        f"{facts.samples:,} queries made from that model. Picks, scores and distances must agree; where float64's "
        "rounding decides, a query is tied."
    ]
    columns = ("artifact", "agreed", "tied", "largest difference of scores", "of distances", "worst disagreement")
    return Section("Verification", words, tables=[Table("Artifacts beside their estimators", columns, rows)])


def _changes(facts: Facts, colors: Mapping[str, int]) -> Section | None:
    if not facts.comparisons:
        return None
    return Section("What changes", parts=[_comparison(one, colors) for one in facts.comparisons])


def _comparison(found: Comparison, colors: Mapping[str, int]) -> Section:
    words = [f"{isolated(found.name)} replaces {isolated(found.old.path)}."]
    words += [f"No made queries: {found.omitted}."] if found.omitted else []
    return Section(found.name, words, parts=[_picks(picks, colors) for picks in found.picks])


def _picks(picks: Picks, colors: Mapping[str, int]) -> Section:
    title = f"On {picks.of}"
    part_of = share(picks.changed, picks.queries).text
    words = [f"{picks.changed:,} of {picks.queries:,} queries ({part_of}) are answered by another model."]
    if picks.changed and picks.effects:
        same = picks.changed - picks.better - picks.worse
        words.append(
            f"Among these the recorded quality rises on {picks.better:,}, falls on {picks.worse:,}, and is the same or "
            f"unknown on {same:,}."
        )
    if not picks.changed:
        return Section(title, words)
    flows = Table(
        "Queries by the model that answered before, and the one that answers now",
        ("before", "now", "queries", "share"),
        [[flow.before, flow.after, count(flow.queries), share(flow.queries, picks.queries)] for flow in picks.flows],
    )
    tables = [Table("Why picks change", ("why", "queries"), [[why, count(n)] for why, n in picks.kinds.items()])]
    if picks.effects:
        rows: list[list[Cell]] = [[kind, change(estimate)] for kind, estimate in picks.effects.items()]
        caption = "Change of what an answer has on average, with 95 % intervals, paired by query"
        tables.append(Table(caption, ("outcome", "change"), rows))
        tables.append(
            Table(
                "Changes by category",
                ("category", "queries", "changed", "change of quality"),
                [
                    [one.category, count(one.queries), count(one.changed), change(one.quality)]
                    for one in picks.categories
                ],
            )
        )
    tables.append(_telling(picks.telling, picks.changed))
    return Section(title, words, [flow_picture(picks.flows, colors, flows)], tables)


def _telling(found: Sequence[Telling], changed: int) -> Table:
    rows: list[list[Cell]] = [
        [
            one.query,
            one.category or UNKNOWN,
            one.kind,
            _explained(one.before),
            number(one.quality_before),
            _explained(one.after),
            number(one.quality_after),
        ]
        for one in found
    ]
    columns = ("query", "category", "why", "before", "quality", "now", "quality now")
    caption = f"The most telling {len(found)} of {changed:,} changed queries, with both explanations"
    return Table(caption, columns, rows, is_long=True)


def _explained(why: Why) -> str:
    scores = ", ".join(f"{isolated(one.model)} {one.score:.4g}" for one in why.scores)
    because = f"; {why.because}" if why.because else ""
    return f"{isolated(why.model)}. Scores: {scores}{because}"


def _worth(facts: Facts) -> Section | None:
    recorded = [(name, point) for name, one in _all(facts) for point in one.points]
    points = Table(
        "Operating points, as training recorded them in cross-validation",
        ("artifact", "cost weight", "seconds weight", "quality", "cost", "seconds", "quality kept", "cost saved"),
        [
            [
                name,
                number(point.cost_weight),
                number(point.seconds_weight),
                *(interval(one) for one in (point.quality, point.cost, point.seconds)),
                part(point.kept),
                part(point.saved),
            ]
            for name, point in recorded
        ],
    )
    tables = [points] if recorded else []
    if facts.worth is None:
        return Section("Does it pay", tables=tables) if tables else None
    evaluation = facts.worth.evaluation
    words = [
        f"{evaluation.queries:,} queries; means with 95 % intervals. The best single model is "
        f"{isolated(evaluation.baseline)}, {ROLES_FROM[evaluation.roles_from]}. "
        "Records that an artifact was trained on flatter it."
    ]
    policies = _policies(facts.worth)
    picture = frontier_picture(evaluation, _artifact_colors(facts.worth), policies)
    pictures = [] if picture is None else [picture]
    tables = [_verdicts(facts.worth), *([policies] if picture is None else []), _slices(facts.worth), *tables]
    return Section("Does it pay", words, pictures, tables)


ROLES_FROM = {
    "training records": "by the training records",
    "artifacts": "as the artifacts record",
    "hindsight": "in hindsight",
}


def _artifact_colors(worth: Worth) -> dict[str, int]:
    names = dict.fromkeys(one.artifact for one in worth.evaluation.of("artifact"))
    return {name: color for color, name in enumerate(names)}


def _verdicts(worth: Worth) -> Table:
    rows: list[list[Cell]] = [[one.policy, "✓ yes" if one.pays else "✗ no", one.text] for one in worth.verdicts]
    return Table("Verdicts", ("policy", "worth calling", "why"), rows)


def _named(result: Result) -> str:
    return f"{result.name} ({', '.join(result.roles)})" if result.roles else result.name


def _policies(worth: Worth) -> Table:
    saved = f"{worth.evaluation.axis} saved"
    rows: list[list[Cell]] = [
        [
            _named(one),
            one.kind,
            *(interval(estimate) for estimate in (one.quality, one.cost, one.seconds)),
            change(one.gain),
            part(one.kept),
            part(one.saved),
            change(one.over_mix),
        ]
        for one in worth.evaluation.results
    ]
    columns = ("policy", "kind", "quality", "cost", "seconds", "gain", "quality kept", saved, "over static mix")
    return Table("Every policy, beside always calling the best single model", columns, rows)


def _slices(worth: Worth) -> Table:
    shown = [one for one in worth.evaluation.results if one.kind in ("artifact", "oracle") or "best" in one.roles]
    categories = worth.evaluation.results[0].categories
    rows: list[list[Cell]] = [
        [category, count(slice_.queries), *(number(one.categories[category].quality, ".4f") for one in shown)]
        for category, slice_ in categories.items()
    ]
    return Table("Quality by category", ("category", "queries", *map(_named, shown)), rows)


def _maps(facts: Facts, colors: Mapping[str, int]) -> Section | None:
    if not facts.maps:
        return None
    words = [
        "Vectors that lie close together in all dimensions mostly do so here too, but not the other way round. Squares "
        "are rows of the model, discs are queries of the records; the colour is the model that is picked there."
    ]
    widths = {one.name: one.width for one in facts.artifacts}
    return Section("Map", words, parts=[_map(one, widths[one.artifact], colors) for one in facts.maps])


def _map(found: Map, width: int, colors: Mapping[str, int]) -> Section:
    drawn = Counter(mark.row is None for mark in found.marks)
    sampled = drawn[False] < found.rows or drawn[True] < found.queries
    shown = f"{drawn[False]:,} of {found.rows:,} rows and {drawn[True]:,} of {found.queries:,} queries are drawn"
    words = [
        f"{shown}{', a random sample' if sampled else ''}. The axes hold "
        f"{' and '.join(share(one).text for one in found.explained)} of the variance "
        f"of the first {found.columns:,} columns{'' if found.columns == width else ', the embedding'}."
    ]
    picks = Counter((mark.pick, mark.row is None) for mark in found.marks)
    names = sorted(dict.fromkeys(mark.pick for mark in found.marks), key=lambda name: colors.get(name, -1))
    rows: list[list[Cell]] = [[name, count(picks[name, False]), count(picks[name, True])] for name in names]
    table = Table("Marks by the model that is picked", ("model", "rows", "queries"), rows)
    return Section(found.artifact, words, [map_picture(found, colors, table)])


def _drift(facts: Facts) -> Section | None:
    found = [(one.name, one.drift) for one in facts.artifacts if one.drift is not None]
    if not found:
        return None
    words = [
        "How far the records' queries lie from the nearest row or centroid, beside how far rows lie from one another, "
        "as recorded at conversion. Where nothing drifted, 1 % are far."
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
        parts.append(Section(name, [far], [drift_picture(drift, Table("Deciles of distances", columns, rows))]))
    return Section("Drift", words, parts=parts)


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
        for name, one in _all(facts)
    ]
    columns = ("artifact", "median", "9 of 10", "99 of 100", "calls", "per query in a batch", "of")
    return Section("Latency", words, tables=[Table("Time of a pick", columns, rows)])


def walk(found: Sequence[Section], level: int = 2) -> Iterator[tuple[int, Section]]:
    """Yield sections with the level of their heading, outer before inner."""
    for section in found:
        yield level, section
        yield from walk(section.parts, level + 1)
