"""The table: a row for each algorithm and each of its semantics; `modelpick.runtime.algorithms` has its twin.

A package of this folder is a family of algorithms: its forms, estimators, graphs and rows.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ..formats.decoding import Refusal, refuse
from ..graphs.exporting import register
from . import hiershrink, kernel_ridge, kmeans, knn, mlp, svm
from .row import AnyRow, Option, Semantics

TABLE: Mapping[tuple[str, str], AnyRow] = MappingProxyType(
    {
        (row.algorithm, row.semantics): row
        for family in (knn, kmeans, svm, mlp, hiershrink, kernel_ridge)
        for row in family.ROWS
    }
)
ALGORITHMS = tuple(dict.fromkeys(row.algorithm for row in TABLE.values()))
OPTIONS: Mapping[str, Option] = {option.name: option for row in TABLE.values() for option in row.options}
# The semantics that a caller may request, without and with versions.
SEMANTICS = tuple(dict.fromkeys([*Semantics, *sorted(row.semantics for row in TABLE.values())]))
# Where ``trainer`` has no row of its own, the trainer predicts as the original does.
FALLBACKS: Mapping[str, str] = {Semantics.trainer: Semantics.native}

for _row in TABLE.values():
    _row.estimator.rows = {**_row.estimator.rows, _row.semantics: _row}
    register(_row.estimator, _row.outputs, _row.graph, _row.graph_options)


def resolve(algorithm: str, semantics: str, format_version: int = 1) -> AnyRow:
    """Return the row of an algorithm, one of `ALGORITHMS`, with the requested semantics.

    Parameters
    ----------
    semantics
        With a version, ``native/1``; or without: ``native`` means the version of the file, and others the newest
        version.
    format_version
        Version of the file.

    Raises
    ------
    Refusal
        When the algorithm does not have these semantics.
    """
    if (algorithm, semantics) in TABLE:
        return TABLE[algorithm, semantics]
    for unversioned in (semantics, FALLBACKS.get(semantics)):
        versions = [row for row in TABLE.values() if (row.algorithm, row.unversioned) == (algorithm, unversioned)]
        if versions and unversioned == Semantics.native:
            return _of_version(versions, format_version)
        if versions:
            return versions[-1]
    able = dict.fromkeys(row.algorithm for row in TABLE.values() if row.unversioned == semantics)
    if able:
        refuse("$.algorithm", f"expected {' or '.join(able)}, which alone has the semantics {semantics}")
    known = ", ".join(row.semantics for row in TABLE.values() if row.algorithm == algorithm)
    raise Refusal("semantics", f"expected one of {known} for {algorithm}, got '{semantics}'")


def _of_version(versions: list[AnyRow], format_version: int) -> AnyRow:
    found = next((row for row in versions if row.semantics.endswith(f"/{format_version}")), None)
    if found is None:
        known = " or ".join(row.semantics.partition("/")[2] for row in versions)
        raise Refusal("$.format_version", f"expected {known} for {versions[0].algorithm}, got {format_version}")
    return found
