"""The table: every algorithm under every rule set, a row each; `modelpick.runtime.algorithms` holds its twin.

A module of this folder is an algorithm from top to bottom and ends in its rows.
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
ALGORITHMS = tuple(dict.fromkeys(rules.algorithm for rules in TABLE.values()))
OPTIONS: Mapping[str, Option] = {option.name: option for rules in TABLE.values() for option in rules.options}
# What may be asked for: rule sets, and each with its version.
RULE_SETS = tuple(dict.fromkeys([*Semantics, *sorted(rules.semantics for rules in TABLE.values())]))
# The trainer predicts as the original does where it has no rules of its own.
FALLBACKS: Mapping[str, str] = {Semantics.trainer: Semantics.native}

for _row in TABLE.values():
    _row.estimator.rows = {**_row.estimator.rows, _row.semantics: _row}
    register(_row.estimator, _row.outputs, _row.graph, _row.graph_options)


def resolve(algorithm: str, semantics: str, format_version: int = 1) -> AnyRow:
    """Return the rules of an algorithm, of `ALGORITHMS`, that are asked for.

    Parameters
    ----------
    semantics
        A rule set and its version, ``native/1``; or a rule set: ``native`` means the version of the file, others mean
        the newest.
    format_version
        Version of the file.

    Raises
    ------
    Refusal
        When the algorithm has no such rules.
    """
    if (algorithm, semantics) in TABLE:
        return TABLE[algorithm, semantics]
    for rule_set in (semantics, FALLBACKS.get(semantics)):
        versions = [rules for rules in TABLE.values() if (rules.algorithm, rules.unversioned) == (algorithm, rule_set)]
        if versions and rule_set == Semantics.native:
            return _of_version(versions, format_version)
        if versions:
            return versions[-1]
    able = dict.fromkeys(rules.algorithm for rules in TABLE.values() if rules.unversioned == semantics)
    if able:
        refuse("$.algorithm", f"expected {' or '.join(able)}, which alone has the semantics {semantics}")
    known = ", ".join(rules.semantics for rules in TABLE.values() if rules.algorithm == algorithm)
    raise Refusal("semantics", f"expected one of {known} for {algorithm}, got '{semantics}'")


def _of_version(versions: list[AnyRow], format_version: int) -> AnyRow:
    found = next((rules for rules in versions if rules.semantics.endswith(f"/{format_version}")), None)
    if found is None:
        known = " or ".join(rules.semantics.partition("/")[2] for rules in versions)
        raise Refusal("$.format_version", f"expected {known} for {versions[0].algorithm}, got {format_version}")
    return found
