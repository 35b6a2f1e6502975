"""Encoder: texts -> embeddings."""

import base64
import multiprocessing
import os
import pickle
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime import ArtifactError, FeatureError, ModelpickError, Selector
from modelpick.runtime.artifact.seal import seal
from modelpick.runtime.schema import PREFIX, EncoderEntry
from modelpick.runtime.text import Encoder, Tokens
from modelpick.runtime.text import encoder as module
from support.folders import TEXTS, transformer

MANY = [" ".join("abcdefghij"[place % 10] for place in range(start, start + start % 11)) for start in range(200)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    make_encoder(transformer(folder / "tiny"), folder / "tiny.onnx")
    return folder / "tiny.onnx"


@pytest.mark.parametrize(("run_tokens", "window"), [(1, 7), (50, 64), (10**6, 10**6)])
def test_each_text_has_one_answer_whatever_shares_its_run(tiny, monkeypatch, run_tokens, window):
    monkeypatch.setattr(module, "RUN_TOKENS", run_tokens)
    monkeypatch.setattr(module, "WINDOW", window)
    encoder = Encoder.load(tiny)
    found = encoder.embed(MANY)
    assert (found.dtype, found.shape) == (np.float32, (200, 8))
    np.testing.assert_allclose(found, [encoder.embed([text])[0] for text in MANY], rtol=0, atol=1e-5)


def test_runs_are_filled_to_their_own_longest(tiny, monkeypatch):
    monkeypatch.setattr(module, "RUN_TOKENS", 24)
    encoder, shapes = Encoder.load(tiny), []
    run = encoder._run_tokens
    encoder._run_tokens = lambda tokens: shapes.append((len(tokens), max(map(len, tokens)))) or run(tokens)
    encoder.embed(["a b c d e f g h i j", "a", "b", "a b c d e f g h i j", "c"])
    assert shapes == [(3, 3), (2, 12)]


def test_one_text_is_embedded_alike_by_all_ways(tiny, files):
    for encoder in (Encoder.load(tiny), Encoder.load(files.encoder), Encoder.load(files.int8)):
        for text in ["", "a b c", "Solve the equation for x", "a" * 5_000]:
            np.testing.assert_array_equal(encoder.embed_one(text), encoder.embed([text])[0])
            np.testing.assert_array_equal(encoder.embed_one(text), encoder.read(text)[0])


def test_static_vectors_are_the_same_in_onnxruntime(files):
    texts = [*TEXTS, "Solve the equation for x", "?", "the equation " * 400]
    for path in (files.encoder, files.int8):
        in_session = Encoder.load(path, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(Encoder.load(path).embed(texts), in_session.embed(texts), rtol=0, atol=1e-6)


def test_no_text_is_no_row(tiny):
    assert Encoder.load(tiny).embed([]).shape == (0, 8)


def test_counts_the_tokens_that_are_read(tiny):
    encoder = Encoder.load(tiny)
    assert encoder.tokens("") == Tokens(2, False)
    assert encoder.tokens("a b") == Tokens(4, False)
    assert encoder.tokens(" ".join("a" * 10)) == Tokens(12, False)
    assert encoder.tokens(" ".join("a" * 11)) == Tokens(12, True)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [("a text", "expected a sequence of texts"), (["a", 3], r"\[1\]: expected a text, got int"), ([None], "NoneType")],
)
def test_refuses_what_is_no_text(tiny, texts, reason):
    with pytest.raises(FeatureError, match=reason):
        Encoder.load(tiny).embed(texts)


def test_lone_surrogates_are_read_as_replacements(files):
    encoder = Encoder.load(files.encoder)
    pairs = ["a \ud800 b", "\ud83d\ude42"], ["a \ufffd b", "🙂"]
    np.testing.assert_array_equal(*map(encoder.embed, pairs))


def test_threads_share_it(tiny):
    encoder = Encoder.load(tiny)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encoder.embed, [TEXTS] * 64))
    assert all(np.array_equal(one, found[0]) for one in found)


def test_a_copy_by_pickle_answers_the_same(files, tmp_path):
    path = tmp_path / "e.onnx"
    path.write_bytes(files.encoder.read_bytes())
    encoder = Encoder.load(path)
    for one in (encoder, Encoder.load(path.read_bytes())):
        copy = pickle.loads(pickle.dumps(one))
        assert copy.identity == encoder.identity
        np.testing.assert_array_equal(copy.embed(TEXTS), encoder.embed(TEXTS))
    path.write_bytes(files.int8.read_bytes())
    with pytest.raises(ArtifactError, match=r"e.onnx: expected the file that was loaded, of encoder \(.*replaced"):
        pickle.loads(pickle.dumps(encoder))


def _embedded(encoder, queue):
    queue.put(encoder.embed(TEXTS))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_goes_on_with_it(tiny, capfd):
    encoder = Encoder.load(tiny)
    before = encoder.embed(TEXTS)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_embedded, args=(encoder, queue))
    process.start()
    np.testing.assert_array_equal(queue.get(timeout=30), before)
    process.join()
    assert capfd.readouterr().err == ""


def test_a_closed_one_refuses(tiny):
    encoder = Encoder.load(tiny)
    encoder.close()
    with pytest.raises(ArtifactError, match="the encoder is closed"):
        encoder.embed(["a"])


BOMB = base64.b64encode(zlib.compress(bytes(2**27 + 1), 1)).decode()


def altered_model(model, **entries):
    """Return the bytes of an encoder, sealed anew, with other metadata, None to leave one out."""
    kept = [one for one in model.metadata_props if one.key != f"{PREFIX}sha256"]
    kept = [one for one in kept if one.key.removeprefix(PREFIX) not in entries]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in entries.items():
        if value is not None:
            model.metadata_props.add(key=PREFIX + key, value=value)
    return seal(model.SerializeToString())


def altered(path, **entries):
    return altered_model(onnx.load(path), **entries)


BROKEN = {
    "modelpick.longest: expected 1 to 2,147,483,647, or null, got 0": {EncoderEntry.LONGEST: "0"},
    "modelpick.longest: expected 1 to .*, got 9223372036854775808": {EncoderEntry.LONGEST: str(2**63)},
    "modelpick.characters: expected 1 to": {EncoderEntry.CHARACTERS: "0"},
    "modelpick.prompt: expected str": {EncoderEntry.PROMPT: "3"},
    "modelpick.static: expected finite vectors": {EncoderEntry.STATIC: '{"unknown": "a"}'},
    "modelpick.static: expected finite vectors, with scales": {EncoderEntry.STATIC: "[]"},
    r"tokenizer: malformed: expected 134,217,728 bytes at most": {EncoderEntry.TOKENIZER: BOMB},
    "expected encoder version 1 or older, got 2": {EncoderEntry.VERSION: "2"},
    "malformed: it has the operator": {EncoderEntry.VERSION: None},
    "modelpick.longest: expected int, got str": {EncoderEntry.LONGEST: '"9"'},
    "modelpick.digest": {EncoderEntry.DIGEST: None},
    "modelpick.tokenizer: malformed": {EncoderEntry.TOKENIZER: "?"},
    "its tokenizer cannot be used": {EncoderEntry.TOKENIZER: "eJyrrgUAAXUA+Q=="},
    r"expected embeddings of 9 columns, got shape \(2, 128\)": {EncoderEntry.EMBEDDING_DIM: "9"},
}


def test_a_token_beyond_the_vectors_is_refused_at_load(files):
    model = onnx.load(files.encoder)
    (vectors,) = (one for one in model.graph.initializer if one.name == "vectors")
    vectors.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(vectors)[:5], "vectors"))
    for providers in (None, ["CPUExecutionProvider"]):
        with pytest.raises(ArtifactError, match="<bytes>: cannot be run"):
            Encoder.load(altered_model(model), providers=providers)


@pytest.mark.parametrize("reason", BROKEN)
def test_refuses_a_file_in_one_line(files, reason):
    with pytest.raises(ArtifactError, match=reason):
        Encoder.load(altered(files.encoder, **BROKEN[reason]))


def test_the_two_kinds_of_files_are_told_apart(files):
    with pytest.raises(ArtifactError, match="expected a selector, got an encoder"):
        Selector.load(files.encoder)
    with pytest.raises(ArtifactError, match="expected an encoder, as `modelpick encoder` writes it"):
        Encoder.load(files.selector)
    with pytest.raises(ArtifactError, match="cannot be read"):
        Encoder.load(files.folder / "missing.onnx")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_takes_options_of_onnxruntime(files):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    Encoder.load(files.encoder, providers=["CPUExecutionProvider"], sess_options=options)
    with pytest.raises(ArtifactError, match="cannot be run"):
        Encoder.load(files.encoder, providers=["NoSuchProvider"])


def python(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_neither_torch_nor_transformers_is_imported(files):
    code = """if True:
        import sys
        from modelpick.runtime.text import TextSelector
        print(TextSelector.load(sys.argv[1], sys.argv[2]).select("Solve the equation for x"))
        heavy = {"torch", "transformers", "sentence_transformers", "onnx", "skl2onnx", "sklearn"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = python(code, files.selector, files.encoder)
    assert (done.stdout, done.stderr) == ("mistral\n[]\n", "")


def test_says_which_extra_brings_tokenizers(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelpickError, match=r"pip install 'modelpick\[text\]'"):
        Encoder.load(files.encoder)
