"""Merges concurrent requests of an event loop into one run."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self, Unpack

import numpy as np
import numpy.typing as npt

from ..errors import ArtifactError
from ..keywords import spelled_out
from ..request import Given, Request
from ..selector import Selector


class _Waiting(NamedTuple):
    features: npt.NDArray[np.float64]
    answer: "asyncio.Future[str]"


# What the requests of one run have in common, as `_shared` makes it.
_Shared = tuple[tuple[str, Any], ...]


class BatchingSelector:
    """Answers concurrent requests by one `Selector.select_batch`, in a thread.

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
        if self._closed:
            raise ArtifactError("the selector is closed")
        given = _shared(request)
        checked = self._selector.checked(features, **{**request, **dict(given)})
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        waiting = self._waiting.setdefault(given, [])
        waiting.append(_Waiting(checked, answer))
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

    async def _answer(self, given: _Shared, waiting: list[_Waiting]) -> None:
        matrix = np.array([one.features for one in waiting])
        try:
            picked = await asyncio.to_thread(self._selector.select_batch, matrix, **dict(given))
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
    """Return the preferences of a request as keywords of `Selector.select_batch`, with hashable values."""
    given = ((name, request.get(name)) for name in sorted(Given.__annotations__))
    return tuple((name, _hashable(value)) for name, value in given if value is not None)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Models(value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
