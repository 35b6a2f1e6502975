"""Merges concurrent requests of an event loop into one run."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, Self, Unpack

import numpy as np
import numpy.typing as npt

from ..deciding import Decision
from ..errors import ArtifactError
from ..keywords import spelled_out
from ..request import Given, Request
from ..selector import Selector


class _Exploring(NamedTuple):
    explore: float
    margin: float | None


class _Shared(NamedTuple):
    """What the requests of one run have in common."""

    given: tuple[tuple[str, Any], ...]
    """Preferences, with hashable values."""
    exploring: _Exploring | None = None
    """How the run explores; None where it selects."""


class _Waiting(NamedTuple):
    features: npt.NDArray[np.float64]
    key: str | None
    answer: "asyncio.Future[Any]"


class BatchingSelector:
    """Answers concurrent requests by one `Selector.select_batch` or `decide_batch`, in a thread.

    For use within one event loop. A request waits only while a run is under way: until the run ends, until
    ``max_batch`` requests wait, or until the first of them has waited ``max_wait_us``. Then the next run begins, even
    if the previous one has not ended. Merging helps with large artifacts and many callers; see benchmarks/README.md.

    Parameters
    ----------
    selector
        Picks the models.
    max_batch
        Maximum number of requests in a run.
    max_wait_us
        Maximum wait of a request for others, in microseconds; event loops are exact to about a millisecond.
    """

    def __init__(self, selector: Selector, *, max_batch: int = 64, max_wait_us: float = 2_000.0) -> None:
        if not isinstance(selector, Selector):
            raise TypeError(f"expected a Selector, got {type(selector).__name__}")
        if max_batch < 1 or not max_wait_us >= 0:
            raise ValueError(f"expected max_batch >= 1 and max_wait_us >= 0, got {max_batch} and {max_wait_us}")
        self._selector, self._max_batch, self._max_wait = selector, max_batch, max_wait_us / 1e6
        self._waiting: dict[_Shared, list[_Waiting]] = {}
        self._starts: dict[_Shared, asyncio.Handle] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    @spelled_out
    async def select(self, features: npt.ArrayLike | None = None, **request: Unpack[Request]) -> str:
        """Pick the model for one query; see `Selector.select`. A bad request fails alone."""
        model: str = await self._merged(_shared(request), features, request, None)
        return model

    @spelled_out
    async def decide(
        self,
        features: npt.ArrayLike | None = None,
        *,
        key: str | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[Request],
    ) -> Decision:
        """Pick the model for one query, or explore; see `Selector.decide`. A bad request fails alone."""
        self._selector.check_exploring(key, explore, margin)
        shared = _shared(request)._replace(exploring=_Exploring(explore, margin))
        decision: Decision = await self._merged(shared, features, request, key)
        return decision

    async def _merged(self, given: _Shared, features: npt.ArrayLike | None, request: Request, key: str | None) -> Any:
        """Answer a request in a run with others."""
        if self._closed:
            raise ArtifactError("the selector is closed")
        checked = self._selector.checked(features, **{**request, **dict(given.given)})
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        waiting = self._waiting.setdefault(given, [])
        waiting.append(_Waiting(checked, key, answer))
        if len(waiting) >= self._max_batch:
            self._start(given)
        elif len(waiting) == 1 and self._running:
            self._starts[given] = loop.call_later(self._max_wait, self._start, given)
        elif len(waiting) == 1:
            self._starts[given] = loop.call_soon(self._start, given)
        return await answer

    def _start(self, given: _Shared) -> None:
        if start := self._starts.pop(given, None):
            start.cancel()
        task = asyncio.get_running_loop().create_task(self._answer(given, self._waiting.pop(given)))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        for given in list(self._waiting):
            self._start(given)

    async def _answer(self, shared: _Shared, waiting: list[_Waiting]) -> None:
        matrix, given = np.array([one.features for one in waiting]), dict(shared.given)
        run: Callable[..., list[Any]] = self._selector.select_batch
        if shared.exploring is not None:
            keys = [one.key for one in waiting]
            run = partial(self._selector.decide_batch, keys=keys, **shared.exploring._asdict())
        try:
            picked = await asyncio.to_thread(run, matrix, **given)
        except BaseException as error:
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one, model in zip(waiting, picked, strict=True):
            if not one.answer.done():  # the caller may have given up
                one.answer.set_result(model)

    async def aclose(self) -> None:
        """Answer the waiting requests, and refuse later ones."""
        self._closed = True
        for given in list(self._waiting):
            self._start(given)
        await asyncio.gather(*self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Models(dict[str, float]):
    """A hashable mapping of models to numbers."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def _shared(request: Request) -> _Shared:
    """Return what a request has in common with others: its preferences as keywords of `Selector.select_batch`."""
    given = ((name, request.get(name)) for name in sorted(Given.__annotations__))
    return _Shared(tuple((name, _hashable(value)) for name, value in given if value is not None))


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Models(value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
