"""What kind of change it is from one artifact to another: a file, a conversion, rules, data or an algorithm."""

from collections.abc import Collection, Iterator

import numpy as np

from ..formats.questions import Digests
from .facts import Artifact

Questions = Digests | None
"""Digests of training questions, if an artifact has them."""


def nature(old: Artifact, new: Artifact, learned: Questions, now_learned: Questions) -> list[str]:
    """Say what kind of change it is, in sentences; ``learned`` and ``now_learned`` are of the questions of each."""
    kind = _kind(old, new, learned, now_learned)
    return [f"Kind of change: {kind}.", *_models(old.model_names, new.model_names)]


def _kind(old: Artifact, new: Artifact, learned: Questions, now_learned: Questions) -> str:
    if old.sha256 == new.sha256:
        return "none, it is the same file"
    rules = [f"{one.algorithm} {one.semantics}" for one in (old, new)]
    is_same = rules[0] == rules[1]
    rule = (
        f"by the same rules as before ({rules[1]})" if is_same else f"by other rules ({rules[1]} instead of {rules[0]})"
    )
    if old.source_sha256 == new.source_sha256 != "":
        if not is_same:
            return f"the same JSON model {rule}"
        tools = [
            f"{tool} {version} instead of {old.tools.get(tool, 'an unknown version')}"
            for tool, version in new.tools.items()
            if version != old.tools.get(tool)
        ]
        return f"the same JSON model {rule}, converted again by {', '.join(tools) or 'the same tools'}"
    questions, settings = list(_questions(learned, now_learned)), list(_settings(old, new))
    if old.algorithm != new.algorithm:
        return ", ".join([f"another algorithm ({rules[1]} instead of {rules[0]})", *questions])
    found = ", ".join([*questions, *settings, rule])
    if settings or not (learned is None or now_learned is None or np.array_equal(learned, now_learned)):
        return found
    changed = "changed" if is_same else "may have changed too"
    return f"{found}; its settings or its records {changed}; the artifacts do not say which"


def _settings(old: Artifact, new: Artifact) -> Iterator[str]:
    """Name the settings that artifacts record, where they differ."""
    for name, before, now in (("k", old.k, new.k), ("encoder", old.encoder, new.encoder)):
        if None not in (before, now) and before != now:
            yield f"with {name} {now} instead of {before}"


def _questions(learned: Questions, now_learned: Questions) -> Iterator[str]:
    if learned is None or now_learned is None:
        return
    before, now, common = len(learned), len(now_learned), len(np.intersect1d(learned, now_learned))
    if common == before == now:
        yield f"trained on the same {now:,} questions"
    elif common == before:
        yield f"trained on {now:,} questions, {now - before:,} more than before"
    elif common == now:
        yield f"trained on {now:,} questions, {before - now:,} fewer than before"
    else:
        yield f"trained on other questions ({now:,}, before {before:,}, of which {common:,} are in both)"


def _models(old: Collection[str], new: Collection[str]) -> Iterator[str]:
    for words, some, others in (("can pick now", new, old), ("can no longer pick", old, new)):
        if names := [name for name in some if name not in others]:
            yield f"It {words}: {', '.join(names)}."
