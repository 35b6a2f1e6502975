"""One current selector per name, swapped when its file changes."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self
from weakref import WeakSet

from ..errors import ArtifactError, ModelpickError
from ..events import Observer, Refusal, Swap, logger, notify
from ..selector import Selector

SUFFIX = ".onnx"


class Seen(NamedTuple):
    """What distinguishes a file from its next version."""

    inode: int
    modified: int
    size: int
    changed: int
    """Also when the other times were set by hand."""


class SelectorStore:
    """Holds the current selector of each artifact file, and swaps it when the file changes.

    Requests in flight finish on the selector that they began with. A file that is refused is logged and counted, also
    at first, and the selector before it serves on; so it does when a file vanishes. Threads may share a store, and a
    process that is forked may go on using it.

    Parameters
    ----------
    path
        An artifact, or a folder of them, of which hidden files are not looked at. Names are those of the files, without
        ``.onnx``.
    require
        Names that must have a selector at first. An artifact that is given by its path must have one in any case.
    poll_seconds
        How often files are looked at. With watchfiles installed (extra ``watch``), changes are seen at once as well.
    observer
        Called with an `events.Swap` or `events.Refusal`, and by the selectors with each `events.Selection`.
    **load
        What `Selector.load` takes, for every selector.

    Raises
    ------
    ArtifactError
        When a name that is required has no selector at first, or none has one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        require: Iterable[str] = (),
        poll_seconds: float = 1.0,
        observer: Observer | None = None,
        **load: Any,
    ) -> None:
        self._path, self._poll, self._observer, self._load = Path(path), poll_seconds, observer, load
        self._current: Mapping[str, Selector] = {}
        self._seen: dict[str, object | None] = {}
        self._refusals = 0
        self._lock, self._stop = Lock(), Event()
        self._threads: list[Thread] = []
        self._refused: dict[str, ModelpickError] = {}
        self.refresh()
        self._check(require)
        self._start()
        _STORES.add(self)

    def __getitem__(self, name: str) -> Selector:
        """Return the current selector of a name; call it once a request, and keep it for the whole of it."""
        try:
            return self._current[name]
        except KeyError:
            raise ArtifactError(f"expected one of {', '.join(sorted(self._current))}, got {name!r}") from None

    @property
    def names(self) -> list[str]:
        """Names that have a selector."""
        return sorted(self._current)

    @property
    def refusals(self) -> int:
        """How many files were refused so far."""
        return self._refusals

    def _check(self, require: Iterable[str]) -> None:
        if isinstance(require, str):
            raise ArtifactError(f"require: expected a list of names, got {require!r}")
        for name in (*require, *([] if self._path.is_dir() else [self._path.stem])):
            if name not in self._current:
                file = self._path / f"{name}{SUFFIX}" if self._path.is_dir() else self._path
                raise self._refused.get(name) or ArtifactError(f"{file}: cannot be read: there is no such file")
        if not self._current:
            none = ArtifactError(f"{self._path}: expected at least one {SUFFIX} file in this folder")
            raise next(iter(self._refused.values()), none)

    def refresh(self) -> None:
        """Look at the files now."""
        with self._lock:
            for file in self._files():
                seen = self._look(file)
                if seen is None or seen == self._seen.get(file.stem):
                    continue
                try:
                    selector = self._loaded(file)
                except ModelpickError as error:
                    self._seen[file.stem] = seen
                    self._refuse(file.stem, error)
                    continue
                # In this order: a process that is forked in between loads the file again.
                self._current = {**self._current, file.stem: selector}
                self._seen[file.stem] = seen
                logger.info("%s: serves from %s", file.stem, file)
                if self._observer:
                    notify(self._observer, Swap(file.stem, selector.metadata.source_sha256))

    def _start(self) -> None:
        self._threads = [Thread(target=target, name="modelpick store", daemon=True) for target in self._watchers()]
        for thread in self._threads:
            thread.start()

    def _start_again(self) -> None:
        """Watch the files in a process that was forked from the one that did: threads do not come along."""
        if not self._stop.is_set():
            self._lock, self._stop = Lock(), Event()
            self._start()

    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        return sorted(file for file in self._path.glob(f"*{SUFFIX}") if not file.name.startswith("."))

    def _look(self, file: Path) -> object | None:
        """Return what distinguishes a file from its next version, None where there is none."""
        return look(file)

    def _loaded(self, file: Path) -> Selector:
        return Selector.load(file, observer=self._observer, **self._load)

    def _watched(self) -> list[Path]:
        return [self._path]

    def _refuse(self, name: str, error: ModelpickError) -> None:
        self._refusals += 1
        self._refused[name] = error
        instead = "the old one serves on" if name in self._current else "there is none to serve"
        logger.error("%s: refused, %s: %s", name, instead, error)
        if self._observer:
            notify(self._observer, Refusal(name, str(error)))

    def _watchers(self) -> list[Any]:
        try:
            import watchfiles
        except ModuleNotFoundError:
            return [self._polling]

        def watching() -> None:
            for _ in watchfiles.watch(*self._watched(), stop_event=self._stop, debounce=50, step=10):
                self._refresh_logged()

        return [self._polling, watching]

    def _polling(self) -> None:
        while not self._stop.wait(self._poll):
            self._refresh_logged()

    def _refresh_logged(self) -> None:
        try:
            self.refresh()
        except Exception:  # whatever happens to the files, the watching goes on
            logger.exception("%s: cannot be looked at", self._path)

    def close(self) -> None:
        """Stop looking at the files; the selectors serve on for whoever holds them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# Stores that may have to watch again.
_STORES: WeakSet[SelectorStore] = WeakSet()


def _start_again() -> None:
    for store in _STORES:
        store._start_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)


def look(file: Path) -> Seen | None:
    """Look at a file; None where it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return Seen(status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns)
