"""Reading sources and writing targets, whole or not at all."""

import errno
import mmap
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from modelpick.runtime.artifact.seal import open_file
from modelpick.runtime.errors import ModelpickError

STDIN = "-"
# Most links of a path that are followed, as on Linux.
MOST_LINKS = 40
# Pipes that the shell hands over, as in ``<(command)``; other pipes may block for ever.
HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
# The bytes of a file; the memory of a mapping can be given back to the system in parts.
Contents = bytes | mmap.mmap
_C = TypeVar("_C", bound=Contents)


def reason(cause: Exception) -> str:
    """Return the message of an operating system's error, without the path."""
    return str(getattr(cause, "strerror", None) or cause)


def open_bytes(source: str | Path, error: type[ModelpickError]) -> tuple[str, IO[bytes]]:
    """Open a source; returns its name for messages, and a buffered file. "-" is standard input.

    Raises
    ------
    ModelpickError
        Of the class ``error``, when the source cannot be opened, or is a folder, a device or a named pipe.
    """
    if str(source) == STDIN:
        return "<stdin>", sys.stdin.buffer
    try:
        is_handed_over = str(source).startswith(HANDED_OVER)
        return str(source), Path(source).open("rb") if is_handed_over else open_file(source)
    except (OSError, ValueError) as cause:
        raise error(f"{source}: cannot be read: {reason(cause)}") from None


def read_bytes(source: str | Path | bytes, error: type[ModelpickError]) -> tuple[str, bytes]:
    """Return a source's name for messages and its bytes; raise ``error`` as `open_bytes` does."""
    return ("<bytes>", source) if isinstance(source, bytes) else _read(source, error, lambda file: file.read())


def read_contents(source: str | Path | bytes, error: type[ModelpickError]) -> tuple[str, Contents]:
    """Like `read_bytes`, but read a file into memory that `give_back` can free in parts, where this is possible."""
    if isinstance(source, bytes) or str(source) == STDIN or not hasattr(mmap, "MADV_DONTNEED"):
        return read_bytes(source, error)
    return _read(source, error, _contents)


def give_back(contents: Contents, start: int, stop: int) -> None:
    """Free the whole pages within a range of bytes, if possible. The range must not be read again."""
    first, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, stop // mmap.PAGESIZE * mmap.PAGESIZE
    if isinstance(contents, mmap.mmap) and first < end:
        contents.madvise(mmap.MADV_DONTNEED, first, end - first)


def _read(source: str | Path, error: type[ModelpickError], read: Callable[[IO[bytes]], _C]) -> tuple[str, _C]:
    name, file = open_bytes(source, error)
    try:
        with file:
            return name, read(file)
    except (OSError, ValueError) as cause:
        raise error(f"{name}: cannot be read: {reason(cause)}") from None


def _contents(file: IO[bytes]) -> Contents:
    """Read a file to its end: a pipe has no size, and a file may grow or be cut meanwhile."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        return file.read()
    # A copy in private memory: of a mapped file that is cut, the rest could not be read without a fault.
    contents = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)
    count, rest = file.readinto(contents), file.read()  # type: ignore[attr-defined]
    return contents if count == size and not rest else contents[:count] + rest


def check_distinct(target: str | Path, sources: Iterable[str | Path]) -> None:
    """Check that a target is not one of the sources. Inodes are compared, so that links do not hide them.

    Raises
    ------
    ModelpickError
        When a source would be overwritten.
    """
    for source in sources:
        try:
            same = Path(source).samefile(target)
        except (OSError, ValueError):  # one of them does not exist
            same = False
        if same:
            raise ModelpickError(f"{target}: expected another file than {source}, which is read")


def resolved(target: Path) -> Path:
    """Follow the links of a path and of its folders. Links must belong to this user or to the system.

    Otherwise, anyone who may write to a folder could redirect a file that is written there.

    Raises
    ------
    OSError
        When a link belongs to another user, or links form a circle.
    """
    path = target.absolute()
    for _ in range(MOST_LINKS):
        link = next((part for part in reversed((path, *path.parents)) if part.is_symlink()), None)
        if link is None:
            return path.resolve()
        if not _is_trusted(link.lstat()):
            raise PermissionError(errno.EACCES, f"{link} is a link of another user")
        path = link.parent / link.readlink() / path.relative_to(link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_trusted(status: os.stat_result) -> bool:
    """Whether a file belongs to this user, or to the system."""
    return not hasattr(os, "geteuid") or status.st_uid in (0, os.geteuid())


def write_atomically(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write ``data``, or its parts, to a new file and rename it to ``target``: readers see the old file or the new one.

    Where the target is a link, the file behind it is written, see `resolved`. An existing file keeps its mode. A device
    or pipe is written to directly.

    Raises
    ------
    ModelpickError
        When the target cannot be written; an existing file is unchanged then.
    """
    parts = [data] if isinstance(data, bytes) else data
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            if not _is_trusted(target.stat()):
                raise PermissionError(errno.EACCES, "Is a device or a pipe of another user")
            with target.open("wb") as file:
                file.writelines(parts)
            return
        final = resolved(target)
        final.parent.mkdir(parents=True, exist_ok=True)
        with new_file(final) as file:
            file.writelines(parts)
    except (OSError, ValueError) as cause:
        raise ModelpickError(f"{target}: cannot be written: {reason(cause)}") from None


@contextmanager
def new_file(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces a target once it is complete, with the target's mode, or the usual mode if it is new.

    Raises
    ------
    OSError
    """
    mode = stat.S_IMODE(target.stat().st_mode) & 0o777 if target.exists() else None
    temporary = target.with_name(f".modelpick-{secrets.token_hex(8)}")
    # A name that is new, so that no link is followed. The system takes the umask away: a process can read that only by
    # setting it, for all threads.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
