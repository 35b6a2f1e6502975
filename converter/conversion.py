"""The whole way: bytes -> estimator -> graph -> artifact -> verified file."""

from collections.abc import Callable
from pathlib import Path

from modelpick.runtime import Selector
from modelpick.runtime.loading import read_contents

from .algorithms.row import Semantics
from .artifact.writer import to_artifact
from .files.io import write_atomically
from .graphs.exact_search import ExactSearch
from .load import load_estimator
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
    """Convert a JSON model to a verified artifact file, which is written atomically.

    Parameters
    ----------
    source
        Path or bytes of the JSON model.
    target
        Path of the artifact; replaced if it exists, untouched on any error.
    samples
        Number of queries on which the artifact is compared with its estimator, see `compare`; 0 skips the comparison.
    exact_search
        See `to_artifact`.
    semantics
        How the model picks, see `load_estimator`.
    k, shrinkage
        See `load_estimator`.
    embedding_model, embedding_dim
        See `to_artifact`.
    done
        Called after each compared query with the number of finished queries and of all queries.

    Raises
    ------
    DocumentError
        When the JSON model is refused, see `load_estimator`.
    VerificationError
        When the artifact disagrees with its estimator on a query that is not tied.
    ModelpickError
        When the target cannot be written.
    """
    estimator = load_estimator(source, semantics=semantics, k=k, shrinkage=shrinkage)
    data = to_artifact(
        estimator,
        exact_search=exact_search,
        embedding_model=embedding_model,
        embedding_dim=embedding_dim,
    )
    if samples:
        with Selector.load(data) as selector:
            queries, contents = made_queries(estimator, samples), read_contents(str(target), data)
            report = compare(selector, contents, estimator, queries, str(target), done=done)
    else:
        made_of = estimator.source_.name if estimator.source_ else ""
        del estimator  # its rows take as much memory as opening the artifact does
        with Selector.load(data) as selector:
            report = trusted(selector, str(target), made_of)
    if not report.passed:
        raise VerificationError(report)
    write_atomically(Path(target), data)
    return report
