"""The result of a verification, and how it is written to files."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec
from msgspec import Struct

from modelpick.runtime import ModelpickError
from modelpick.runtime.errors import one_line

from ..files.io import write_atomically


class Disagreement(Struct):
    """A query on which an artifact and its estimator disagree."""

    query: list[float]
    artifact: str
    """Model that the artifact picks; where the models agree, its predicted category, or an output of its graph."""
    estimator: str
    """Model that the estimator picks, or its category or output."""
    difference: float
    """Largest difference of their scores and distances, relative to 1 or more."""


class Report(Struct):
    """The result of a verification."""

    artifact: str
    source: str
    algorithm: str
    semantics: str
    """Semantics by which the artifact picks, with their version."""
    queries: int
    agreed: int
    """Number of queries with the same pick, scores, distances and outputs, and the same predicted category if any."""
    tied: int
    """Number of these queries in which float64's rounding decides, differently on the two sides."""
    score_difference: float
    """Largest difference of scores among the agreeing queries, relative to 1 or more."""
    distance_difference: float
    """Largest difference of distances among the agreeing queries, relative to 1 or more."""
    seconds: float
    worst: Disagreement | None
    """The disagreement with the largest difference."""

    @property
    def passed(self) -> bool:
        """Whether every query agreed or was tied."""
        return self.worst is None


class DisagreementError(ModelpickError):
    """A file disagrees with its source."""


class VerificationError(DisagreementError):
    """An artifact disagrees with its estimator; ``report`` says on which query."""

    def __init__(self, report: Report) -> None:
        wrong = report.queries - report.agreed
        super().__init__(
            f"{report.artifact}: expected the selections of {report.source}, got {wrong} others in {report.queries} "
            f"queries{_at_worst(report.worst)}"
        )
        self.report = report


def _at_worst(worst: Disagreement | None) -> str:
    return f", such as {one_line(worst.artifact)} instead of {one_line(worst.estimator)}" if worst else ""


def write_reports(reports: Sequence[Report], target: Path | None = None, junit: Path | None = None) -> None:
    """Write reports as JSON and as JUnit XML. Next to each artifact that failed, write its worst query."""
    if target is not None:
        write_atomically(target, msgspec.json.format(msgspec.json.encode(reports)))
    if junit is not None:
        write_junit(reports, junit)
    for failed in reports:
        if failed.worst is not None:
            write_atomically(Path(failed.artifact).with_suffix(".worst.json"), msgspec.json.encode(failed.worst.query))


def write_junit(reports: Sequence[Report], path: Path) -> None:
    """Write reports as JUnit XML, a test case each."""
    failures = sum(not report.passed for report in reports)
    suite = ElementTree.Element("testsuite", name="modelpick verify", tests=str(len(reports)), failures=str(failures))
    for report in reports:
        case = ElementTree.SubElement(
            suite, "testcase", classname=report.algorithm, name=one_line(report.source), time=f"{report.seconds:.3f}"
        )
        if not report.passed:
            failure = ElementTree.SubElement(case, "failure", message=str(VerificationError(report)))
            failure.text = one_line(msgspec.json.encode(report.worst).decode())
    write_atomically(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
