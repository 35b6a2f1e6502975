"""The pick of a request: the ranking, unless its conversation or exploring changes it."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from prometheus_client import Counter

from modelpick.runtime.deciding import new_id
from modelpick.runtime.decision.exploring import draw

from .caches import Caches
from .config import Backend, Config, Preference
from .conversations import Conversations, is_begun, is_tool_loop, key_of
from .database import Turn
from .decisions import Decision
from .headers import OURS, Headers
from .rankings import Choice, Ranking, Rankings

DECISIONS = Counter("modelpick_gateway_decisions", "Decisions, by why their model is asked.", ["reason"])


class Pick(NamedTuple):
    """The backends of a request in the order in which they are asked, and the decision to record."""

    choices: list[Choice]
    decision: Decision
    prefix_tokens: int = 0
    """Estimated tokens at the beginning of the prompt that the picked model has answered before."""

    @property
    def counts(self) -> bool:
        """Whether the token counts of the answer are recorded."""
        return True

    @property
    def backends(self) -> list[Backend]:
        """The backends, in order."""
        return [choice.backend for choice in self.choices]

    def headers(self, backend: Backend) -> Headers:
        """Return the headers that tell the client about the backend that serves."""
        choice = next(one for one in self.choices if one.backend is backend)
        told = {
            "model": backend.name,
            "quality": choice.quality,
            "cost": choice.cost,
            "reason": self.decision.reason,
            "decision": self.decision.id,
        }
        return told_headers(told)


def told_headers(told: Mapping[str, str | float | None]) -> Headers:
    """Return headers of ours; names are percent-encoded where they are not plain ASCII."""
    texts = {
        key: quote(value, safe="/:@+,;=()[] ") if isinstance(value, str) else f"{value:.6g}"
        for key, value in told.items()
        if value is not None
    }
    return [(OURS + key.encode(), text.encode()) for key, text in texts.items()]


class Picker:
    """Picks; any number of threads may call it at once."""

    def __init__(self, config: Config, rankings: Rankings, conversations: Conversations) -> None:
        self._config, self._rankings, self._conversations = config, rankings, conversations
        self._caches = Caches()

    def pick(self, body: Mapping[str, Any], prefer: Preference, named: str | None, client: str) -> Pick:
        """Pick for a chat completion.

        Parameters
        ----------
        body
            What the client sent.
        prefer
            Preferences of the request.
        named
            Name of the conversation, if a header gives it. Even the first message may follow an earlier turn then.
        client
            Digest of the client's key, if clients have keys.

        Raises
        ------
        FeatureError, RefusedError
            See `Rankings.rank`.
        """
        ranking = self._rankings.rank(body, prefer)
        messages = body["messages"]
        key = key_of(named, messages, client)
        last = self._conversations.last(key) if named is not None or is_begun(messages) else None
        choices, reason = self._kept(ranking, last, is_tool_loop(messages))
        default = choices[0].backend.name
        model, propensity = draw(self._drawable(choices, ranking, reason), default, self._config.explore, key)
        if model != default:
            reason = "explored"
            choices.sort(key=lambda one: one.backend.name != model)
        DECISIONS.labels(reason).inc()
        now = time.time()
        self._conversations.remember(key, Turn(default, now, ranking.needs.prompt_tokens))
        decision = Decision(
            id=new_id(),
            at=now,
            artifact=ranking.artifact,
            encoder=ranking.encoder,
            conversation=key,
            reason=reason,
            model=model,
            default=default,
            propensity=propensity,
            candidates={one.backend.name: one.predicted for one in ranking.choices},
            excluded=ranking.excluded,
            prompt_tokens=ranking.needs.prompt_tokens,
            category=ranking.category,
        )
        return Pick(choices, decision, 0 if last is None or last.model != model else self._prefix(last, ranking))

    def served(self, pick: Pick, model: str, usage: Mapping[str, int]) -> None:
        """Learn from the answer to a pick: which model's cache is warm now, and how much that found in its cache."""
        decision = pick.decision
        if decision.model == decision.default != model:
            self._conversations.remember(decision.conversation, Turn(model, time.time(), decision.prompt_tokens))
        if model == decision.model and pick.prefix_tokens and "cached_tokens" in usage:
            prompt = usage.get("prompt_tokens", decision.prompt_tokens)  # by the backend's own tokenizer
            self._caches.learn(model, usage["cached_tokens"], prompt * pick.prefix_tokens / decision.prompt_tokens)

    def _kept(self, ranking: Ranking, last: Turn | None, in_tool_loop: bool) -> tuple[list[Choice], str]:
        """Put the conversation's model first, unless another's utility exceeds it by more than its cache is worth."""
        choices, best = list(ranking.choices), ranking.choices[0]
        kept = next((one for one in choices if last is not None and one.backend.name == last.model), None)
        if kept is None or last is None or kept is best:
            picked = "far" if ranking.is_far else "picked"
            return choices, picked if kept is None else "kept"
        if not in_tool_loop and self._is_left(kept, best, last, ranking):
            return choices, "changed"
        choices.sort(key=lambda one: one is not kept)
        return choices, "tools" if in_tool_loop else "kept"

    def _is_left(self, kept: Choice, best: Choice, last: Turn, ranking: Ranking) -> bool:
        if ranking.good_enough is not None:
            return (kept.quality or 0.0) < ranking.good_enough
        gain = best.score - kept.score
        return ranking.cost_weight is not None and gain > self._worth(kept, last, ranking)

    def _drawable(self, choices: list[Choice], ranking: Ranking, reason: str) -> list[str]:
        """Return the candidates that exploring may draw. What a conversation drew, it keeps during a tool loop."""
        margin = self._config.explore_margin
        if margin is None or ranking.cost_weight is None or reason == "tools":
            return [one.backend.name for one in choices]
        return [one.backend.name for one in choices if one.score >= choices[0].score - margin]

    def _worth(self, kept: Choice, last: Turn, ranking: Ranking) -> float:
        """Return what the warm cache of a conversation's model is worth, as a quality."""
        found = self._prefix(last, ranking) * self._caches.share(kept.backend.name)
        saved = found * (kept.backend.input_price or 0.0) / 1e6 * self._config.conversations.cache_discount
        return (ranking.cost_weight or 0.0) * saved

    def _prefix(self, last: Turn, ranking: Ranking) -> int:
        """Return the tokens that the cache of the last turn's model may still hold."""
        is_cold = time.time() - last.at > self._config.conversations.cache_seconds
        return 0 if is_cold else min(last.prompt_tokens, ranking.needs.prompt_tokens)
