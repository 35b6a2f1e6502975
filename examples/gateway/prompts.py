"""Prompts in, backends out: the candidates of a request, best first."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import quote

from prometheus_client import Counter, Histogram

from modelpick.runtime import Objective
from modelpick.runtime.events import logger
from modelpick.runtime.text import TextSelector
from modelpick.runtime.text.messages import prompt_of

from .config import Backend, Config

PICK = Histogram(
    "modelpick_gateway_pick_seconds",
    "Time from a prompt to the order of its backends.",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
SWAPS = Counter("modelpick_gateway_swaps", "New pairs of selector and encoder, by outcome.", ["outcome"])
# By which the tokens of a prompt are estimated: every backend has another tokenizer.
CHARACTERS_PER_TOKEN = 4
PROBE = {"messages": [{"role": "user", "content": "?"}]}


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


class Ranking:
    """A selector and its encoder over the backends that the selector knows.

    Raises
    ------
    ModelpickError
        When they cannot be loaded, do not belong together, know no backend, or cannot do what is preferred.
    """

    def __init__(self, artifact: Path, encoder: Path, config: Config) -> None:
        self._backends = {backend.name: backend for backend in config.backends}
        self._text = TextSelector.load(artifact, encoder, candidates=list(self._backends), unknown_candidates="ignore")
        metadata = self._text.metadata
        self.version = metadata.source_sha256
        self._known = [self._backends[name] for name in metadata.model_names if name in self._backends]
        self._predicts = bool(metadata.outcomes)
        prefer = config.prefer
        self._asked: dict[str, Any] = {}
        if prefer.keep is not None:
            self._asked["keep"] = prefer.keep
        if prefer.cost_weight is not None or prefer.seconds_weight is not None:
            self._asked["objective"] = Objective(prefer.cost_weight or 0.0, prefer.seconds_weight or 0.0)
        self(PROBE)

    def __call__(self, body: Mapping[str, Any]) -> list[Choice]:
        """Return the backends for a request: the pick, then the others by score.

        Raises
        ------
        FeatureError
            When the messages are none, or hold no text.
        """
        start = time.perf_counter()
        costs = self._costs(body)
        asked = {**self._asked, "costs": costs} if costs and self._predicts else self._asked
        explained = self._text.explain(messages=body.get("messages"), **asked)
        scores, outcomes = explained["scores"], explained.get("outcomes", {})
        ranked = sorted(scores, key=lambda name: (name == explained["model"], scores[name]), reverse=True)
        PICK.observe(time.perf_counter() - start)
        return [
            Choice(
                self._backends[name],
                outcomes.get(name, {}).get("quality"),
                outcomes.get(name, {}).get("cost", costs.get(name)),
            )
            for name in ranked
        ]

    def _costs(self, body: Mapping[str, Any]) -> dict[str, float]:
        """Return the price of an answer of each backend that has prices."""
        tokens = len(prompt_of(body.get("messages", ()), "all")) / CHARACTERS_PER_TOKEN
        limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
        limit = min((value for value in limits if isinstance(value, int) and value >= 0), default=float("inf"))
        costs = {backend.name: backend.cost(tokens, limit) for backend in self._known}
        return {name: cost for name, cost in costs.items() if cost is not None}


class Rankings:
    """Holds the current ranking, and swaps it when the artifact or the encoder changes: both together or not at all.

    Requests in flight finish on the ranking that they began with. Files that are refused, as an artifact whose encoder
    is not there yet, are logged and counted, and the old pair serves on.
    """

    def __init__(self, artifact: Path, encoder: Path, config: Config, poll_seconds: float = 0.5) -> None:
        self._files, self._config, self._poll = (artifact, encoder), config, poll_seconds
        self._seen = self._look()
        self.current = Ranking(artifact, encoder, config)
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="modelpick rankings", daemon=True)
        self._thread.start()

    def _look(self) -> Sequence[tuple[int, int, int, int]] | None:
        try:
            stats = [file.stat() for file in self._files]
        except OSError:
            return None
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size) for stat in stats]

    def _watch(self) -> None:
        while not self._stop.wait(self._poll):
            seen = self._look()
            if seen is None or seen == self._seen:
                continue
            self._seen = seen
            try:
                self.current = Ranking(*self._files, self._config)
            except Exception as error:  # whatever the files hold, the old pair serves on
                outcome = "refused"
                logger.error("%s, %s: refused, the old pair serves on: %s", *self._files, error)
            else:
                outcome = "swapped"
                logger.info("serves from %s, %s", *self._files)
            SWAPS.labels(outcome).inc()

    def close(self) -> None:
        """Stop looking at the files."""
        self._stop.set()
        self._thread.join()
