"""Static vectors made of a transformer, and encoders compared."""

import json

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from modelpick.converter.encoders import distil
from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.encoders.folder import Usage
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.encoders.verify import TOLERANCE, similarity
from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.tokenizer import check_tokenizer
from modelpick.runtime.session import CPU
from modelpick.runtime.text import Encoder, Tokens
from support import command
from support.folders import SMALL, WORDS, expected, token_ids, transformer
from support.recorded import DATA

LETTERS = "abcdefghij"
NUMBERS = [place for place, word in enumerate(WORDS) if word != "[UNK]"]


def rows(components, counts=None):
    """Distil the tiny encoder by numpy in float64: token -> row."""
    alone = {number: WORDS[number] for number in NUMBERS}
    embeddings = np.array([expected(word if word in LETTERS else "[UNK]") for word in alone.values()])
    for place, number in enumerate(alone):
        if WORDS[number] not in LETTERS:  # the tokenizer reads their text, which Whitespace splits into unknown pieces
            embeddings[place] = expected("? ? ?")
    centred = embeddings - embeddings.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    projected = centred @ vectors[:, np.argsort(-values)[:components]]
    shares = 1.0 / np.arange(2, len(alone) + 2) if counts is None else np.array([counts.get(one, 0) for one in alone])
    return dict(zip(alone, projected * (1e-4 / (1e-4 + shares / shares.sum()))[:, None], strict=True))


def mean(text, found):
    total = sum(found[number] for number in token_ids(text)[1:-1])
    return total / np.linalg.norm(total)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return transformer(tmp_path_factory.mktemp("distil") / "tiny")


TEXTS = ["a b c", "j", "c c d a", "i h g f"]


@pytest.mark.parametrize("texts", [None, ("a b a", "c a")])
def test_a_row_is_a_token_alone_in_principal_components_by_how_rare_it_is(tiny, tmp_path, texts):
    report = make_encoder(tiny, tmp_path / "e.onnx", distil=Distillation(3, texts))
    encoder = Encoder.load(tmp_path / "e.onnx")
    counts = None
    if texts is not None:
        counts = {WORDS.index("a"): 3, WORDS.index("b"): 1, WORDS.index("c"): 1, 2: 2, 3: 2}
    wanted = np.array([mean(text, rows(3, counts)) for text in TEXTS])
    found = encoder.embed(TEXTS).astype(np.float64)
    # The signs of components are arbitrary, so compare what does not depend on them.
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-5)
    assert (report.family, report.embedding_dim, report.passed) == ("distilled", 3, True)
    assert encoder.tokens("a b z") == Tokens(3, False)
    np.testing.assert_array_equal(encoder.embed([""]), np.zeros((1, 3)))
    np.testing.assert_array_equal(encoder.embed(["a z"]), encoder.embed(["a"]))


def test_it_names_what_it_was_made_of_and_is_made_alike_each_time(tiny, tmp_path):
    whole = make_encoder(tiny, tmp_path / "whole.onnx")
    first, second = (make_encoder(tiny, tmp_path / f"{turn}.onnx", distil=Distillation(3)) for turn in (1, 2))
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()
    made_of = Encoder.load(tmp_path / "1.onnx").metadata.raw["distilled"]
    assert made_of == {"name": "tiny", "digest": whole.digest, "components": 3, "weights": "zipf"}
    others = [make_encoder(tiny, tmp_path / "o.onnx", distil=one) for one in (Distillation(2), Distillation(3, ("a",)))]
    assert len({first.digest, whole.digest, *(one.digest for one in others)}) == 4
    assert first.digest == second.digest


@pytest.mark.parametrize(("quantise", "kind", "least"), [("float16", np.float16, 1e-7), ("int8", np.int8, 1e-5)])
def test_rows_may_be_stored_in_fewer_bits(tiny, tmp_path, quantise, kind, least):
    report = make_encoder(tiny, tmp_path / "e.onnx", distil=Distillation(8), quantise=quantise)
    assert least < report.difference < 0.02
    encoder = Encoder.load(tmp_path / "e.onnx")
    assert encoder.metadata.weights == quantise
    graph = Encoder.load(tmp_path / "e.onnx", providers=[CPU])
    np.testing.assert_allclose(encoder.embed(TEXTS), graph.embed(TEXTS), rtol=0, atol=TOLERANCE)
    whole = make_encoder(tiny, tmp_path / "whole.onnx", distil=Distillation(8))
    np.testing.assert_allclose(encoder.embed(TEXTS), Encoder.load(tmp_path / "whole.onnx").embed(TEXTS), atol=0.05)
    assert whole.difference < 1e-6


def test_refuses_what_cannot_be_distilled(tiny, tmp_path):
    with pytest.raises(DocumentError, match="--components: expected 1 to 8, the columns or tokens, got 9"):
        make_encoder(tiny, tmp_path / "e.onnx", distil=Distillation(9))
    with pytest.raises(DocumentError, match="expected a transformer to distil, got static vectors"):
        make_encoder(SMALL, tmp_path / "e.onnx", distil=Distillation(9))
    with pytest.raises(DocumentError, match="expected static vectors to store them in float16"):
        make_encoder(tiny, tmp_path / "e.onnx", quantise="float16")
    assert not (tmp_path / "e.onnx").exists()


def vocabulary(tokenizer):
    text = tokenizer.to_str()
    return distil._tokens(Usage(text, check_tokenizer(text), 9, True, 0, "mean", True))


def test_tokens_are_read_as_the_text_that_they_stand_for():
    words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "##": 3}, unk_token="[UNK]"))
    words.add_special_tokens(["[CLS]"])
    words.add_tokens(["added"])
    assert vocabulary(words) == {1: "a", 2: "b", 3: "##", 5: "added"}
    pairs = Tokenizer(models.BPE({"Ġa": 0, "Ã": 1, "Ã©": 2, "b": 3}, []))
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert vocabulary(pairs) == {0: " a", 1: None, 2: "é", 3: "b"}
    pairs = Tokenizer(models.BPE({"a</w>": 0, "a": 1}, [], end_of_word_suffix="</w>"))
    assert vocabulary(pairs) == {0: "a", 1: "a"}
    pieces = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("<0x0A>", -1.0), ("b", -2.0)], 0, True))
    pieces.normalizer = normalizers.Sequence([normalizers.NFKC()])
    pieces.decoder = decoders.Metaspace()
    assert vocabulary(pieces) == {1: " a", 2: None, 3: "b"}


def test_similarities_correlate():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(40, 6)).astype(np.float32)
    turned = one @ np.linalg.qr(rng.normal(size=(6, 6)))[0].astype(np.float32) * 3
    assert similarity(one, turned) == pytest.approx(1.0, abs=1e-5)
    assert abs(similarity(one, rng.normal(size=(40, 9)).astype(np.float32))) < 0.3
    assert np.isnan(similarity(one[:2], one[:2]))


@pytest.fixture
def modelpick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return command.modelpick


def test_the_command_distils_and_says_what_is_lost(modelpick, tiny, tmp_path):
    records = [{"query": text, "model_name": "m", "performance": 1.0} for text in TEXTS]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, records)))
    command = ("encoder", tiny, "-o", "e.onnx", "--distill", "--components", 3, "--data", "r.jsonl")
    code, out, err = modelpick(*command, "--weights", "r.jsonl", "--report", "report.json")
    assert (code, err) == (0, "wrote report.json\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["family"], report["loss"]["texts"]) == ("distilled", 4)
    assert f"correlate by {report['loss']['similarity']:.3f}" in out
    code, _, err = modelpick("encoder", tiny, "-o", "e.onnx", "--components", 3)
    assert (code, err) == (2, "error: expected --distill with --components and --weights\n")
    code, _, err = modelpick("encoder", tiny, "-o", "e.onnx", "--data", "r.jsonl")
    assert (code, err[:60]) == (2, "error: expected --distill or --quantise with --data, on whic")
    code, _, err = modelpick("encoder", tiny, "-o", "r.jsonl", "--distill", "--data", "r.jsonl")
    assert code == 2


def test_the_command_says_what_picks_are_worth_by_what_it_made(modelpick, tmp_path):
    (tmp_path / "r.jsonl").write_bytes(DATA.read_bytes())
    command = ("encoder", SMALL, "-o", "e.onnx", "--quantise", "int8", "--data", "r.jsonl")
    code, out, err = modelpick(*command, "--report", "report.json")
    assert (code, err) == (0, "wrote report.json\n")
    loss = json.loads((tmp_path / "report.json").read_text())["loss"]
    assert [one["file"] for one in loss["worth"]] == [str(SMALL), "e.onnx"]
    assert all(f"{one['quality']['value']:.4f}" in out for one in loss["worth"])


def test_the_command_compares(modelpick, tmp_path):
    for name, tokens in (("one", None), ("short", 3)):
        make_encoder(SMALL, tmp_path / f"{name}.onnx", max_tokens=tokens)
    (tmp_path / "r.jsonl").write_bytes(DATA.read_bytes())
    code, out, err = modelpick("compare-encoders", "one.onnx", "short.onnx", "--data", "r.jsonl")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("the fastest whose picks are not surely worse than those by the best encoder")
    code, out, _ = modelpick("compare-encoders", "one.onnx", "short.onnx", "--data", "r.jsonl", "--json")
    worth = msgspec.json.decode(out)
    assert [one["file"] for one in worth] == ["one.onnx", "short.onnx"]
    assert sum(one["is_recommended"] for one in worth) == 1


def test_records_that_weights_are_counted_in_must_be_there(modelpick, tiny):
    code, _, err = modelpick("encoder", tiny, "-o", "e.onnx", "--distill", "--weights", "nowhere.jsonl")
    assert (code, len(err.splitlines())) == (2, 1)
