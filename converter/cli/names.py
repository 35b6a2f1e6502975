"""Names of files and folders that commands are given: a suffix, or a slash at the end, tells files from folders.

A name that does not fit its use is refused before anything is read.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from modelpick.runtime import ModelpickError

from ..files.io import STDIN

STDOUT = STDIN
# What says of which kind a file is; "v1.2" has none, and neither has what ``mktemp`` makes.
SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}\Z")
SLASHES = tuple(filter(None, (os.sep, os.altsep)))


class Unparsable(Exception):  # noqa: N818
    """A meaningless argument; not a `ValueError`, which typer would print in several lines."""


class Output(NamedTuple):
    """A folder to write files in, or the one file to write."""

    path: Path
    is_file: bool

    def file(self, name: str) -> Path:
        """Return the path of a file of this name in the folder; or the one file."""
        return self.path if self.is_file else self.path / name


def suffix(name: str | Path) -> str:
    """Return the suffix that tells the kind of a file, in lower case; empty where there is none."""
    found = SUFFIX.search(Path(name).name)
    return found[0].lower() if found else ""


def looks_like_a_path(text: str) -> bool:
    """Whether a text is rather a file's name than a prompt.

    It is one word with a suffix or a slash; or it ends in a suffix, and its folder exists.
    """
    name, has_slash = suffix(text), any(slash in text for slash in SLASHES)
    if len(text.split()) > 1:
        return bool(name) and has_slash and Path(text).parent.is_dir()
    return bool(name) or (has_slash and text.isascii())


def files_in(path: Path, kind: str) -> list[Path]:
    """Return the files of a kind, recognised by their suffix, in a folder; other paths are returned unchanged.

    Raises
    ------
    ModelpickError
        When the folder has none.
    """
    files = sorted(path.glob(f"[!.]*{kind}")) if path.is_dir() else [path]
    if not files:
        raise ModelpickError(f"{path}: expected at least one {kind} file in this folder")
    return files


def artifacts_in(paths: Iterable[Path]) -> list[Path]:
    """Replace folders by the artifacts in them, without repeats."""
    return list(dict.fromkeys(file for path in paths for file in files_in(path, ".onnx")))


def to_read(name: str | Path) -> Path:
    """Parse the name of a file or folder to read."""
    text = _given(name)
    if text.endswith(SLASHES) and Path(text).exists() and not Path(text).is_dir():
        raise Unparsable(f"{text}: expected a folder, got a file")
    return Path(text)


def to_write(*suffixes: str, stdout: bool = False) -> Callable[[str | Path], Path]:
    """Return the parser of a file's name, which ends in one of these suffixes, or has none; perhaps it may be "-"."""

    def parse(name: str | Path) -> Path:
        text = _given(name)
        if text.endswith(SLASHES):
            raise Unparsable(f"{text}: expected the name of a file, got that of a folder")
        if text == STDOUT and not stdout:
            raise Unparsable(f"{text}: expected the name of a file, which standard output has none of")
        if suffix(text) not in ("", *suffixes):
            raise Unparsable(f"{text}: expected a name that ends in {' or '.join(suffixes)}")
        return Path(text)

    return parse


def to_fill(*suffixes: str) -> Callable[[str | Path | Output], Output]:
    """Return the parser of a folder's name; or of one file's, which ends in one of these suffixes.

    An existing folder may have any name; so may a new one, if its name ends in a slash.
    """

    def parse(name: str | Path | Output) -> Output:
        if isinstance(name, Output):  # parsed already
            return name
        text = _given(name)
        if text == STDOUT:
            raise Unparsable(f"{text}: expected the name of a folder, which standard output has none of")
        if text.endswith(SLASHES) or Path(text).is_dir() or not suffix(text):
            return Output(Path(text), is_file=False)
        if suffix(text) not in suffixes:
            files = f", or a file's that ends in {' or '.join(suffixes)}" if suffixes else ""
            raise Unparsable(f"{text}: expected the name of a folder{files}: that of a folder may end in a slash")
        return Output(Path(text), is_file=True)

    return parse


def _given(name: str | Path) -> str:
    text = str(name)
    if not text:
        raise Unparsable("expected a name, got an empty one")
    return text
