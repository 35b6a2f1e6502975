"""Compares an artifact, run through `modelpick.runtime` in onnxruntime, with its scikit-learn estimator."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.errors import one_line
from modelpick.runtime.loading import Contents, read_contents

from ..algorithms.base import Estimator
from ..algorithms.row import TOLERANCE, difference
from ..categories import differing_categories
from ..load import load_as_recorded
from .outputs import differing_outputs
from .probes import SAMPLES, made_queries
from .report import Disagreement, Report
from .restored import check_is_made


def verify(
    artifact: str | Path | bytes,
    source: str | Path | bytes,
    *,
    queries: npt.ArrayLike | None = None,
    samples: int = SAMPLES,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Compare an artifact with the JSON model that it should have been converted from, by the artifact's semantics.

    Parameters
    ----------
    artifact, source
        Path or bytes of each.
    queries
        Queries to compare on, shape (b, d); by default they are made from the model, see `made_queries`.
    samples
        Number of queries to make.
    done
        Called after each query with the number of finished queries and of all queries.

    Raises
    ------
    DocumentError, ArtifactError, FeatureError
        When the artifact or the model is refused, or the artifact was converted from another JSON model.
    """
    name = "<bytes>" if isinstance(artifact, bytes) else str(artifact)
    with Selector.load(artifact) as selector:
        metadata = selector.metadata
        check_is_made(name, metadata)
        estimator = load_as_recorded(source, metadata)
        made_of, given_source = metadata.source_sha256, estimator.source_
        assert given_source is not None
        if made_of != given_source.sha256:
            raise ArtifactError(
                f"{name}: expected the JSON model that it was made from, a {selector.algorithm} of SHA-256 "
                f"{made_of[:12]}, got {given_source.name}, a {estimator.row.algorithm} of {given_source.sha256[:12]}"
            )
        given = made_queries(estimator, samples) if queries is None else queries
        contents = read_contents(*read_sealed(artifact))
        return compare(selector, contents, estimator, given, name, done=done)


def compare(
    selector: Selector,
    contents: Contents,
    estimator: Estimator,
    queries: npt.ArrayLike,
    artifact: str,
    source: str | None = None,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Compare picks, scores, distances, outputs of the whole graph and predicted categories on queries.

    Parameters
    ----------
    selector, contents
        The loaded artifact, and its contents.
    queries
        Shape (b, d).
    artifact, source
        Names for the report; by default, the source has the name of the estimator's JSON model.
    done
        See `verify`.
    """
    start, made_of = time.perf_counter(), estimator.source_
    source = source or (made_of.name if made_of else "")
    picked = selector.select_batch(queries)
    report = trusted(selector, artifact, source)
    report.queries = len(picked)
    if not picked:
        return report
    matrix = np.asarray(queries, dtype=np.float64)
    explanations = []
    for query in matrix:
        explanations.append(selector.explain(query))
        done(len(explanations), len(matrix))
    expectations = estimator.row.expect(estimator, matrix, explanations)
    others = differing_outputs(artifact, contents, estimator, matrix)
    others |= differing_categories(selector.metadata, made_of, matrix)
    for row, (query, pick, explanation, expectation) in enumerate(
        zip(matrix, picked, explanations, expectations, strict=True)
    ):
        explained, expected = expectation.explained, expectation.expected
        score = difference(explained.scores, expected.scores)
        distance = difference(explained.distances, expected.distances)
        largest = max(score, distance)
        if not ({pick, explanation["model"]} <= expectation.models and largest <= TOLERANCE):
            if report.worst is None or report.worst.difference < largest:
                report.worst = Disagreement(query.tolist(), pick, " or ".join(sorted(expectation.models)), largest)
        elif row in others:
            report.worst = report.worst or Disagreement(query.tolist(), *others[row], largest)
        else:
            report.agreed += 1
            report.tied += expectation.tied
            report.score_difference = max(report.score_difference, score)
            report.distance_difference = max(report.distance_difference, distance)
    report.seconds = time.perf_counter() - start
    return report


def trusted(selector: Selector, artifact: str, source: str) -> Report:
    """Return the report of an artifact that was not compared, under the given names."""
    rules = selector.algorithm, selector.metadata.semantics
    return Report(one_line(artifact), one_line(source), *rules, 0, 0, 0, 0.0, 0.0, 0.0, None)
