"""A selector in the shadow: its picks are recorded, and not followed."""

from collections.abc import Sequence
from pathlib import Path

from prometheus_client import Counter, Histogram

from modelpick.runtime import ModelpickError
from modelpick.runtime.events import logger
from modelpick.runtime.serving.text_store import TextStore

SHADOWS = Counter("modelpick_gateway_shadow", "Picks in the shadow, by whether they agree.", ["outcome"])
DIFFERENCE = Histogram(
    "modelpick_gateway_shadow_difference",
    "Score of the pick in the shadow, less that of the model that was asked, both by the selector in the shadow.",
    buckets=(0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)


class Shadow:
    """Picks as another artifact would, off the path of requests.

    Raises
    ------
    ModelpickError
        When its files cannot be loaded, or do not belong together.
    """

    def __init__(self, artifact: Path, encoder: Path, candidates: Sequence[str]) -> None:
        self._name = artifact.stem
        self._store = TextStore(artifact, encoder, unknown_candidates="ignore", candidates=candidates)

    def pick(self, prompt: str, candidates: Sequence[str], asked: str, category: str | None) -> str | None:
        """Return its pick for a prompt, or None on failure, and count whether it is the model that is asked."""
        selector = self._store[self._name]
        try:
            explained = selector.explain(prompt, candidates=candidates, category=category)
        except ModelpickError as error:
            SHADOWS.labels("failed").inc()
            logger.warning("in the shadow: %s", error)
            return None
        model: str = explained["model"]
        SHADOWS.labels("agrees" if model == asked else "differs").inc()
        if asked in explained["scores"]:
            DIFFERENCE.observe(explained["scores"][model] - explained["scores"][asked])
        return model

    def close(self) -> None:
        """Stop watching its files."""
        self._store.close()
