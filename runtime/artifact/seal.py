"""The seal: the last entry of an artifact's ``metadata_props`` is the SHA-256 of every byte before it."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ..errors import ArtifactError, UnreadableError
from ..schema import PREFIX, Entry
from .messages import ModelProto, StringStringEntryProto
from .protobuf import encode

_HEX_DIGITS = 64
# Flags that open pipes and devices without waiting for their other end; on Windows, bytes are read unchanged.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_ENTRY = StringStringEntryProto(PREFIX + Entry.SEAL, "0" * _HEX_DIGITS)
_HEAD = b"".join(encode(ModelProto([], [_ENTRY])))[:-_HEX_DIGITS]
SEAL_LENGTH = len(_HEAD) + _HEX_DIGITS
# Protocol buffers are smaller than this.
MOST_BYTES = 2**31
# Number of bytes at the start of a file without a seal that are read to tell what it is.
_SHOWN = 2**12


class NoFileError(OSError):
    """The path leads to something that is not a file."""


def seal(content: bytes) -> bytes:
    """Append the seal to a serialized ONNX model. A parser sees one more metadata entry."""
    return seal_parts([content])


def seal_parts(parts: Iterable[bytes | memoryview]) -> bytes:
    """Join the parts of a serialized ONNX model, and append the seal."""
    digest, sealed = hashlib.sha256(), io.BytesIO()
    for part in parts:
        digest.update(part)
        sealed.write(part)
    sealed.write(_HEAD + digest.hexdigest().encode())
    return sealed.getvalue()


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading. Folders have no bytes, and the bytes of a device or a pipe may never end.

    Opening a pipe does not wait. The check looks at the opened file, since the path may lead elsewhere a moment later.

    Raises
    ------
    OSError
        When it cannot be opened; `NoFileError` when it is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise NoFileError(errno.EINVAL, os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "Is a device or a pipe")


def is_sealed(data: bytes | memoryview) -> bool:
    """Whether bytes end in a seal, right or wrong."""
    return bytes(data[-SEAL_LENGTH:]).startswith(_HEAD)


def _instead(head: bytes, trailer: bytes) -> str:
    """Say what bytes without a seal are, and how to make an artifact from them."""
    if not head:
        return "it is empty"
    if head.lstrip()[:1] not in (b"{", b"["):
        return "it is another's, or cut"
    if b'"algorithm"' in head + trailer:
        return "it is a JSON model, of which `modelpick convert` makes one"
    return "it is JSON, but no model"


def _in_folder(path: Path) -> str:
    """Say which file of a folder could be meant; an empty string for anything but a folder."""
    try:
        names = sorted(file.name for file in path.iterdir() if not file.name.startswith("."))
    except (OSError, ValueError):
        return ""
    if "tokenizer.json" in names:
        return ": `modelpick encoder` makes one file of an encoder's folder"
    artifacts = [name for name in names if name.endswith(".onnx")]
    return f": expected one file, such as {artifacts[0]} in it" if artifacts else ""


def read_sealed(source: str | Path | bytes) -> tuple[str, bytes]:
    """Read an artifact's bytes and check its seal.

    Returns
    -------
    (name for messages, bytes)

    Raises
    ------
    ArtifactError
        When the file cannot be read, is cut or altered, or is not an artifact of modelpick.
    """
    if isinstance(source, bytes):
        name, data = "<bytes>", source
    else:
        name, data = str(source), _read(source)
    check_seal(name, data)
    return name, data


def check_seal(name: str, data: bytes) -> str:
    """Check the seal of an artifact's bytes, and return it: the SHA-256 of all bytes before it, in hex.

    Raises
    ------
    ArtifactError
        When the bytes are cut or altered, or are not an artifact of modelpick.
    """
    _check_is_sealed(name, data[:_SHOWN], data[-SEAL_LENGTH:])
    digest = hashlib.sha256(memoryview(data)[:-SEAL_LENGTH]).hexdigest()
    if digest.encode() != data[-_HEX_DIGITS:]:
        raise ArtifactError(f"{name}: expected the bytes that modelpick sealed: it was altered")
    return digest


def _check_is_sealed(name: str, head: bytes, trailer: bytes) -> None:
    if not (len(trailer) == SEAL_LENGTH and trailer.startswith(_HEAD)):
        raise ArtifactError(f"{name}: expected an artifact sealed by modelpick: {_instead(head, trailer)}")


def _read(path: str | Path) -> bytes:
    """Read a file, its seal first. The rest of a file without a seal is not read, however large the file is."""
    try:
        with open_file(path) as file:
            head = file.read(_SHOWN)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SEAL_LENGTH))
            _check_is_sealed(str(path), head, file.read(SEAL_LENGTH))
            if size > MOST_BYTES:
                raise ArtifactError(f"{path}: expected {MOST_BYTES:,} bytes at most, got {size:,}")
            file.seek(0)
            return file.read()
    except (NoFileError, ValueError, MemoryError) as cause:
        if isinstance(cause, ArtifactError):
            raise
        reason = getattr(cause, "strerror", None) or cause
        raise ArtifactError(f"{path}: cannot be read: {reason}{_in_folder(Path(path))}") from None
    except OSError as cause:
        raise UnreadableError(f"{path}: cannot be read: {cause.strerror or cause}") from None
