"""One current selector per name, swapped when its file changes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import TIMEOUT_MAX, Event, Lock, Thread
from time import monotonic
from typing import Any, NamedTuple, Self, Unpack
from weakref import WeakSet

from ..errors import ArtifactError, ModelpickError, UnreadableError, first_line
from ..events import Refusal, Swap, logger, notify
from ..keywords import refuse_unknown, spelled_out
from ..loading import Loading
from ..request import lasting
from ..selector import Selector

SUFFIX = ".onnx"
# Models are named so that the original router finds them, as ``knn_model``: a store finds them as ``knn``, too.
ENDING = "_model"
# Seconds that the watching thread waits for a file to load before it looks at the next one.
PATIENCE = 1.0


class Seen(NamedTuple):
    """What distinguishes a file from its next version."""

    inode: int
    modified: int
    size: int
    changed: int
    """Changes even when the modification time was set by hand."""


class _Load:
    """A file that is being loaded, in a thread of its own: a load that never ends delays no other file."""

    def __init__(self, file: Path, seen: object) -> None:
        self.file, self.seen = file, seen
        self._began, self._ended = monotonic(), Event()

    def begin(self, load: Callable[["_Load"], None]) -> None:
        def run() -> None:
            try:
                load(self)
            finally:
                self._ended.set()

        Thread(target=run, name="modelpick load", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait until the load ends, at most for some seconds."""
        self._ended.wait(max(0.0, self._began + seconds - monotonic()))

    def is_overdue(self, seconds: float) -> bool:
        return not self._ended.is_set() and monotonic() >= self._began + seconds


class SelectorStore(Mapping[str, Selector]):
    """Holds the current selector of each artifact file, and swaps it when the file changes.

    A mapping of names to selectors. Requests in flight finish on the selector that they began with. A file that is
    refused is logged and counted, also at the start, and the previous selector keeps serving. It also keeps serving
    when its file vanishes. A file that the system could not read is tried again at the next look, and logged once. A
    bad file is tried again only after it has changed. However long a file loads, other files are looked at meanwhile.
    Threads may share a store, and a forked process may go on using it.

    A store also takes the keywords of `Selector.load`, for every selector. The ``observer`` is called with each
    `events.Swap` and `events.Refusal` as well, in the thread that loaded the file.

    Parameters
    ----------
    path
        An artifact, or a folder of artifacts, whose hidden files are ignored. A name is that of the file without
        ``.onnx``; a ``_model`` at its end may be left out.
    require
        Names that must have a selector at the start. An artifact given by its path is always required.
    poll_seconds
        Seconds between two looks at the files. With watchfiles installed (extra ``watch``), changes are also seen at
        once.
    load_seconds
        Maximum seconds that a file may take to load; a file that takes longer is refused.

    Raises
    ------
    ArtifactError
        When a required name has no selector at the start, or no name has one.
    ModelpickError
        When ``poll_seconds`` or ``load_seconds`` is not a positive number.
    TypeError
        When a keyword is not known.
    """

    @spelled_out
    def __init__(
        self,
        path: str | Path,
        *,
        require: Iterable[str] = (),
        poll_seconds: float = 1.0,
        load_seconds: float = 60.0,
        **load: Unpack[Loading],
    ) -> None:
        refuse_unknown(load, (*Loading.__annotations__, "require", "poll_seconds", "load_seconds"))
        self._poll, self._longest = _seconds("poll_seconds", poll_seconds), _seconds("load_seconds", load_seconds)
        self._path, self._options, self._observer = Path(path), lasting(load), load.get("observer")
        if self._observer is not None and not callable(self._observer):
            raise ModelpickError(f"observer: expected a function of an event, got {self._observer!r}")
        self._current: Mapping[str, Selector] = {}
        self._seen: dict[str, object | None] = {}
        self._refused: dict[str, tuple[object, ModelpickError]] = {}
        self._loading: dict[str, _Load] = {}
        self._refusals = 0
        # Held for a moment at a time: never while a file is loaded or an observer is called.
        self._lock, self._stop = Lock(), Event()
        self._threads: list[Thread] = []
        self.refresh()
        self._check(require)
        self._start()
        _STORES.add(self)

    def __getitem__(self, name: str) -> Selector:
        """Return the current selector of a name. Call this once a request, and keep what it returns."""
        current = self._current
        try:
            return current[name] if name in current else current[f"{name}{ENDING}"]
        except KeyError:
            raise ArtifactError(f"expected one of {', '.join(sorted(self._current))}, got {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, name: object) -> bool:
        return name in self._current or f"{name}{ENDING}" in self._current

    def get(self, name: str, default: Any = None) -> Any:
        """Return the current selector of a name, or the default where there is none."""
        current = self._current
        return current.get(name, current.get(f"{name}{ENDING}", default))

    # Two stores are never equal, whatever they hold now.
    __eq__, __hash__ = object.__eq__, object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self._path)!r}: {', '.join(self.names)}>"

    @property
    def names(self) -> list[str]:
        """Names that have a selector."""
        return sorted(self._current)

    @property
    def refusals(self) -> int:
        """Number of files refused so far."""
        return self._refusals

    def _check(self, require: Iterable[str]) -> None:
        if isinstance(require, str):
            raise ArtifactError(f"require: expected a list of names, got {require!r}")
        for name in (*require, *([] if self._path.is_dir() else [self._path.stem])):
            if name not in self:
                file = self._path / f"{name}{SUFFIX}" if self._path.is_dir() else self._path
                if name in self._refused:
                    raise self._refused[name][1]
                raise ArtifactError(f"{file}: cannot be read: there is no such file")
        if not self._current:
            for _, error in self._refused.values():
                raise error
            raise ArtifactError(f"{self._path}: expected at least one {SUFFIX} file in this folder")

    def refresh(self) -> None:
        """Look at the files now. Returns when all changed files are loaded or refused."""
        for load in [*self._loading.values()]:  # what began before this call may not have seen the last change
            load.wait(self._longest)
        self._look_at_files(self._longest)

    def _look_at_files(self, patience: float) -> None:
        for file in self._files():
            load = self._begun(file)
            if load is not None:
                load.wait(patience)
        for load in [*self._loading.values()]:
            if load.is_overdue(self._longest):
                self._refuse(load, ArtifactError(f"{load.file}: cannot be loaded within {self._longest:g} seconds"))

    def _begun(self, file: Path) -> _Load | None:
        """Begin to load a file if it changed. Returns the load in progress, if there is one."""
        with self._lock:
            load, seen = self._loading.get(file.stem), self._look(file)
            if load is None and seen is not None and seen != self._seen.get(file.stem):
                load = _Load(file, seen)
                load.begin(self._take)
                self._loading[file.stem] = load
            return load

    def _take(self, load: _Load) -> None:
        """Load a file, and serve from it or refuse it."""
        try:
            selector = self._loaded(load.file)
        except ModelpickError as error:
            self._refuse(load, error)
        except BaseException as cause:  # such as a panic of the tokenizer's library
            kind = UnreadableError if isinstance(cause, OSError) else ArtifactError
            self._refuse(load, kind(f"{load.file}: cannot be loaded: {first_line(cause)}"))
        else:
            self._swap(load, selector)

    def _swap(self, load: _Load, selector: Selector) -> None:
        name = load.file.stem
        with self._lock:
            if self._loading.get(name) is not load:  # it was given up
                return
            # In this order: a process that is forked in between loads the file again.
            self._current = {**self._current, name: selector}
            self._seen[name] = load.seen
            self._refused.pop(name, None)
            del self._loading[name]
        logger.info("%s: serves from %s", name, load.file)
        if self._observer:
            notify(self._observer, Swap(name, selector.metadata.source_sha256))

    def _start(self) -> None:
        self._threads = [Thread(target=target, name="modelpick store", daemon=True) for target in self._watchers()]
        for thread in self._threads:
            thread.start()

    def _start_again(self) -> None:
        """Watch the files in a forked process too: the watching thread is not forked."""
        self._lock, self._loading = Lock(), {}
        if not self._stop.is_set():
            self._stop = Event()
            self._start()

    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        return sorted(file for file in self._path.glob(f"*{SUFFIX}") if not file.name.startswith("."))

    def _look(self, file: Path) -> object | None:
        """Return what distinguishes a file from its next version, or None where there is no file."""
        return look(file)

    def _loaded(self, file: Path) -> Selector:
        return Selector.load(file, **self._options)

    def _watched(self) -> list[Path]:
        return [self._path]

    def _refuse(self, load: _Load, error: ModelpickError) -> None:
        name = load.file.stem
        with self._lock:
            if self._loading.get(name) is not load:
                return
            if not isinstance(error, UnreadableError):  # else it is tried again
                self._seen[name] = load.seen
            before, self._refused[name] = self._refused.get(name), (load.seen, error)
            del self._loading[name]
            if before is not None and before[0] == load.seen and str(before[1]) == str(error):
                return
            self._refusals += 1
        instead = "the old one keeps serving" if name in self._current else "there is none to serve"
        logger.error("%s: refused, %s: %s", name, instead, error)
        if self._observer:
            notify(self._observer, Refusal(name, str(error)))

    def _watchers(self) -> list[Callable[[], None]]:
        try:
            import watchfiles
        except ModuleNotFoundError:
            return [self._polling]

        def watching() -> None:
            for _ in watchfiles.watch(*self._watched(), stop_event=self._stop, debounce=50, step=10):
                self._look_again()

        return [self._polling, watching]

    def _polling(self) -> None:
        while not self._stop.wait(self._poll):
            self._look_again()

    def _look_again(self) -> None:
        try:
            self._look_at_files(PATIENCE)
        except BaseException:  # whatever happens to the files, the watching goes on
            logger.exception("%s: cannot be looked at", self._path)

    def close(self) -> None:
        """Stop looking at the files. Selectors that a caller holds keep serving.

        A load that has not ended goes on in its thread, which ends with the process.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# Stores that may have to watch again.
_STORES: WeakSet[SelectorStore] = WeakSet()


def _start_again() -> None:
    for store in _STORES:
        store._start_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)


def _seconds(name: str, given: float) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= TIMEOUT_MAX:
        raise ModelpickError(f"{name}: expected seconds, more than 0, got {given!r}")
    return given


def look(file: Path) -> Seen | None:
    """Return the state of a file, or None where there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return Seen(status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns)
