"""What changes between two artifacts, and why: shows users what an upgrade of the semantics does."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from modelpick.runtime import FeatureError, Selector
from modelpick.runtime.text import Encoder
from modelpick.runtime.text.selector import check_encoder

from ..files.queries import Query, ask
from .probes import SAMPLES, made_queries
from .restored import restored_estimator

# Scores that differ by less, relatively, are tied: the two sides add numbers up in different orders.
TIED = 1e-12


class Kind(StrEnum):
    """Why another model is picked; of several reasons, the first counts."""

    tie = "tie"
    """One side scores the two models equally, so that its tie rule decided."""
    neighbours = "other neighbours"
    """KNN: other rows are the nearest, since distances are between other vectors, such as scaled ones, or k differs."""
    weights = "other weights"
    """KNN: the same rows are the nearest, but their votes have other weights."""
    scores = "other scores"
    """Any other reason."""


class Change(NamedTuple):
    """A query for which the two pick differently."""

    query: int
    """Index of the query."""
    old: str
    new: str
    why: Kind


class Diff(NamedTuple):
    """What changes from one artifact to another."""

    rules: list[str]
    """Algorithm and semantics of each."""
    queries: list[Query]
    """The queries that they were compared on."""
    changes: list[Change]


def diff(old: Path, new: Path, queries: Sequence[Query] | None = None, encoder: Encoder | None = None) -> Diff:
    """Compare the picks of two artifacts.

    Parameters
    ----------
    old, new
        Paths of artifacts.
    queries
        Queries to compare on; by default, they are made from the model of the old artifact. The category is ignored
        where the embedding alone is a feature vector.
    encoder
        Encoder that made the embeddings of the queries.

    Raises
    ------
    ArtifactError
        When an artifact is refused, was trained with another encoder, or was not converted from a JSON model, so that
        no queries can be made.
    FeatureError
        When one of the artifacts refuses a query.
    """
    with Selector.load(old) as before, Selector.load(new) as after:
        widths = before.n_features_in_, after.n_features_in_
        if encoder is not None:
            for artifact, selector in ((old, before), (new, after)):
                check_encoder(str(artifact), selector.metadata, encoder.identity, encoder.embedding_dim)
        if queries is None:
            queries = [Query("made", row) for row in made_queries(restored_estimator(old), SAMPLES)]
            if widths[0] != widths[1]:
                raise FeatureError(
                    f"{new}: expected an artifact of {widths[0]:,} numbers as {old}, got {widths[1]:,} "
                    "(--queries or --data may suit both)"
                )
        fitting = [_fitting(query, min(widths)) for query in queries]
        rules = [f"{selector.algorithm} {selector.metadata.semantics}" for selector in (before, after)]
        return Diff(rules, fitting, changes(before, after, fitting))


def _fitting(query: Query, width: int) -> Query:
    """Leave out the category where the embedding alone is a feature vector."""
    if query.embedding is None or len(query.embedding) < width:
        return query
    return structs.replace(query, category=None)


def changes(old: Selector, new: Selector, queries: Sequence[Query]) -> list[Change]:
    """Find the queries for which two selectors pick differently, and why.

    Raises
    ------
    FeatureError
        When one of them refuses a query.
    """
    found = []
    for number, query in enumerate(queries):
        before, after = ask(old.select, query), ask(new.select, query)
        if before != after:
            why = _kind(ask(old.explain, query), ask(new.explain, query), are_of_one_model(old, new))
            found.append(Change(number, before, after, why))
    return found


def are_of_one_model(old: Selector, new: Selector) -> bool:
    """Whether the rows of both explanations can be compared."""
    return old.metadata.source_sha256 == new.metadata.source_sha256 != ""


def _kind(before: Mapping[str, Any], after: Mapping[str, Any], is_one_model: bool) -> Kind:
    """Find the reason from both explanations."""
    picked = before["model"], after["model"]
    for scores in (before["scores"], after["scores"]):
        if all(model in scores for model in picked) and isclose(*map(scores.get, picked), rel_tol=TIED):
            return Kind.tie
    if not (is_one_model and "neighbours" in before and "neighbours" in after):
        return Kind.scores
    rows = [{neighbour["row"] for neighbour in why["neighbours"]} for why in (before, after)]
    return Kind.weights if rows[0] == rows[1] else Kind.neighbours
