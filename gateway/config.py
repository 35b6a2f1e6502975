"""The gateway's one TOML file, read and checked; see docs/gateway.md."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from modelpick.runtime import ModelpickError
from modelpick.runtime.decision.outcomes import PRICES

AUTO = "auto"
COMPLETIONS = "/chat/completions"
# Parts of a request that only some models take.
Kind = Literal["image", "audio", "file", "tools", "json_schema"]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class ConfigError(ModelpickError):
    """A bad configuration file: one line that names the file, the place, and what was expected there."""


class _Table(BaseModel):
    """A table of the file: unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Backend(_Table):
    """One language model behind an OpenAI-compatible API."""

    name: str = Field(min_length=1)
    """Name of the model for clients and in the artifact."""
    base_url: HttpUrl
    """Base URL, to which ``/chat/completions`` is added, as OpenAI's clients take it; a query stays behind the path."""
    model: str | None = None
    """Name of the model at the backend, where it is another."""
    key_env: str | None = None
    """Environment variable of the key for the backend; clients' keys are never passed on."""
    input_price: float | None = Field(None, ge=0)
    """Price of a million tokens of prompt. Where both prices are given, they replace the costs of the records."""
    output_price: float | None = Field(None, ge=0)
    """Price of a million tokens of answer."""
    answer_tokens: PositiveInt = 400
    """Tokens of the model's usual answer, which the predicted cost assumes."""
    context_tokens: PositiveInt | None = None
    """Most tokens of prompt and answer together; None where unknown."""
    max_output_tokens: PositiveInt | None = None
    """Most tokens of an answer; None where unknown."""
    stream_usage: bool = True
    """Whether it is asked for the token counts of streams, by ``stream_options``."""
    accepts: tuple[Kind, ...] | None = None
    """What requests to the model may hold in addition to text; None where unknown: all requests are sent then."""

    @field_validator("base_url")
    @classmethod
    def _before_the_endpoint(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:  # they would silently take the place of the key
            raise ValueError("expected it without user and password: key_env names the variable of a key")
        if (url.path or "").rstrip("/").endswith(COMPLETIONS):
            raise ValueError(f"expected what stands before {COMPLETIONS}, which is added")
        if url.fragment:
            raise ValueError("expected it without a fragment")
        return url

    @property
    def url(self) -> str:
        """URL of chat completions."""
        base, mark, query = str(self.base_url).partition("?")
        return f"{base.rstrip('/')}{COMPLETIONS}{mark}{query}"

    @property
    def key(self) -> str | None:
        """The key, from the environment, without white space around it; None where there is none."""
        return os.environ.get(self.key_env, "").strip() or None if self.key_env else None

    def cost(self, prompt_tokens: float, answer_tokens: float) -> float | None:
        """Return the price of an answer to a prompt; None where the prices are unknown."""
        if self.input_price is None or self.output_price is None:
            return None
        return (prompt_tokens * self.input_price + answer_tokens * self.output_price) / 1e6


class Limits(_Table):
    """Limits of requests; times are in seconds."""

    connections: PositiveInt = 1_000
    """Most connections of clients at a time, in each worker."""
    header_seconds: PositiveFloat = 10.0
    """Time until a request's headers have arrived."""
    body_bytes: PositiveInt = 4_000_000
    pick_threads: PositiveInt = 2
    """Threads of each worker that read requests and pick, so that the event loop is not blocked."""
    connect_seconds: PositiveFloat = 2.0
    """Time until a backend accepts the connection."""
    first_byte_seconds: PositiveFloat = 60.0
    """Time until the first byte of a backend's answer; without streaming, until the whole answer is ready."""
    total_seconds: PositiveFloat = 600.0
    """Time until the last byte, over all backends that are tried."""
    stop_seconds: PositiveInt = 60
    """Time that requests in flight have to finish when the gateway is stopped."""
    idle_seconds: PositiveFloat = 15.0
    """Time after which an unused connection to a backend is closed."""
    failures: PositiveInt = 5
    """Number of consecutive failures after which a backend is asked last, until a probe of it serves."""
    probe_seconds: PositiveFloat = 10.0
    """Time until the first probe of a backend that failed repeatedly; each failed probe doubles it, up to 32 times."""


class Preference(_Table):
    """Preferences of the pick, where outcomes are predicted; see docs/outcomes.md."""

    keep: float | None = None
    cost_weight: Weight | None = None
    seconds_weight: Weight | None = None
    quality: float | None = None
    """Least predicted quality: the cheapest backend that reaches it is picked; where none does, the best backend."""

    @property
    def weights(self) -> dict[str, float]:
        """The weights of an objective that are given, by their keywords."""
        given = {kind.weight: getattr(self, kind.weight, None) for kind in PRICES}
        return {keyword: weight for keyword, weight in given.items() if weight is not None}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((self.keep is not None, bool(self.weights), self.quality is not None)) > 1:
            raise ValueError("expected one of keep, weights, and quality")
        return self


class Conversations(_Table):
    """When a conversation keeps its model."""

    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] = "x-conversation-id"
    """Header that names the conversation; without it, a digest of the first messages names the conversation."""
    expire_seconds: PositiveFloat = 3_600.0
    """Seconds after which a conversation is forgotten."""
    remembered: PositiveInt = 100_000
    """Most conversations that a worker remembers."""
    cache_discount: Share = 0.5
    """Share of the price of a prompt's tokens that is saved where the backend has its prefix in the cache."""
    cache_seconds: PositiveFloat = 300.0
    """Seconds after which a backend has dropped the prefix from its cache."""


class Decisions(_Table):
    """Where decisions and their outcomes are written, and how much of a prompt is kept."""

    url: str = "sqlite:///decisions.sqlite"
    """URL for SQLAlchemy; an SQLite file's path is relative to the configuration file. Empty: nothing is written."""
    store: Literal["nothing", "embedding", "text"] = "nothing"
    """Which form of a prompt is kept."""
    retention_days: PositiveFloat = 90.0
    """Days after which decisions are deleted."""
    batch_seconds: PositiveFloat = 0.2
    """Seconds between two writes."""
    waiting: PositiveInt = 10_000
    """Most rows that may wait to be written; further rows are dropped, and counted."""
    counts: Path = Path("decisions.counts")
    """Folder where each process keeps the number of its decisions, so that those that a killed process lost are known;
    relative to the configuration file."""


class Config(_Table):
    """The whole configuration file."""

    artifacts: Path
    """A folder of artifacts: ``POST /select/NAME`` answers vectors with each."""
    selector: str | None = None
    """Name of the artifact that picks for prompts."""
    encoder: Path | None = None
    """The encoder that this artifact was trained with."""
    shadow: Path | None = None
    """An artifact whose picks are recorded but not followed; they are made off the path of requests."""
    shadow_encoder: Path | None = None
    """The encoder of the artifact in the shadow, where it is another."""
    far: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the training questions: prompts that are farther from these than it is from one another get the default
    model, see docs/outcomes.md."""
    explore: Share = 0.0
    """Probability with which a candidate other than the best is asked."""
    explore_margin: Weight | None = None
    """Utility by which such a candidate may be worse than the best; None where it may be any candidate."""
    client_keys: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """SHA-256, in hex, of each key; clients must have one of these keys. Without keys, all clients may ask."""
    prefer: Preference = Preference()
    limits: Limits = Limits()
    conversations: Conversations = Conversations()
    decisions: Decisions = Decisions()
    backends: tuple[Backend, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [backend.name for backend in self.backends]
        if repeated := {name for name in names if names.count(name) > 1 or name.partition(":")[0] == AUTO}:
            raise ValueError(f"expected backends of names that differ, and not {AUTO!r}, got {sorted(repeated)}")
        if (self.selector is None) != (self.encoder is None):
            raise ValueError("expected selector and encoder, or neither")
        if self.shadow is not None and self.selector is None:
            raise ValueError("shadow: expected a selector as well, whose picks are followed")
        if missing := {backend.key_env for backend in self.backends} - {None, *os.environ}:
            raise ValueError(f"expected the environment variables {sorted(map(str, missing))}")
        for backend in self.backends:
            if not re.fullmatch(r"[!-~]*", backend.key or ""):
                raise ValueError(f"{backend.key_env}: expected a key of printable ASCII characters, without spaces")
        return self


def read(path: Path) -> Config:
    """Read the file; paths in it are relative to its folder.

    Raises
    ------
    ConfigError
        When the file cannot be read or is malformed.
    """
    try:
        config = Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {place}{': ' if place else ''}{first['msg']}") from None
    except RecursionError:
        raise ConfigError(f"{path}: expected tables and lists that are not nested so deep") from None
    except (OSError, ValueError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise ConfigError(f"{path}: {error}") from None
    decisions: dict[str, Path | str] = {"counts": path.parent / config.decisions.counts}
    if found := re.fullmatch(r"sqlite:///([^/:].*)", config.decisions.url):
        decisions["url"] = f"sqlite:///{path.parent.resolve() / found[1]}"
    config = config.model_copy(update={"decisions": config.decisions.model_copy(update=decisions)})
    files = {name: getattr(config, name) for name in ("artifacts", "encoder", "shadow", "shadow_encoder")}
    return config.model_copy(update={name: path.parent / file for name, file in files.items() if file is not None})
