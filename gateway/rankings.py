"""Prompts in, backends out: the candidates of a request, best first."""

import time
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from prometheus_client import Counter, Histogram

from modelpick.runtime import Objective
from modelpick.runtime.events import Event, Refusal, Swap
from modelpick.runtime.query import Asked
from modelpick.runtime.serving.text_store import TextStore
from modelpick.runtime.text import TextSelector
from modelpick.runtime.text.messages import characters_of

from .config import Backend, Config

PICK = Histogram(
    "modelpick_gateway_pick_seconds",
    "Time from a prompt to the order of its backends.",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
SWAPS = Counter("modelpick_gateway_swaps", "New pairs of selector and encoder, by outcome.", ["outcome"])
# By which the tokens of a prompt are estimated: every backend has another tokenizer.
CHARACTERS_PER_TOKEN = 4
PROBE: Mapping[str, Any] = {"messages": [{"role": "user", "content": "?"}]}


class Choice(NamedTuple):
    """A backend, and what is predicted of its answer where that is."""

    backend: Backend
    quality: float | None = None
    cost: float | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the client is told; names are percent-encoded where they are not plain ASCII."""
        values = {"model": quote(self.backend.name, safe="/:@+,;=()[] "), "quality": self.quality, "cost": self.cost}
        return [
            (f"x-modelpick-{key}".encode(), (value if isinstance(value, str) else f"{value:.6g}").encode())
            for key, value in values.items()
            if value is not None
        ]


class Rankings(TextStore):
    """Holds the selector that picks for prompts: a store that also refuses what could not rank the backends.

    Raises
    ------
    ModelpickError
        When the files cannot be loaded, do not belong together, know no backend, or cannot do what is preferred.
    """

    def __init__(self, artifact: Path, encoder: Path, config: Config) -> None:
        self._backends = {backend.name: backend for backend in config.backends}
        prefer, asked = config.prefer, Asked(candidates=list(self._backends))
        if prefer.keep is not None:
            asked["keep"] = prefer.keep
        if prefer.cost_weight is not None or prefer.seconds_weight is not None:
            asked["objective"] = Objective(prefer.cost_weight or 0.0, prefer.seconds_weight or 0.0)
        if "keep" in asked or "objective" in asked:  # so that it is known at load which prices are missing
            asked["costs"] = _costs(config.backends, 0.0, inf)
        super().__init__(artifact, encoder, observer=count, poll_seconds=0.5, unknown_candidates="ignore", **asked)

    @property
    def current(self) -> TextSelector:
        """The selector that a request keeps for the whole of it."""
        return self[self._path.stem]

    def _loaded(self, file: Path) -> TextSelector:  # type: ignore[override]
        selector = super()._loaded(file)
        self._ranked(selector, PROBE)
        return selector

    def rank(self, body: Mapping[str, Any]) -> list[Choice]:
        """Return the backends for a request: the pick, then the others by score.

        Raises
        ------
        FeatureError
            When the messages are none, or hold no text.
        """
        start = time.perf_counter()
        ranked = self._ranked(self.current, body)
        PICK.observe(time.perf_counter() - start)
        return ranked

    def _ranked(self, selector: TextSelector, body: Mapping[str, Any]) -> list[Choice]:
        known = [self._backends[name] for name in selector.model_names if name in self._backends]
        limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
        limit = min((value for value in limits if isinstance(value, int) and value >= 0), default=inf)
        messages: Any = body.get("messages")
        costs = _costs(known, characters_of(messages) / CHARACTERS_PER_TOKEN, limit)
        asked = Asked(costs=costs) if costs and selector.metadata.outcomes else Asked()
        explained = selector.explain(messages=messages, **asked)
        scores, outcomes = explained["scores"], explained.get("outcomes", {})
        ranked = sorted(scores, key=lambda name: (name == explained["model"], scores[name]), reverse=True)
        return [
            Choice(
                self._backends[name],
                outcomes.get(name, {}).get("quality"),
                outcomes.get(name, {}).get("cost", costs.get(name)),
            )
            for name in ranked
        ]


def _costs(backends: Iterable[Backend], prompt_tokens: float, answer_limit: float) -> dict[str, float]:
    """Return the price of an answer of each backend that has prices."""
    costs = {backend.name: backend.cost(prompt_tokens, answer_limit) for backend in backends}
    return {name: cost for name, cost in costs.items() if cost is not None}


def count(event: Event) -> None:
    """Count what becomes of new pairs of selector and encoder."""
    match event:
        case Swap():
            SWAPS.labels("swapped").inc()
        case Refusal():
            SWAPS.labels("refused").inc()
