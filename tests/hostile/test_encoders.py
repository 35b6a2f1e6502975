"""Encoders whose tokenizers try to stop the process, each in a process of its own: all are refused in a line."""

import base64
import json
import zlib

import pytest

from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime.schema import EncoderEntry
from support.attacks import attack, entries, parsed, resealed
from support.folders import SMALL

LOADED = "from modelpick.runtime.text import Encoder; return Encoder.load(*args).embed(['a b', 'a' * 60 + 'b']).shape"
WORDS = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "e.onnx"
    make_encoder(SMALL, path)
    return path.read_bytes()


def with_tokenizer(encoder, text, **others):
    model = parsed(encoder)
    packed = base64.b64encode(zlib.compress(text.encode(), 1)).decode()
    return resealed(entries(model, **{EncoderEntry.TOKENIZER: packed}, **others))


def template(piece, special):
    single = [{"SpecialToken": {"id": piece, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}


ADDED = {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}}
DEEP = '{"type": "Sequence", "normalizers": [' * 99 + "]}" * 99
TEN = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
# Components of a tokenizer, and whether it adds its special tokens.
TOKENIZERS = {
    "merges of what is no token": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]}},
    "an empty table of characters": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}},
    "a trie of 2 GiB": {
        "normalizer": {
            "type": "Precompiled",
            "precompiled_charsmap": base64.b64encode((2**31).to_bytes(4, "little") + bytes(8)).decode(),
        }
    },
    "ten times as long nine times": {"normalizer": {"type": "Sequence", "normalizers": [TEN] * 9}},
    "10 MB before each text": {"normalizer": {"type": "Prepend", "prepend": "a" * 10**7}},
    "pieces of no characters": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "an unknown token in a template": {"post_processor": template("[CLS]", {})},
    "two templates": {
        "post_processor": {"type": "Sequence", "processors": [template("[CLS]", ADDED), template("[CLS]", ADDED)]}
    },
    "a pattern that is tried for ever": {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a|a|aa)+$"}, "behavior": "Isolated", "invert": False}
    },
    "a word of any length": {"model": {"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 10**9}},
    "100,000 tokens before each text": {
        "post_processor": template("x", {"x": {"id": "x", "ids": [1] * 10**5, "tokens": ["x"] * 10**5}})
    },
    "normalizers within one another": {"normalizer": json.loads(DEEP)},
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_are_refused(encoder, name):
    text = json.dumps({"version": "1.0", "added_tokens": [], "model": WORDS} | TOKENIZERS[name])
    outcome = attack(LOADED, with_tokenizer(encoder, text, special_tokens="true"))
    assert outcome.kind == "refused", outcome
    assert outcome.what.isprintable()
    assert len(outcome.what) < 400


def test_a_tokenizer_that_unpacks_to_much_is_not_unpacked(encoder):
    packing = zlib.compressobj(1)
    parts = [packing.compress(b" " * 2**26) for _ in range(3)]
    packed = base64.b64encode(b"".join(parts) + packing.flush()).decode()
    data = resealed(entries(parsed(encoder), **{EncoderEntry.TOKENIZER: packed}))
    outcome = attack(LOADED, data, memory=2**31)
    assert outcome.kind == "refused", outcome


def test_tokens_that_are_added_leave_room(encoder):
    tokenizer = {"version": "1.0", "added_tokens": [], "model": WORDS, "post_processor": template("[CLS]", ADDED)}
    text = json.dumps(tokenizer)
    outcome = attack(LOADED, with_tokenizer(encoder, text, special_tokens="true", longest="1"))
    assert outcome.kind == "refused", outcome
    outcome = attack(LOADED, with_tokenizer(encoder, text, special_tokens="true", longest="2"))
    assert outcome.kind == "answered", outcome
