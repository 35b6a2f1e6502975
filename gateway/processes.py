"""Processes that write decisions to a database: each numbers its own, so that a reader knows how many are lost.

A process that ends says how many decisions it made. A process that is killed cannot: it leaves a file with the number,
and the next process that starts with the same folder says it instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from modelpick.runtime.deciding import Ids
from modelpick.runtime.events import logger

from .database import Database

try:
    import fcntl
except ModuleNotFoundError:  # on Windows
    fcntl = None  # type: ignore[assignment]


class Process:
    """The process among those that write; any number of threads may use it.

    Parameters
    ----------
    database
        Database of the decisions.
    folder
        Folder of the files, which processes of one machine share. Where no file can be made there, a warning says so.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder, self._ids = database, folder, Ids()
        self.numbering = Lock()
        """Held while a decision takes its number and its place among those that wait."""
        self._made, self._has_begun = 0, False
        self._file: _File | None = None
        try:
            self._file = _File(folder, self._ids.maker)
        except OSError as error:
            logger.warning("%s: cannot be written, so what a killed process loses is not known: %s", folder, error)

    def number(self) -> str:
        """Return the id of the next decision."""
        self._made += 1
        if self._file is not None:
            self._file.write(self._made)
        return self._ids()

    def begin(self) -> None:
        """Tell the database of this process, and of those that ended before without a word; once.

        Raises
        ------
        SQLAlchemyError
            When the database cannot be written: to be called again.
        """
        if self._has_begun:
            return
        self._database.begin(self._ids.maker)
        self._has_begun = True
        for name, made in _left_behind(self._folder):
            if lost := self._database.end(name, made):
                logger.warning("process %s was killed: %d of its %d decisions are lost", name, lost, made)

    def end(self) -> None:
        """Tell the database how many decisions this process made.

        Raises
        ------
        SQLAlchemyError
            When the database cannot be written: the next process that starts tells it.
        """
        if self._made:
            self._database.end(self._ids.maker, self._made)
        if self._file is not None:
            self._file.remove()


class _File:
    """The number of decisions of a process. The file is locked as long as the process lives."""

    def __init__(self, folder: Path, process: str) -> None:
        if fcntl is None:
            raise OSError("files cannot be locked here")
        folder.mkdir(parents=True, exist_ok=True)
        self._path, unlocked = folder / process, folder / f".{process}"
        self._descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self.write(0)
        unlocked.rename(self._path)

    def write(self, decisions: int) -> None:
        """Write the number, which never falls."""
        os.pwrite(self._descriptor, b"%d" % decisions, 0)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _left_behind(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the name of each process that was killed, and its number; then remove its file."""
    for path in sorted(folder.glob("[!.]*")) if fcntl is not None else ():
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # it lives
            yield path.name, int(file.read())
            path.unlink(missing_ok=True)
