"""The seal: one more metadata entry for any reader of protocol buffers, wrong once a byte before it is another."""

import hashlib

import onnx
import pytest
from onnx import helper

from modelpick.runtime import ArtifactError
from modelpick.runtime.artifact.seal import SEAL_LENGTH, check_seal, is_sealed, read_sealed, seal, seal_parts

MODEL = helper.make_model(helper.make_graph([], "empty", [], []))
helper.set_model_props(MODEL, {"a": "b"})
CONTENT = MODEL.SerializeToString()
SEALED = seal(CONTENT)


def test_a_parser_sees_one_more_metadata_entry():
    entries = onnx.ModelProto.FromString(SEALED).metadata_props
    assert [(entry.key, entry.value) for entry in entries] == [
        ("a", "b"),
        ("modelpick.sha256", hashlib.sha256(CONTENT).hexdigest()),
    ]
    # As docs/artifact.md tells readers of other languages.
    assert SEAL_LENGTH == 86
    assert SEALED[-86:-64] == bytes.fromhex("72540a10") + b"modelpick.sha256" + bytes.fromhex("1240")


def test_parts_are_sealed_as_the_whole():
    assert seal_parts([CONTENT[:5], memoryview(CONTENT)[5:]]) == SEALED


def test_a_seal_is_right_until_a_byte_is_another(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(SEALED)
    assert read_sealed(file) == (str(file), SEALED)
    assert check_seal("a", SEALED) == hashlib.sha256(CONTENT).hexdigest()
    assert (is_sealed(SEALED), is_sealed(CONTENT)) == (True, False)
    for place in (0, len(CONTENT) - 1, len(SEALED) - 1):
        altered = bytearray(SEALED)
        altered[place] ^= 1
        with pytest.raises(ArtifactError, match="it was altered"):
            check_seal("a", bytes(altered))
