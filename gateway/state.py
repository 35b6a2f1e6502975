"""The state of a gateway while it runs."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from modelpick.runtime import SelectorStore
from modelpick.runtime.events import logger
from modelpick.runtime.serving.prometheus import PrometheusObserver
from modelpick.runtime.text.messages import prompt_of

from .clients import Clients
from .config import Backend, Config, ConfigError, Preference
from .conversations import Conversations
from .database import Database
from .decisions import Answered, Decision
from .picks import Pick, Picker
from .rankings import Rankings
from .recorder import Recorder
from .relay import Served
from .shadow import Shadow

Result = TypeVar("Result")
OBSERVER = PrometheusObserver()
# Most characters of a prompt that are stored, or read by the selector in the shadow.
PROMPT = 32_768


class Files(NamedTuple):
    """The files that a configuration names, loaded."""

    store: SelectorStore
    rankings: Rankings | None
    shadow: Shadow | None
    clients: Clients
    database: Database | None


@contextmanager
def loaded(config: Config) -> Iterator[Files]:
    """Hold the selectors for vectors and prompts, and the database, while the context lasts.

    Raises
    ------
    ModelpickError
        When a file that the configuration names cannot be loaded or used.
    """
    with ExitStack() as stack:
        clients = Clients(config.limits)
        store = stack.enter_context(SelectorStore(config.artifacts, observer=OBSERVER))
        if config.selector is None or config.encoder is None:
            yield Files(store, None, None, clients, None)
            return
        rankings = stack.enter_context(Rankings(config.artifacts / f"{config.selector}.onnx", config.encoder, config))
        shadow = database = None
        if config.shadow is not None:
            names = [backend.name for backend in config.backends]
            made = Shadow(config.shadow, config.shadow_encoder or config.encoder, names)
            shadow = stack.enter_context(closing(made))
        if config.decisions.url:
            database = stack.enter_context(closing(Database(config.decisions.url)))
        elif config.shadow is not None or config.decisions.store != "nothing":
            raise ConfigError("decisions: expected a url, where picks in the shadow or prompts are to be written")
        yield Files(store, rankings, shadow, clients, database)


@dataclass
class State:
    """The state that endpoints use."""

    config: Config
    files: Files
    picker: Picker | None
    recorder: Recorder | None
    threads: ThreadPoolExecutor

    @property
    def backends(self) -> Mapping[str, Backend]:
        """Name -> backend."""
        return {backend.name: backend for backend in self.config.backends}

    async def in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function in one of a few threads, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    def pick(self, body: Mapping[str, Any], prefer: Preference, named: str | None, client: str) -> Pick:
        """Pick for a chat completion, and queue the decision to be written; see `Picker.pick`."""
        assert self.picker is not None
        pick = self.picker.pick(body, prefer, named, client)
        if self.recorder is None:
            return pick
        wanted = self.files.shadow is not None or self.config.decisions.store != "nothing"
        prompt = prompt_of(body["messages"])[:PROMPT] if wanted else ""
        return pick._replace(decision=self.recorder.decide(pick.decision, partial(self._finished, prompt)))

    def _finished(self, prompt: str, decision: Decision) -> Decision:
        """Complete a decision by the parts that take time."""
        assert self.files.rankings is not None
        store, shadow = self.config.decisions.store, self.files.shadow
        if shadow is not None:
            picked = shadow.pick(prompt, [*decision.candidates], decision.model, decision.category)
            decision = replace(decision, shadow=picked)
        if store == "text":
            return replace(decision, text=prompt.replace("\0", "\ufffd"))
        if store == "embedding":
            encoder = self.files.rankings.current.encoder
            if encoder.digest == decision.encoder:  # and not swapped since
                (embedding,) = encoder.embed([prompt])
                return replace(decision, embedding=embedding.astype(np.dtype("<f4")).tobytes())
        return decision

    def record_answer(self, pick: Pick, served: Served) -> None:
        """Queue the answer to a decision to be written."""
        backend, usage = served.backend, dict(served.usage)
        if backend is not None and self.picker is not None:
            self.picker.served(pick, backend.name, usage)
        if self.recorder is None:
            return
        is_estimated = backend is not None and "completion_tokens" not in usage and served.status < 400
        if is_estimated:
            usage = {"prompt_tokens": pick.decision.prompt_tokens} | usage | {"completion_tokens": served.estimate}
        row = Answered(
            decision_id=pick.decision.id,
            model=backend.name if backend else None,
            status=served.status,
            success=served.is_complete and served.status < 400,
            first_byte_seconds=served.first_byte_seconds,
            seconds=served.seconds,
            estimated=is_estimated,
            cost=self._cost(backend, usage),
            failures=served.failures,
            **usage,
        )
        self.recorder.put("answer", lambda: row)

    def _cost(self, backend: Backend | None, usage: Mapping[str, int]) -> float | None:
        if backend is None or "prompt_tokens" not in usage or "completion_tokens" not in usage:
            return None
        spared = usage.get("cached_tokens", 0) * self.config.conversations.cache_discount
        return backend.cost(usage["prompt_tokens"] - spared, usage["completion_tokens"])


@contextmanager
def held(config: Config) -> Iterator[State]:
    """Hold the state while the context lasts; at the end all waiting rows are written.

    Raises
    ------
    ModelpickError
        See `loaded`.
    """
    _say_what_is_odd(config)
    with loaded(config) as files, ExitStack() as stack:
        threads = ThreadPoolExecutor(config.limits.pick_threads, "modelpick pick")
        stack.callback(threads.shutdown, cancel_futures=True)
        recorder = Recorder(files.database, config.decisions) if files.database is not None else None
        if recorder is not None:
            stack.callback(recorder.close, config.limits.stop_seconds)
        picker = None
        if files.rankings is not None:
            picker = Picker(config, files.rankings, Conversations(config.conversations, files.database))
        yield State(config, files, picker, recorder, threads)


def _say_what_is_odd(config: Config) -> None:
    for backend in config.backends:
        if backend.key_env and backend.key is None:
            logger.warning("%s is asked without a key: %s is empty", backend.name, backend.key_env)
    unknown = [one.name for one in config.backends if None in (one.context_tokens, one.max_output_tokens, one.accepts)]
    if unknown:
        logger.warning(
            "limits of %s are not known: what they cannot serve is found out by asking (context_tokens, "
            "max_output_tokens, accepts)",
            ", ".join(unknown),
        )
