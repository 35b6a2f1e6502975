"""Artifacts and records -> facts: the conductor of a report."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick import __version__
from modelpick.runtime import DocumentError, ModelpickError, Selector
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.errors import one_line
from modelpick.runtime.loading import read_contents
from modelpick.runtime.search.distances import directions

from ..algorithms import TABLE
from ..algorithms.base import Estimator
from ..artifact.restore import document_field, stored_points
from ..evaluation.calibration import calibrations
from ..evaluation.drift import drift
from ..evaluation.evaluate import evaluate_policies
from ..evaluation.policies import Policy, artifact_policies, labels
from ..evaluation.seen import Seen, unseen
from ..evaluation.verdict import headlines, verdicts
from ..files.queries import Query
from ..formats.outcomes import Benchmark
from ..formats.questions import TRAINING_QUESTIONS, Digests, from_field
from ..training.records import fitting_embeddings, required_embeddings
from ..verification.compare import compare
from ..verification.probes import SAMPLES, made_queries
from ..verification.report import Report
from ..verification.restored import is_made, restored_estimator
from .changes import compared_picks
from .facts import BEFORE, Artifact, Comparison, Facts, Map, Mark, Worth
from .map import FITTED, Axes, sample
from .measure import latency, machine
from .nature import nature

Matrix = npt.NDArray[np.float64]
# Larger models are not restored, since their JSON would take gigabytes.
MOST_VALUES = 2**24
TOO_LARGE = "too large to restore: use modelpick verify"
# Most marks on all maps together, so that a page stays below 5 MB.
MARKS = 6_000
ROWS_SHARE = 2 / 3
LONGEST_LABEL = 80
# Most queries whose distances are measured.
DRIFTING = 2_000


class _Loaded(NamedTuple):
    """An artifact, and its estimator if there is one."""

    name: str
    path: Path
    selector: Selector
    estimator: Estimator | None
    unverified: str
    features: Matrix
    """Features of the records' queries, float64, (n, d); empty without records."""

    def made(self, samples: int) -> Matrix:
        """Make queries from the model, float64, (samples, d); empty where the model could not be restored."""
        if self.estimator is None or not samples:
            return np.empty((0, self.selector.n_features_in_))
        return made_queries(self.estimator, samples)


class Request(NamedTuple):
    """Inputs of a report in addition to its artifacts."""

    against: Sequence[Path] = ()
    """Artifacts that are replaced: each by the artifact of the same file name, or a single one by all."""
    records: Benchmark | None = None
    """Benchmark records with embeddings. Questions that artifacts were trained on are left out."""
    data: Path | None = None
    """File of the records, which names them in the report."""
    keeps: Sequence[float] = ()
    """Operating points to evaluate; by default those that `modelpick.converter.evaluate` takes."""
    samples: int = SAMPLES
    """Queries to make from each model; 0 verifies nothing."""
    seed: int = 0
    """Seed of the bootstrap."""


def gather(artifacts: Sequence[Path], request: Request) -> Facts:
    """Gather all facts of a report on one or more artifacts.

    Raises
    ------
    DocumentError, ArtifactError, FeatureError
        When an artifact or the records are refused, or do not fit.
    ModelpickError
        When no artifact replaces an old one.
    """
    against, records, samples = request.against, request.records, request.samples
    pairs = _paired(artifacts, against)
    replaced = list(dict.fromkeys(one for one, _ in pairs))
    seen: list[Seen] = []
    if records is not None:
        named = {name: path for path, name in labels(artifacts).items()}
        named |= {BEFORE.format(name): path for path, name in labels(replaced).items()}
        records, seen = unseen(named, records)
        request = request._replace(records=records)
    with ExitStack() as stack:
        new = _loaded(stack, artifacts, request)
        old = _loaded(stack, replaced, request)
        compared = [(old[before], new[after]) for before, after in pairs]
        described = {path: _described(one, samples) for path, one in (old | new).items()}
        return Facts(
            version=__version__,
            made=datetime.now(UTC).date().isoformat(),
            machine=machine(),
            artifacts=[described[path] for path in new],
            added=[new[path].name for path in artifacts if against and path not in {after for _, after in pairs}],
            removed=[path.stem for path in against if path not in old],
            comparisons=[_compared(*pair, described, request) for pair in compared],
            data=None if request.data is None else str(request.data),
            worth=None if records is None else _worth(new.values(), old.values(), records, request, seen),
            questions=0 if records is None else len(records.queries),
            maps=_maps(list(new.values()), records),
            samples=samples,
        )


def _paired(new: Sequence[Path], old: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pair old and new artifacts by their names; a single old artifact with all, where no new one has its name."""
    named = {path.stem: path for path in old}
    pairs = [(named[path.stem], path) for path in new if path.stem in named]
    if old and not pairs:
        if len(old) > 1:
            raise ModelpickError(f"{old[0]}: expected an artifact of that name to replace it")
        pairs = [(old[0], path) for path in new]
    return pairs


def _loaded(stack: ExitStack, paths: Sequence[Path], request: Request) -> dict[Path, _Loaded]:
    stems = Counter(path.stem for path in paths)
    found = {}
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else str(path)
        selector = stack.enter_context(Selector.load(path))
        width = selector.n_features_in_
        estimator, unverified = _restored(path, selector, request.samples)
        features = np.empty((0, width))
        if request.records is not None:
            embeddings = fitting_embeddings(request.records, str(path), selector.metadata)
            features = selector.features.build_batch(embeddings, request.records.categories)
        found[path] = _Loaded(name, path, selector, estimator, unverified, features)
    return found


def _restored(path: Path, selector: Selector, samples: int) -> tuple[Estimator | None, str]:
    """Return the estimator, or the reason why there is none."""
    if not samples:
        return None, "not requested"
    if selector.metadata.rows * selector.n_features_in_ > MOST_VALUES:
        return None, TOO_LARGE
    if not selector.metadata.source_sha256:
        return None, "not made from a JSON model"
    if not is_made(selector.metadata):
        return None, f"no more artifacts of {selector.metadata.semantics} are made"
    return restored_estimator(path), ""


def _described(loaded: _Loaded, samples: int) -> Artifact:
    metadata, made = loaded.selector.metadata, loaded.made(samples)
    data = loaded.path.read_bytes()
    some = loaded.features[sample(len(loaded.features), DRIFTING)]
    measured = next(
        (queries for queries in (some, made) if len(queries)),
        np.random.default_rng(0).normal(size=(samples or SAMPLES, metadata.n_features_in)),
    )
    verification: Report | None = None
    if loaded.estimator is not None:
        contents = read_contents(*read_sealed(loaded.path))
        names = str(loaded.path), "its JSON model, restored"
        verification = compare(loaded.selector, contents, loaded.estimator, made, *names)
    return Artifact(
        name=loaded.name,
        path=str(loaded.path),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source_sha256=metadata.source_sha256,
        format_version=metadata.format_version,
        algorithm=metadata.algorithm,
        semantics=metadata.semantics,
        rows=metadata.rows,
        width=metadata.n_features_in,
        k=metadata.k,
        model_names=list(metadata.model_names),
        default=metadata.default,
        embedding_model=metadata.embedding_model,
        embedding_dim=metadata.embedding_dim,
        encoder=None if metadata.encoder is None else str(metadata.encoder),
        tools={tool: str(version) for tool, version in metadata.raw.get("tools", {}).items()},
        points=list(metadata.points),
        latency=latency(loaded.selector, measured),
        verification=verification,
        unverified=loaded.unverified,
        drift=drift(loaded.selector, some),
    )


def _compared(old: _Loaded, new: _Loaded, described: Mapping[Path, Artifact], request: Request) -> Comparison:
    if old.selector.n_features_in_ != new.selector.n_features_in_:
        raise DocumentError(
            f"{new.path}: expected {old.selector.n_features_in_} features as {old.path} has, "
            f"got {new.selector.n_features_in_}"
        )
    picks, records = [], request.records
    if records is not None:
        embeddings = required_embeddings(records)
        rows = zip(records.places, embeddings, records.categories, strict=True)
        queries = [Query(place, embedding=row.tolist(), category=category) for place, row, category in rows]
        picks.append(compared_picks(old.selector, new.selector, queries, records, request.seed))
    made = [Query(f"{old.path}: made query {number}", row) for number, row in enumerate(old.made(request.samples))]
    if made:
        picks.append(compared_picks(old.selector, new.selector, made))
    replaced = described[old.path]
    kind = nature(replaced, described[new.path], _learned(old.path), _learned(new.path))
    return Comparison(new.name, replaced, kind, picks, "" if made else old.unverified)


def _learned(path: Path) -> Digests | None:
    """Return the digests of the questions that an artifact was trained on, if it has them."""
    field = document_field(path, TRAINING_QUESTIONS)
    return None if field is None else from_field(field)


def _worth(
    new: Iterable[_Loaded],
    old: Iterable[_Loaded],
    records: Benchmark,
    request: Request,
    seen: list[Seen],
) -> Worth:
    labelled = [*((one.name, one) for one in new), *((BEFORE.format(one.name), one) for one in old)]
    policies: list[Policy] = []
    for label, one in labelled:
        policies += artifact_policies(one.path, records, label=label, keeps=request.keeps or None)
    evaluation = evaluate_policies(policies, records, seed=request.seed)
    evaluation.seen = seen
    evaluation.calibrations = calibrations({label: one.path for label, one in labelled}, records, seed=request.seed)
    return Worth(evaluation, headlines(evaluation), verdicts(evaluation))


def _maps(artifacts: Sequence[_Loaded], records: Benchmark | None) -> list[Map]:
    """Place rows and queries of artifacts on maps. Artifacts that place vectors alike share their axes."""
    vectors = {}
    for one in artifacts:
        rows = stored_points(one.path)
        vectors[one.name] = (one.features[:0] if rows is None else rows), one.features
    parts: dict[_Placed, list[Matrix]] = {}
    for one in artifacts:
        placed = _placed(one, records)
        some = [placed.of(part[sample(len(part), FITTED)]) for part in vectors[one.name]]
        parts.setdefault(placed, []).extend(some)
    axes = {placed: Axes(np.vstack(of)) for placed, of in parts.items() if any(map(len, of))}
    texts = [] if records is None else records.queries
    most = MARKS // len(artifacts)
    return [
        _map(one, *vectors[one.name], texts, _placed(one, records), axes, most)
        for one in artifacts
        if any(map(len, vectors[one.name]))
    ]


class _Placed(NamedTuple):
    """The part of a vector that determines its place."""

    width: int
    """Number of the embedding's columns; one-hots of categories would split the map into heaps."""
    by_direction: bool
    """Whether vectors are scaled to unit length first, as the artifact does with queries."""

    def of(self, vectors: Matrix) -> Matrix:
        """Return the part of vectors, (n, d), that is placed: (n, width)."""
        return (directions(vectors) if self.by_direction else vectors)[:, : self.width]


def _placed(one: _Loaded, records: Benchmark | None) -> _Placed:
    metadata = one.selector.metadata
    embedding = None if records is None else len(required_embeddings(records)[0])
    width = embedding or metadata.embedding_dim or one.selector.n_features_in_
    return _Placed(width, TABLE[metadata.algorithm, metadata.semantics].by_direction)


def _map(
    one: _Loaded,
    rows: Matrix,
    queries: Matrix,
    texts: Sequence[str],
    placed: _Placed,
    axes: Mapping[_Placed, Axes],
    most: int,
) -> Map:
    of_queries = sample(len(queries), most - min(len(rows), int(most * ROWS_SHARE)))
    of_rows = sample(len(rows), most - len(of_queries))
    some = np.vstack([rows[of_rows], queries[of_queries]])
    labels = [
        *((int(row), None) for row in of_rows),
        *((None, one_line(texts[query])[:LONGEST_LABEL]) for query in of_queries),
    ]
    places = axes[placed].place(placed.of(some)).tolist()
    marks = [
        Mark(x, y, pick, *label)
        for (x, y), pick, label in zip(places, one.selector.select_batch(some), labels, strict=True)
    ]
    return Map(one.name, placed.width, placed.by_direction, axes[placed].explained, len(rows), len(queries), marks)
