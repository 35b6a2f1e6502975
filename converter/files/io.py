"""Reading sources and writing targets, whole or not at all."""

import os
import tempfile
from pathlib import Path

from modelpick.runtime.errors import ModelpickError


def read_bytes(source: str | Path | bytes, error: type[ModelpickError]) -> tuple[str, bytes]:
    """Return a source's name for messages and its bytes; raise ``error`` where it cannot be read."""
    if isinstance(source, bytes):
        return "<bytes>", source
    try:
        return str(source), Path(source).read_bytes()
    except (OSError, ValueError) as cause:
        raise error(f"{source}: cannot be read: {getattr(cause, 'strerror', None) or cause}") from None


def write_atomically(target: Path, data: bytes) -> None:
    """Write ``data`` beside ``target`` and rename it over it: a reader sees the old file or the new one.

    Raises
    ------
    ModelpickError
        When the target cannot be written. Whatever stood there before still stands.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".modelpick-", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except (OSError, ValueError) as cause:
        raise ModelpickError(f"{target}: cannot be written: {getattr(cause, 'strerror', None) or cause}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
