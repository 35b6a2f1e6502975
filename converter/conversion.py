"""The whole way: bytes -> document -> estimator -> graph -> artifact -> verified file."""

from collections.abc import Callable
from pathlib import Path

from modelpick.runtime import Selector
from modelpick.runtime.loading import read_contents

from .algorithms.row import Semantics
from .artifact.writer import to_artifact
from .documents import load_document
from .estimators import build_estimator
from .files.io import write_atomically
from .graphs.exact_search import ExactSearch
from .verification.compare import compare, trusted
from .verification.probes import SAMPLES, made_queries
from .verification.report import Report, VerificationError


def convert(
    source: str | Path | bytes,
    target: str | Path,
    *,
    samples: int = SAMPLES,
    exact_search: str = ExactSearch.auto,
    semantics: str = Semantics.native,
    k: int | None = None,
    shrinkage: float | None = None,
    embedding_model: str | None = None,
    embedding_dim: int | None = None,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Convert a JSON model to an artifact file, verified and atomically.

    Parameters
    ----------
    source
        Path or bytes of the JSON model.
    target
        Path of the artifact; replaced if it exists, untouched on any error.
    samples
        Number of queries on which the artifact is held against its estimator, see `compare`; 0 trusts
        it.
    exact_search
        See `to_artifact`.
    semantics
        How the model picks, see `load_document`.
    k, shrinkage
        See `build_estimator`.
    embedding_model, embedding_dim
        See `to_artifact`.
    done
        Called after each query that was compared with how many are done, and of how many.

    Raises
    ------
    DocumentError
        When the JSON model is refused, see `load_document`.
    VerificationError
        When the artifact disagrees with its estimator on a query that is not tied.
    ModelpickError
        When the target cannot be written.
    """
    document = load_document(source, semantics=semantics)
    estimator = build_estimator(document, k=k, shrinkage=shrinkage)
    data = to_artifact(
        estimator,
        document=document,
        exact_search=exact_search,
        embedding_model=embedding_model,
        embedding_dim=embedding_dim,
    )
    made_of = document.source
    names = str(target), made_of.name
    if samples:
        with Selector.load(data) as selector:
            queries = made_queries(estimator, samples)
            contents = read_contents(names[0], data)
            report = compare(selector, contents, estimator, queries, *names, made_of.category_classifier, done)
    else:
        del document, estimator  # their rows take as much memory as opening the artifact does
        with Selector.load(data) as selector:
            report = trusted(selector, *names)
    if not report.passed:
        raise VerificationError(report)
    write_atomically(Path(target), data)
    return report
