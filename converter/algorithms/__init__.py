"""The table: every algorithm under every rule set, a row each; `modelpick.runtime.algorithms` holds its twin.

A module of this folder is an algorithm from top to bottom and ends in its rows.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..formats.decoding import Refusal, refuse
from ..graphs.builder import register
from . import hiershrink, kernel_ridge, kmeans, kmeans_scores, knn, knn_outcomes, knn_regression, mlp, svc, svm
from .estimator import Estimator
from .rules import Option, Rules, Semantics

AnyRules = Rules[Any, Any, Any]
_MODULES = (
    knn,
    knn_regression,
    knn_outcomes,
    kmeans,
    kmeans_scores,
    svm,
    svc,
    mlp,
    hiershrink,
    kernel_ridge,
)

TABLE: Mapping[tuple[str, str], AnyRules] = MappingProxyType(
    {(rules.algorithm, rules.semantics): rules for module in _MODULES for rules in module.RULES}
)
ALGORITHMS = tuple(dict.fromkeys(rules.algorithm for rules in TABLE.values()))
OPTIONS: Mapping[str, Option] = {option.name: option for rules in TABLE.values() for option in rules.options}
# What may be asked for: rule sets, and each with its version.
RULE_SETS = tuple(dict.fromkeys([*Semantics, *sorted(rules.semantics for rules in TABLE.values())]))
# The trainer predicts as the original does where it has no rules of its own.
FALLBACKS: Mapping[str, str] = {Semantics.trainer: Semantics.native}

for _rules in TABLE.values():
    register(_rules.estimator, _rules.outputs, _rules.graph, _rules.graph_options)


def rules_of(estimator: Estimator) -> AnyRules:
    """Return the rules by which an estimator picks.

    Raises
    ------
    TypeError
        When it is not an estimator of this package.
    """
    for rules in TABLE.values():
        if type(estimator) is rules.estimator and estimator.semantics == rules.semantics:
            return rules
    raise TypeError(f"expected an estimator of modelpick.converter, got {estimator!r}")


def resolve(algorithm: str, semantics: str, format_version: int = 1) -> AnyRules:
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
        versions = [rules for rules in TABLE.values() if (rules.algorithm, rules.rule_set) == (algorithm, rule_set)]
        if versions and rule_set == Semantics.native:
            return _of_version(versions, format_version)
        if versions:
            return versions[-1]
    able = dict.fromkeys(rules.algorithm for rules in TABLE.values() if rules.rule_set == semantics)
    if able:
        refuse("$.algorithm", f"expected {' or '.join(able)}, which alone has the semantics {semantics}")
    known = ", ".join(rules.semantics for rules in TABLE.values() if rules.algorithm == algorithm)
    raise Refusal("semantics", f"expected one of {known} for {algorithm}, got '{semantics}'")


def _of_version(versions: list[AnyRules], format_version: int) -> AnyRules:
    found = next((rules for rules in versions if rules.semantics.endswith(f"/{format_version}")), None)
    if found is None:
        known = " or ".join(rules.semantics.partition("/")[2] for rules in versions)
        raise Refusal("$.format_version", f"expected {known} for {versions[0].algorithm}, got {format_version}")
    return found
