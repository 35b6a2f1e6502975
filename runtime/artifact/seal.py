"""The seal: the last entry of an artifact's ``metadata_props`` is the SHA-256 of every byte before it."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import ArtifactError
from ..schema import PREFIX, Entry

_KEY = (PREFIX + Entry.SEAL).encode()
_HEX_DIGITS = 64
# Protobuf: field 14 (metadata_props) of ModelProto, a message of key (field 1) and value (field 2).
_HEAD = bytes([0x72, len(_KEY) + _HEX_DIGITS + 4, 0x0A, len(_KEY)]) + _KEY + bytes([0x12, _HEX_DIGITS])
SEAL_LENGTH = len(_HEAD) + _HEX_DIGITS


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


def check_is_file(path: str | Path) -> None:
    """Check that a path is a file's: a folder has no bytes, and those of a device or a pipe may never end.

    Raises
    ------
    OSError
        When it is not.
    """
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Is a device or a pipe")


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
        name = str(source)
        try:
            check_is_file(source)
            data = Path(source).read_bytes()
        except (OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise ArtifactError(f"{name}: cannot be read: {reason}") from None
    content, trailer = memoryview(data)[:-SEAL_LENGTH], data[-SEAL_LENGTH:]
    if not trailer.startswith(_HEAD):
        raise ArtifactError(f"{name}: expected an artifact sealed by modelpick: it is another's, or cut")
    if hashlib.sha256(content).hexdigest().encode() != trailer[len(_HEAD) :]:
        raise ArtifactError(f"{name}: expected the bytes that modelpick sealed: it was altered")
    return name, data
