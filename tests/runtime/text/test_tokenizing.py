"""Tokens that an encoder reads: the first tokens of the whole text, of which only a part is tokenized."""

import base64
import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors

from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime import ArtifactError, FeatureError
from modelpick.runtime.artifact.encoder import EncoderMetadata
from modelpick.runtime.artifact.metadata import EncoderIdentity
from modelpick.runtime.artifact.tokenizer import UnsafeTokenizerError, check_tokenizer
from modelpick.runtime.text import Encoder, Tokens
from modelpick.runtime.text.tokenizing import Tokenizer
from support.folders import LONGEST, token_ids, transformer

LETTERS = "abcdefgh"
PIECES = [*LETTERS, "ab", "cd", "ef", "abcd", "é", "▁", "▁a", "▁ab", "##a", "##b", "##cd", " ", "\n", "[UNK]"]


def word_piece():
    made = LibraryTokenizer(models.WordPiece({word: place for place, word in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def byte_pairs():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("c", "d"), ("ab", "cd"), ("Ġ", "a"), ("Ġ", "Ġ")]
    words = [*alphabet, *("".join(pair) for pair in merges)]
    made = LibraryTokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(single="$A Ċ", special_tokens=[("Ċ", words.index("Ċ"))])
    return made


def unigram():
    made = LibraryTokenizer(models.Unigram([(piece, -len(PIECES) + 1.5 * len(piece)) for piece in PIECES], 0, False))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("ef", "f")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


KINDS = {"WordPiece": word_piece, "BPE": byte_pairs, "Unigram": unigram}


def of_json(text, longest, **given):
    given = {"special_tokens": True, "prompt": "", "characters": None} | given
    metadata = EncoderMetadata(
        EncoderIdentity("e", "0"), 8, longest, "mean", True, "float32", pad_id=0, is_static=False, raw={}, **given
    )
    return Tokenizer("e.onnx", text, check_tokenizer(text), metadata)


def read_by(tokenizer, longest, **given):
    return of_json(tokenizer.to_str(), longest, **given)


SOME = [*LETTERS, *LETTERS, "é", "\N{COMBINING ACUTE ACCENT}", " ", " ", "  ", "\n", "a" * 90, " " * 900]
TEXTS = st.builds(
    lambda pieces, times, end: ("".join(pieces) * times)[:30_000] + end,
    st.lists(st.sampled_from(SOME), min_size=1, max_size=40),
    st.integers(1, 300),
    st.sampled_from(SOME),
)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS, longest=st.integers(2, 300))
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_tokens_are_those_of_the_whole_text(kind, text, longest):
    library = KINDS[kind]()
    found, cut = read_by(library, longest).read(text)
    whole = library.encode(text).ids
    library.enable_truncation(longest)
    assert found == library.encode(text).ids
    assert cut == (len(whole) > longest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_not_tokenized_as_a_whole(kind, monkeypatch):
    tokenizer, given = read_by(KINDS[kind](), 256), []
    for name in ("_encode_batch", "_encode_fast"):
        encode = getattr(tokenizer, name)
        monkeypatch.setattr(
            tokenizer, name, lambda texts, encode=encode, **how: given.extend(texts) or encode(texts, **how)
        )
    for text in ("ab cd " * 100_000, "a" * 400_000, " " * 400_000):
        given.clear()
        assert tokenizer.read(text)[1]
        assert sum(map(len, given)) < 50_000


def test_all_is_read_where_there_is_no_longest_input():
    library = word_piece()
    found, cut = read_by(library, None).read("a b " * 2_000)
    assert (found, cut) == (library.encode("a b " * 2_000).ids, False)


def test_a_prompt_stands_before_the_text_and_characters_are_cut_before_tokens():
    library = word_piece()
    assert read_by(library, 9, prompt="cd ").read("a b")[0] == library.encode("cd a b").ids
    assert read_by(library, 9, characters=3).read("a b c") == (library.encode("a b").ids, True)


def test_an_encoder_counts_what_it_reads(tmp_path):
    make_encoder(transformer(tmp_path / "tiny"), tmp_path / "e.onnx")
    encoder, text = Encoder.load(tmp_path / "e.onnx"), "a b c d " * 50_000
    assert encoder.tokens(text) == Tokens(LONGEST, True)
    embedding, tokens = encoder.read(text)
    assert tokens == Tokens(LONGEST, True)
    assert (embedding == encoder.embed([text])[0]).all()
    assert token_ids(text) == encoder._tokenizer.read(text)[0]


def plain(**changes):
    """Return the JSON of a tokenizer with other components."""
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
    return json.dumps({"version": "1.0", "added_tokens": [], "model": model} | changes)


def replace(times):
    one = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    return {"type": "Sequence", "normalizers": [one] * times}


def deep(depth):
    return {"type": "Sequence", "normalizers": [deep(depth - 1)]} if depth else {"type": "NFC"}


REFUSED = {
    "expected JSON": "{",
    "an object with a model": "[]",
    "with a model": plain(model=7),
    r"normalizer: expected an object with a type": plain(normalizer=[]),
    "normalizer: expected one of .*, got 'Shell'": plain(normalizer={"type": "Shell"}),
    "normalizer: expected texts to become 32 times as long": plain(normalizer=replace(2)),
    "Prepend.prepend: expected a string of 4096": plain(normalizer={"type": "Prepend", "prepend": "a" * 10**7}),
    "normalizers in a sequence, 8 deep": plain(normalizer=deep(9)),
    "64 components at most": plain(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 65}),
    "expected a trie of the size": plain(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAAgA=="}),
    "expected base64": plain(normalizer={"type": "Precompiled", "precompiled_charsmap": "?"}),
    "replacements of 256 bytes": plain(
        normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(bytes(4) + b"a" * 300).decode()}
    ),
    "FixedLength.length": plain(pre_tokenizer={"type": "FixedLength", "length": 0}),
    "Split.pattern": plain(pre_tokenizer={"type": "Split", "pattern": {"Regex": "a" * 5_000}, "behavior": "Isolated"}),
    "model: expected one of": plain(model={"type": "Other", "vocab": {}}),
    "model.vocab: expected tokens": plain(model={"type": "BPE"}),
    "identifiers of tokens": plain(model={"type": "BPE", "vocab": {"a": -1}}),
    "max_input_chars_per_word": plain(model={"type": "WordPiece", "vocab": {}, "max_input_chars_per_word": 10**6}),
    "dropout": plain(model={"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.5}),
    "added_tokens": plain(added_tokens=[{"id": 3}]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_may_harm_is_refused_before_the_library_sees_it(reason):
    with pytest.raises(UnsafeTokenizerError, match=reason):
        check_tokenizer(REFUSED[reason])


@pytest.mark.parametrize("kind", KINDS)
def test_what_there_is_to_know_of_a_tokenizer(kind):
    library = KINDS[kind]()
    library.add_tokens(["a token that is added"])
    facts = check_tokenizer(library.to_str())
    vocabulary = library.get_vocab()
    assert facts.greatest_id == max(vocabulary.values())
    assert facts.longest_token >= max(map(len, vocabulary))
    unknown = {"WordPiece": library.token_to_id("[UNK]"), "BPE": None, "Unigram": 0}
    assert facts.unknown_id == unknown[kind]


def test_a_panic_of_the_library_is_a_line(capfd):
    broken = LibraryTokenizer(models.BPE({"a": 0}, []))
    text = json.loads(broken.to_str())
    text["model"]["merges"] = ["a a"]
    with pytest.raises(ArtifactError, match=r"e.onnx: its tokenizer cannot be used: "):
        of_json(json.dumps(text), 9)
    text["model"]["merges"] = []
    text["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": "(a|a|aa)+$"},
        "behavior": "Isolated",
        "invert": False,
    }
    tokenizer = of_json(json.dumps(text), 9)
    with pytest.raises(FeatureError, match=r"\[3\]: cannot be tokenized: "):
        tokenizer.read("a" * 60 + "b", 3)
    capfd.readouterr()  # the library writes where it panicked


@pytest.mark.parametrize("longest", [1, 2])
def test_the_longest_input_holds_more_than_the_tokens_that_are_added(longest):
    library = word_piece()
    library.post_processor = processors.BertProcessing(("a", 0), ("b", 1))
    with pytest.raises(ArtifactError, match="more than the 2 tokens that are added"):
        read_by(library, longest)
    assert read_by(library, 3).read("c d") == ([1, PIECES.index("c"), 0], True)
