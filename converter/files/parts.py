"""A folder of one's own beside a target, for the parts of it that are done."""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A part, by its number and the SHA-256 of its bytes; what is being written; and what the parts are made of.
PART = re.compile(r"(?P<number>\d{9,})-(?P<digest>[0-9a-f]{64})\.jsonl")
UNFINISHED = re.compile(r"\.modelpick-[0-9a-f]{16}")
MANIFEST = "manifest.json"
# Where the system has them, files are reached through the folder's descriptor, and no link is followed.
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and hasattr(os, "geteuid")
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Parts:
    """The files of the folder, which nobody else may write to: what is in it was put there by a run of one's own.

    What takes the place of the folder later does not count: all of its files are reached through its descriptor.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor
        self._numbered = {int(found["number"]): found[0] for found in map(PART.fullmatch, self.names()) if found}

    def names(self) -> list[str]:
        """Return the names of all files."""
        return os.listdir(self._path if self._descriptor is None else self._descriptor)  # noqa: PTH208 (by descriptor)

    def read(self, name: str) -> bytes:
        """Read a file."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
        with os.fdopen(os.open(self._at(name), flags, dir_fd=self._descriptor), "rb") as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        unfinished = f".modelpick-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        try:
            with os.fdopen(os.open(self._at(unfinished), flags, 0o600, dir_fd=self._descriptor), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            folder = self._descriptor
            os.replace(self._at(unfinished), self._at(name), src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            self._unlink(unfinished)
            raise

    def put(self, number: int, data: bytes) -> None:
        """Write a part; its name says what is in it."""
        self._numbered[number] = f"{number:09}-{hashlib.sha256(data).hexdigest()}.jsonl"
        self.write(self._numbered[number], data)

    def get(self, number: int) -> bytes | None:
        """Read a part; None where there is none that is whole."""
        found = PART.fullmatch(self._numbered.get(number, ""))
        if found is None:
            return None
        data = self.read(found[0])
        if hashlib.sha256(data).hexdigest() == found["digest"]:
            return data
        self._unlink(self._numbered.pop(number))
        return None

    def clear(self) -> None:
        """Remove what runs make."""
        for name in self.names():
            if name == MANIFEST or PART.fullmatch(name) or UNFINISHED.fullmatch(name):
                self._unlink(name)
        self._numbered = {}

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)


@contextmanager
def open_parts(path: Path) -> Iterator[Parts]:
    """Open a folder for parts, and make it where there is none; remove it in the end if it is empty.

    Raises
    ------
    OSError
        When it cannot be opened, is a link, is another user's, or others may write to it.
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
            yield Parts(path, descriptor)
        finally:
            with suppress(OSError):
                path.rmdir()
    finally:
        if descriptor is not None:
            os.close(descriptor)
