"""Text files: UTF-8 with or without a byte order mark, gzipped or not, recognised by content.

JSON models are stricter: the original refuses their byte order marks.
"""

import gzip
import io
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import IO, Any

import msgspec

from modelpick.runtime import ModelpickError

from .io import Contents

GZIP = b"\x1f\x8b"
# Longer lines are refused, so that memory is bounded.
LINE_BYTES = 2**26
# Packed text may unpack to this number of bytes, or to this many times its own size: text packs to a third or a tenth.
UNPACKED_FREELY, MOST_UNPACKED = 2**24, 100
# Number of bytes that are decoded at once to check that they are UTF-8: a string takes up to four times their memory.
DECODED_AT_ONCE = 2**20
# Errors of decoding JSON.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Errors of reading a file that is cut or malformed.
UNREADABLE = (OSError, EOFError, ValueError, zlib.error)


class NotTextError(ModelpickError):
    """Raised where text is of another encoding, or a line of it is too long."""


def as_text(file: IO[bytes]) -> IO[bytes]:
    """Return an open file, positioned behind its byte order mark, and unpacked if it is gzipped.

    Raises
    ------
    NotTextError
        When the file is UTF-16.
    OSError, EOFError, zlib.error
        When the file cannot be read, here or later.
    """
    buffered: Any = file if hasattr(file, "peek") else io.BufferedReader(file)
    if buffered.peek(len(GZIP)).startswith(GZIP):
        buffered = io.BufferedReader(_Unpacked(buffered))
    head = buffered.peek(len(BOM_UTF8))
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise NotTextError("expected UTF-8, got UTF-16")
    if head.startswith(BOM_UTF8):
        buffered.read(len(BOM_UTF8))
    text: IO[bytes] = buffered
    return text


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuse a file that unpacks to far more than its size: a megabyte of gzip can hold a gigabyte of zeros.

    Raises
    ------
    NotTextError
        When the unpacked bytes exceed both `UNPACKED_FREELY` and `MOST_UNPACKED` times the packed bytes.
    """
    if unpacked > max(UNPACKED_FREELY, MOST_UNPACKED * packed):
        raise NotTextError(
            f"expected at most {MOST_UNPACKED} times its size, unpacked: unpack it first, if it is sound"
        )


class _Counted(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.count = file, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


class _Unpacked(io.RawIOBase):
    """The content of a gzipped file, within the limits of `UNPACKED_FREELY` and `MOST_UNPACKED`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed, self._count = _Counted(file), 0
        self._file = gzip.GzipFile(fileobj=self._packed, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._count += count
        check_unpacked(self._count, self._packed.count)
        return count


def numbered_lines(*files: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    r"""Yield the lines of files that are not blank, file after file, and their numbers from 1.

    Lines are stripped of their ends, "\n" or "\r\n", and of other surrounding white space.

    Raises
    ------
    NotTextError
        When a line is longer than `LINE_BYTES`.
    """
    lines = chain.from_iterable(iter(partial(file.readline, LINE_BYTES + 1), b"") for file in files)
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_BYTES:
            raise NotTextError(f"line {number}: expected at most {LINE_BYTES >> 20} MiB")
        if stripped := line.strip():
            yield number, stripped


def decode_json(data: bytes, expected: str = "expected JSON") -> tuple[Any, str]:
    """Decode JSON; returns its value, or the reason why it is invalid."""
    try:
        return msgspec.json.decode(data), ""
    except NOT_JSON as cause:
        return None, not_utf8(data) or f"{expected}: {cause}"


def not_utf8(contents: Contents) -> str | None:
    """Describe the first byte that is not UTF-8, or return None where all bytes are UTF-8."""
    place = place_not_utf8(contents)
    return None if place is None else f"expected UTF-8, got byte 0x{contents[place]:02x} at {place}"


def place_not_utf8(contents: Contents) -> int | None:
    """Return the place of the first byte that is not UTF-8, or None where all bytes are UTF-8."""
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(contents), DECODED_AT_ONCE):
        stop = start + DECODED_AT_ONCE
        begun, _ = decoder.getstate()
        try:
            decoder.decode(contents[start:stop], final=stop >= len(contents))
        except UnicodeDecodeError as error:
            return start - len(begun) + error.start
    return None
