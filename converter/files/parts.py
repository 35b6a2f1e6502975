"""A folder next to a target, of the same user, for the parts of the target that are done."""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The name of a part, with its number and a digest; and of a file that is being written.
PART = re.compile(r"(?P<number>\d{9,})-[0-9a-f]{64}\.jsonl")
UNFINISHED = re.compile(r"\.modelpick-[0-9a-f]{16}")
# Where the system supports it, files are opened through the folder's descriptor, and no link is followed.
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and hasattr(os, "geteuid")
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Parts:
    """The files of the folder. Nobody else may write to it, so that its files come from runs of this user.

    A folder that replaces this one later does not count: all files are opened through its descriptor. The digest in a
    part's name covers what the part was made from, its number and its content: a part of another run, in another place,
    or with altered bytes does not count.
    """

    def __init__(self, path: Path, descriptor: int | None, made_of: bytes) -> None:
        self._path, self._descriptor, self._made_of = path, descriptor, made_of
        names = self._names()
        if not all(PART.fullmatch(name) or UNFINISHED.fullmatch(name) for name in names):
            raise FileExistsError(f"{path}: expected the parts of an earlier run, or nothing: move it away")
        self._numbered = {int(found["number"]): found[0] for found in map(PART.fullmatch, names) if found}

    def put(self, number: int, data: bytes) -> None:
        """Write a part, whole or not at all."""
        self._numbered[number] = self._name(number, data)
        unfinished = f".modelpick-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        try:
            with os.fdopen(os.open(self._at(unfinished), flags, 0o600, dir_fd=self._descriptor), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            source, target, folder = self._at(unfinished), self._at(self._numbered[number]), self._descriptor
            os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            self._unlink(unfinished)
            raise

    def get(self, number: int) -> bytes | None:
        """Read a part, or return None where there is none."""
        name = self._numbered.get(number)
        if name is None:
            return None
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
        with os.fdopen(os.open(self._at(name), flags, dir_fd=self._descriptor), "rb") as file:
            data = file.read()
        if name == self._name(number, data):
            return data
        self._unlink(self._numbered.pop(number))
        return None

    def clear(self) -> None:
        """Remove all parts, also of other runs."""
        for name in self._names():
            if PART.fullmatch(name) or UNFINISHED.fullmatch(name):
                self._unlink(name)
        self._numbered = {}

    def _names(self) -> list[str]:
        return os.listdir(self._path if self._descriptor is None else self._descriptor)  # noqa: PTH208 (by descriptor)

    def _name(self, number: int, data: bytes) -> str:
        digest = hashlib.sha256(b"%b\n%d\n" % (self._made_of, number))
        digest.update(data)
        return f"{number:09}-{digest.hexdigest()}.jsonl"

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)


@contextmanager
def open_parts(path: Path, made_of: bytes) -> Iterator[Parts]:
    """Open a folder for parts, and create it if it does not exist; at the end remove it if it is empty.

    Parameters
    ----------
    path
        The folder.
    made_of
        All that the parts depend on.

    Raises
    ------
    OSError
        When it cannot be opened, is a link, belongs to another user, may be written by others, or holds other files.
    """
    with suppress(FileExistsError):
        path.mkdir(0o700, parents=True)
    descriptor = None
    if _HAS_DESCRIPTORS:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        if descriptor is not None:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                raise PermissionError(f"{path}: expected a folder that nobody else may write to: move it away")
        try:
            yield Parts(path, descriptor, made_of)
        finally:
            with suppress(OSError):
                path.rmdir()
    finally:
        if descriptor is not None:
            os.close(descriptor)
