"""How much of a prompt's known beginning backends find in their caches, learned from the counts of their answers."""

from threading import Lock

from prometheus_client import Counter

PREFIXES = Counter(
    "modelpick_gateway_prefix_tokens",
    "Tokens of prompts that a backend has answered before, and those that it found in its cache.",
    ["model", "kind"],
)
# Tokens for which the assumption counts that all are found; and tokens after which older answers count half.
ASSUMED, REMEMBERED = 10_000.0, 1_000_000.0


class Caches:
    """Learns the share of each backend; any number of threads may use it."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def share(self, name: str) -> float:
        """Return the share of a beginning that a backend finds: 1 before it has reported any."""
        found, sent = self._tokens.get(name, (0.0, 0.0))
        return (ASSUMED + found) / (ASSUMED + sent)

    def learn(self, name: str, found: float, sent: float) -> None:
        """Learn from an answer: tokens of the beginning that were found, and that were sent."""
        found = min(found, sent)
        PREFIXES.labels(name, "sent").inc(sent)
        PREFIXES.labels(name, "found").inc(found)
        with self._lock:
            before = self._tokens.get(name, (0.0, 0.0))
            fading = 0.5 if before[1] > REMEMBERED else 1.0
            self._tokens[name] = before[0] * fading + found, before[1] * fading + sent
