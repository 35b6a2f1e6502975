"""The whole way of a report: artifacts and records -> facts -> the page and the summary."""

from collections.abc import Sequence
from pathlib import Path

from ..files.io import write_atomically
from ..formats.outcomes import Benchmark
from ..verification.probes import SAMPLES
from .facts import Facts
from .gather import Request, gather
from .html import to_html
from .markdown import to_markdown
from .sections import page_of


def write_report(
    artifacts: Sequence[str | Path],
    target: str | Path,
    *,
    against: Sequence[str | Path] = (),
    records: Benchmark | None = None,
    data: str | Path | None = None,
    keeps: Sequence[float] = (),
    samples: int = SAMPLES,
    summary: str | Path | None = None,
    seed: int = 0,
) -> Facts:
    """Write one page on what artifacts are, what changes, and whether they pay.

    Each artifact is verified against the JSON model that it restores.

    Parameters
    ----------
    artifacts
        Paths of artifacts, one or more.
    target
        Path of the page, one HTML file.
    against, records, data, keeps, samples, seed
        See `modelpick.converter.report.gather.Request`.
    summary
        Path for what matters of it in at most 40 lines of Markdown.

    Returns
    -------
    Facts
        All numbers of the report; `Facts.failed` is the verification of an artifact that disagrees.

    Raises
    ------
    DocumentError, ArtifactError, FeatureError
        When an artifact or the records are refused, or do not fit.
    ModelpickError
        When no artifact replaces an old one, Jinja2 is missing, or a file cannot be written.
    """
    old = [Path(artifact) for artifact in against]
    request = Request(old, records, None if data is None else Path(data), keeps, samples, seed)
    facts = gather([Path(artifact) for artifact in artifacts], request)
    write_atomically(Path(target), to_html(page_of(facts), version=facts.version).encode())
    if summary is not None:
        write_atomically(Path(summary), to_markdown(facts).encode())
    return facts
