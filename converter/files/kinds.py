"""What kind of file was given by mistake: for the message where a file could not be read."""

from modelpick.runtime.artifact.seal import is_sealed

from .io import Contents
from .text import decode_json

ARTIFACT, MODEL, RECORDS, CSV, EMPTY = "an artifact", "a JSON model", "benchmark records", "CSV", "an empty file"
# The first bytes of files of other kinds.
MAGIC = {b"\x93NUMPY": "a .npy file", b"PK": "a ZIP archive, as .npz is one", b"PAR1": "a Parquet file"}
# Most bytes of the first line that are inspected.
HEAD = 2**16


def kind_of(data: Contents) -> str | None:
    """Return the kind of a file, by its content, or None where it is unknown."""
    if not len(data):
        return EMPTY
    if is_sealed(data[-HEAD:]):
        return ARTIFACT
    head = data[:HEAD].lstrip()
    magic = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if magic is not None:
        return magic
    line = head.split(b"\n")[0].strip()
    value, _ = decode_json(line)
    if isinstance(value, dict) and {"query", "model_name"} <= value.keys():
        return RECORDS
    if head.startswith(b"{"):
        return MODEL if data.find(b'"algorithm"') >= 0 else None
    return CSV if value is None and b"," in line and (line[:1].isalpha() or line.startswith(b'"')) else None
