"""The gateway's one TOML file, read and checked; see docs/gateway.md."""

import os
import tomllib
from pathlib import Path
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from modelpick.runtime import ModelpickError

AUTO = "auto"


class ConfigError(ModelpickError):
    """A file that is no gateway's: one line that names the file, the place, and what was expected there."""


class _Table(BaseModel):
    """A table of the file: keys that it does not know are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Backend(_Table):
    """One language model behind an OpenAI-compatible API."""

    name: str = Field(min_length=1)
    """Its name for clients and in the artifact."""
    base_url: HttpUrl
    """What stands before ``/chat/completions``, as OpenAI's clients take it."""
    model: str | None = None
    """Its name at the backend, where that is another."""
    key_env: str | None = None
    """Environment variable of the key that the backend wants; clients' keys are never passed on."""
    input_price: float | None = Field(None, ge=0)
    """Price of a million tokens of prompt. Where both prices are there, they replace the costs of the records."""
    output_price: float | None = Field(None, ge=0)
    """Price of a million tokens of answer."""
    answer_tokens: PositiveInt = 400
    """Length of its usual answer, which the predicted cost assumes."""

    @field_validator("base_url")
    @classmethod
    def _without_credentials(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:  # they would silently take the place of the key
            raise ValueError("expected it without user and password: key_env names the variable of a key")
        return url

    @property
    def url(self) -> str:
        """Where chat completions are asked for."""
        return f"{str(self.base_url).rstrip('/')}/chat/completions"

    @property
    def key(self) -> str | None:
        """The key, from the environment."""
        return os.environ[self.key_env] if self.key_env else None

    def cost(self, prompt_tokens: float, answer_limit: float) -> float | None:
        """Return the price of a usual answer to a prompt; None where prices are not known."""
        if self.input_price is None or self.output_price is None:
            return None
        return (prompt_tokens * self.input_price + min(self.answer_tokens, answer_limit) * self.output_price) / 1e6


class Limits(_Table):
    """What one request may take."""

    connections: PositiveInt = 1_000
    """Clients' connections at a time, in each worker."""
    header_seconds: PositiveFloat = 10.0
    """Until a request's headers are there."""
    body_bytes: PositiveInt = 4_000_000
    pick_threads: PositiveInt = 2
    """Requests at a time that are read and picked for, beside the event loop, in each worker."""
    connect_seconds: PositiveFloat = 2.0
    """Until a backend accepts the connection."""
    first_byte_seconds: PositiveFloat = 60.0
    """Until the first byte of a backend's answer; without streaming, that is the whole of it."""
    total_seconds: PositiveFloat = 600.0
    """Until the last byte, over all backends that are tried."""
    stop_seconds: PositiveInt = 60
    """What requests in flight have to finish when the gateway is stopped."""


class Preference(_Table):
    """What the pick prefers, where outcomes are predicted; see docs/outcomes.md."""

    keep: float | None = None
    cost_weight: float | None = None
    seconds_weight: float | None = None


class Config(_Table):
    """The whole file."""

    artifacts: Path
    """A folder of artifacts: ``POST /select/NAME`` answers vectors with each."""
    selector: str | None = None
    """Name of the one that picks for prompts."""
    encoder: Path | None = None
    """The encoder that it was trained with."""
    prefer: Preference = Preference()
    limits: Limits = Limits()
    backends: tuple[Backend, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [backend.name for backend in self.backends]
        if repeated := {name for name in names if names.count(name) > 1 or name == AUTO}:
            raise ValueError(f"expected backends of names that differ, and not {AUTO!r}, got {sorted(repeated)}")
        if (self.selector is None) != (self.encoder is None):
            raise ValueError("expected selector and encoder, or neither")
        if missing := {backend.key_env for backend in self.backends} - {None, *os.environ}:
            raise ValueError(f"expected the environment variables {sorted(map(str, missing))}")
        return self


def read(path: Path) -> Config:
    """Read the file; paths in it are relative to its folder.

    Raises
    ------
    ConfigError
        When it cannot be read, or holds what is not expected.
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
    placed = {"artifacts": path.parent / config.artifacts}
    if config.encoder is not None:
        placed["encoder"] = path.parent / config.encoder
    return config.model_copy(update=placed)
