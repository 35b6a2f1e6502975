"""From prompts to backends: the candidates of a request, best first."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import Counter, Histogram

from modelpick.runtime import ArtifactError, FeatureError, Objective
from modelpick.runtime.decision.operating_points import cheapest
from modelpick.runtime.decision.outcomes import OUTCOMES
from modelpick.runtime.errors import some_of
from modelpick.runtime.events import Event, Refusal, Swap
from modelpick.runtime.request import Given
from modelpick.runtime.serving.text_store import TextStore
from modelpick.runtime.text import TextSelector

from .config import Backend, Config, Preference
from .errors import RefusedError
from .needs import Needs, needs_of

PICK = Histogram(
    "modelpick_gateway_pick_seconds",
    "Time from a prompt to the order of its backends.",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
SWAPS = Counter("modelpick_gateway_swaps", "New pairs of selector and encoder, by outcome.", ["outcome"])
PROBE: Mapping[str, Any] = {"messages": [{"role": "user", "content": "?"}]}


class Choice(NamedTuple):
    """A backend, and the predicted outcomes of its answer, where they are predicted."""

    backend: Backend
    score: float
    outcomes: Mapping[str, float]
    """Kind of outcome -> the prediction; without kinds that are not predicted."""

    @property
    def quality(self) -> float | None:
        """The predicted quality of its answer."""
        return self.outcomes.get("quality")

    @property
    def cost(self) -> float | None:
        """The predicted cost of its answer."""
        return self.outcomes.get("cost")

    @property
    def predicted(self) -> dict[str, float | None]:
        """The prediction of each kind of outcome."""
        return {kind: self.outcomes.get(kind) for kind in OUTCOMES}


class Ranking(NamedTuple):
    """The backends of a request, and how they were ranked."""

    choices: list[Choice]
    """Backends that can serve the request: the pick, then the others by score."""
    excluded: Mapping[str, str]
    """Why the other backends cannot serve it."""
    needs: Needs
    cost_weight: float | None
    """Quality that a unit of cost is worth; None where scores are not utilities."""
    artifact: str
    """SHA-256 of the JSON model that the selector was converted from."""
    encoder: str
    """Digest of the encoder."""
    category: str | None
    is_far: bool
    """Whether the prompt is far from the training questions, so that the default model is the pick."""
    good_enough: float | None
    """The least predicted quality that the request asks for, if it does."""


class Rankings(TextStore):
    """Holds the selector that picks for prompts: a store that also refuses selectors that could not rank the backends.

    Raises
    ------
    ModelpickError
        When the files cannot be loaded, do not belong together, know no backend, or cannot follow the preferences.
    """

    def __init__(self, artifact: Path, encoder: Path, config: Config) -> None:
        self._backends = {backend.name: backend for backend in config.backends}
        self._prefer, self._far = config.prefer, config.far
        candidates = list(self._backends)
        super().__init__(
            artifact, encoder, observer=count, poll_seconds=0.5, unknown_candidates="ignore", candidates=candidates
        )

    @property
    def current(self) -> TextSelector:
        """The current selector; a request uses the same selector until it ends."""
        return self[self._path.stem]

    def _loaded(self, file: Path) -> TextSelector:  # type: ignore[override]
        selector = super()._loaded(file)
        try:
            self._ranked(selector, PROBE, self._prefer, all_may=True)
        except RefusedError as error:
            raise ArtifactError(f"{file}: {error}") from None
        return selector

    def rank(self, body: Mapping[str, Any], prefer: Preference) -> Ranking:
        """Return the backends for a request.

        Raises
        ------
        FeatureError
            When the messages are malformed or hold no text, or the selector cannot follow the preferences.
        RefusedError
            When no backend can serve the request.
        """
        start = time.perf_counter()
        ranking = self._ranked(self.current, body, prefer)
        PICK.observe(time.perf_counter() - start)
        return ranking

    def _ranked(
        self, selector: TextSelector, body: Mapping[str, Any], prefer: Preference, all_may: bool = False
    ) -> Ranking:
        known = [self._backends[name] for name in selector.model_names if name in self._backends]
        needs = needs_of(body, selector.encoder)
        refusals = {backend.name: None if all_may else needs.refusal(backend) for backend in known}
        able = [backend for backend in known if refusals[backend.name] is None]
        excluded = {name: reason for name, reason in refusals.items() if reason is not None}
        if not able:
            raise _none_can(excluded)
        costs = _costs(able, needs)
        given, cost_weight = _given(selector, prefer, costs)
        given["candidates"], given["far"] = [backend.name for backend in able], self._far
        messages: Any = body.get("messages")
        try:
            explained = selector.explain(messages=messages, **given)
        except FeatureError as error:
            raise _named(error) from None
        scores, outcomes = explained["scores"], explained.get("outcomes", {})
        priced = {name: {"cost": cost} for name, cost in costs.items()}
        choices = [
            Choice(self._backends[name], score, priced.get(name, {}) | outcomes.get(name, {}))
            for name, score in scores.items()
        ]
        choices.sort(key=lambda one: (one.backend.name == explained["model"], one.score), reverse=True)
        metadata = selector.metadata
        digests = metadata.source_sha256, selector.encoder.digest
        return Ranking(
            choices,
            excluded,
            needs,
            cost_weight,
            *digests,
            explained.get("category"),
            explained.get("far", False),
            prefer.quality,
        )


def _given(selector: TextSelector, prefer: Preference, costs: Mapping[str, float]) -> tuple[Given, float | None]:
    """Return the preferences as a selector takes them, and the quality that a unit of cost is worth by them."""
    given, objective = Given(), Objective()
    if prefer.keep is not None:
        given["keep"] = prefer.keep
        if selector.selector.points:
            objective = cheapest(selector.selector.points, prefer.keep).objective
    elif prefer.quality is not None:
        given["at_least"] = prefer.quality
    elif prefer.weights:
        given["objective"] = objective = Objective(**prefer.weights)
    if not selector.metadata.outcomes:
        return given, None
    if costs:
        given["costs"] = costs
    return given, objective.cost_weight


def _costs(backends: Iterable[Backend], needs: Needs) -> dict[str, float]:
    """Return the price of an answer of each backend that has prices."""
    costs = {backend.name: backend.cost(needs.prompt_tokens, needs.answer_tokens(backend)) for backend in backends}
    return {name: cost for name, cost in costs.items() if cost is not None}


def _named(error: FeatureError) -> FeatureError:
    """Name the preference of a client in an error, instead of the keyword of the selector."""
    keyword, _, rest = str(error).partition(": ")
    return FeatureError(f"quality: {rest}") if keyword == "at_least" else error


def _none_can(excluded: Mapping[str, str]) -> RefusedError:
    too_long = all(reason.startswith("holds ") for reason in excluded.values())
    alike: dict[str, list[str]] = {}
    for name, reason in excluded.items():
        alike.setdefault(reason, []).append(name)
    reasons = "; ".join(f"{some_of(names)}{':' if len(names) > 1 else ''} {reason}" for reason, names in alike.items())
    code = "context_length_exceeded" if too_long else "no_model_can_serve"
    return RefusedError(400, f"no model can serve this request: {reasons}", param="messages", code=code)


def count(event: Event) -> None:
    """Count new pairs of selector and encoder by whether they are loaded or refused."""
    match event:
        case Swap():
            SWAPS.labels("swapped").inc()
        case Refusal():
            SWAPS.labels("refused").inc()
