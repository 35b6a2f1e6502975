"""What kind of change it is from one artifact to another: a file, a conversion, rules, data or an algorithm."""

from collections.abc import Collection, Iterator

import numpy as np

from ..formats.questions import Digests
from .facts import Artifact

Questions = Digests | None
"""Digests of training questions, if an artifact has them."""


def nature(old: Artifact, new: Artifact, learned: Questions, now_learned: Questions) -> list[str]:
    """Say what kind of change it is, in sentences; ``learned`` and ``now_learned`` are of the questions of each."""
    kind = "; ".join([_kind(old, new), *_questions(old, new, learned, now_learned)])
    return [f"Kind of change: {kind}.", *_models(old.model_names, new.model_names)]


def _kind(old: Artifact, new: Artifact) -> str:
    rules = [f"{one.algorithm} {one.semantics}" for one in (old, new)]
    if old.sha256 == new.sha256:
        return "none, it is the same file"
    if old.algorithm != new.algorithm:
        return f"another algorithm, {rules[1]} instead of {rules[0]}"
    if old.source_sha256 == new.source_sha256 != "":
        if old.semantics != new.semantics:
            return f"the same JSON model under other rules, {rules[1]} instead of {rules[0]}"
        tools = [
            f"{tool} {version} instead of {old.tools.get(tool, 'an unknown version')}"
            for tool, version in new.tools.items()
            if version != old.tools.get(tool)
        ]
        return f"the same JSON model under the same rules, converted again by {', '.join(tools) or 'the same tools'}"
    rule = f"other rules, {rules[1]} instead of {rules[0]}" if rules[0] != rules[1] else f"the same rules, {rules[1]}"
    return f"new data or settings, under {rule}"


def _questions(old: Artifact, new: Artifact, learned: Questions, now_learned: Questions) -> Iterator[str]:
    if learned is None or now_learned is None or old.source_sha256 == new.source_sha256:
        return
    before, now, common = len(learned), len(now_learned), len(np.intersect1d(learned, now_learned))
    if common == before == now:
        yield f"it was trained on the same {now:,} questions"
    elif common == before:
        yield f"it was trained on {now - before:,} more questions: {now:,}, before {before:,}"
    elif common == now:
        yield f"it was trained on {before - now:,} fewer questions: {now:,}, before {before:,}"
    else:
        yield f"it was trained on other questions: {now:,}, before {before:,}, of which {common:,} are in both"


def _models(old: Collection[str], new: Collection[str]) -> Iterator[str]:
    for words, some, others in (("can pick now", new, old), ("can no longer pick", old, new)):
        if names := [name for name in some if name not in others]:
            yield f"It {words}: {', '.join(names)}."
