"""Reading sources and writing targets, whole or not at all."""

import mmap
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TypeVar

from modelpick.runtime.artifact.seal import open_file
from modelpick.runtime.errors import ModelpickError

STDIN = "-"
# Pipes that the shell hands over, as of `<(command)`; others may block for ever.
HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
# Bytes of a file; those of a mapping can be given back to the system in parts.
Contents = bytes | mmap.mmap
_C = TypeVar("_C", bound=Contents)


def reason(cause: Exception) -> str:
    """Return what an operating system's error says, without the path."""
    return str(getattr(cause, "strerror", None) or cause)


def open_bytes(source: str | Path, error: type[ModelpickError]) -> tuple[str, IO[bytes]]:
    """Open a source: its name for messages, and a buffered file. "-" is standard input.

    Raises
    ------
    ModelpickError
        Of the kind ``error``, when it cannot be opened, or is a folder, a device or a named pipe.
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
    """Do as `read_bytes`, but read a file into memory that `give_back` can free in parts, where the system has such."""
    if isinstance(source, bytes) or str(source) == STDIN or not hasattr(mmap, "MADV_DONTNEED"):
        return read_bytes(source, error)
    return _read(source, error, _contents)


def give_back(contents: Contents, start: int, stop: int) -> None:
    """Free the memory of a range of bytes, if that is possible: whole pages, which must not be read again."""
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
    """Check that a target is none of the sources, by inode: links are seen through.

    Raises
    ------
    ModelpickError
        When it is, and would be overwritten.
    """
    for source in sources:
        try:
            same = Path(source).samefile(target)
        except (OSError, ValueError):  # one of them does not exist
            same = False
        if same:
            raise ModelpickError(f"{target}: expected another file than {source}, which is read")


def write_atomically(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write ``data``, or its parts, beside ``target`` and rename it over it: a reader sees the old file or the new one.

    Of a link, the file that it leads to is written; a file keeps its mode. A device or pipe is written to.

    Raises
    ------
    ModelpickError
        When the target cannot be written. Whatever stood there before still stands.
    """
    temporary, parts = None, [data] if isinstance(data, bytes) else data
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as file:
                file.writelines(parts)
            return
        final = target.resolve()
        final.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".modelpick-", dir=final.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(Path(temporary), final)
    except (OSError, ValueError) as cause:
        raise ModelpickError(f"{target}: cannot be written: {reason(cause)}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a finished file over its target, whose mode it takes; a new one has the usual mode.

    Raises
    ------
    OSError
    """
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~umask)
    temporary.replace(target)
