"""Folders of text encoders -> files, against numpy in float64 and the recorded embeddings of a real encoder."""

import gzip
import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from safetensors.numpy import load_file, save_file

from modelpick.converter.encoders import make
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.encoders.verify import TOLERANCE, EncoderError
from modelpick.runtime import DocumentError
from modelpick.runtime.text import Encoder
from support.folders import LONGEST, SMALL, TEXTS, expected, token_ids, transformer, write_json
from support.recorded import SHARED

REAL = SHARED / "encoder"
BASE = ("input_ids", "attention_mask")
KINDS = {
    "mean": {},
    "not normalised": {"normalised": False},
    "cls": {"pooling": "cls", "inputs": (*BASE, "token_type_ids")},
    "last": {"pooling": "last", "inputs": (*BASE, "position_ids")},
    "all inputs, int32": {"inputs": (*BASE, "token_type_ids", "position_ids"), "kind": TensorProto.INT32},
    "old names": {"inputs": ("input_ids", "input_mask", "segment_ids")},
    "token_embeddings": {"output": "token_embeddings"},
    "sentence_embedding": {"output": "sentence_embedding"},
    "first output": {"output": "output_0", "pooling": "last"},
    "opset 12": {"opset": 12},
    "external data": {"external": True},
}


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_embeds_as_its_folder(tmp_path, kind):
    folder = transformer(tmp_path / "tiny", **KINDS[kind])
    report = make_encoder(folder, tmp_path / "e.onnx")
    shutil.rmtree(folder)
    asked = {
        name: value for name, value in KINDS[kind].items() if name in ("pooling", "normalised", "inputs", "output")
    }
    asked["inputs"] = ["token_type_ids" if name == "segment_ids" else name for name in asked.get("inputs", ())]
    encoder = Encoder.load(tmp_path / "e.onnx")
    wanted = [expected(text, **asked) for text in TEXTS]
    close(encoder.embed(TEXTS), wanted)
    close([encoder.embed([text])[0] for text in TEXTS], wanted)
    assert report.passed
    assert report.tolerance == TOLERANCE
    assert (
        encoder.metadata.pooling
        == report.pooling
        == ("own" if kind == "sentence_embedding" else asked.get("pooling", "mean"))
    )
    assert (encoder.name, encoder.embedding_dim, encoder.metadata.longest) == ("tiny", 8, LONGEST)


def test_the_digest_is_that_of_the_answers(tmp_path):
    folder = transformer(tmp_path / "tiny")
    asked = [{}, {"name": "other"}, {"max_tokens": 5}, {"quantise": "int8"}]
    digests = [make_encoder(folder, tmp_path / "e.onnx", **one).digest for one in asked]
    assert digests[0] == digests[1]
    assert len({*digests}) == 3
    assert digests[0] != make_encoder(transformer(tmp_path / "cls", pooling="cls"), tmp_path / "e.onnx").digest


def test_texts_are_cut_sooner_if_that_is_asked(tmp_path):
    make_encoder(transformer(tmp_path / "tiny"), tmp_path / "e.onnx", max_tokens=5)
    encoder = Encoder.load(tmp_path / "e.onnx")
    close(encoder.embed(TEXTS), [expected(text, longest=5) for text in TEXTS])
    make_encoder(tmp_path / "tiny", tmp_path / "e.onnx", max_tokens=500)
    assert Encoder.load(tmp_path / "e.onnx").metadata.longest == LONGEST


def test_the_longest_input_is_what_the_tokenizer_and_the_model_read_where_nothing_else_is_said(tmp_path):
    folder = transformer(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").unlink()
    for limits, longest in (((512, 64), 64), ((9, 64), 9), ((1e30, 64), 64), ((None, None), 512)):
        write_json(folder / "tokenizer_config.json", {"model_max_length": limits[0]})
        write_json(folder / "config.json", {"max_position_embeddings": limits[1]})
        assert make_encoder(folder, tmp_path / "e.onnx").longest == longest


def test_lower_case_is_for_the_tokenizer_where_the_folder_asks_for_it(tmp_path):
    folder = transformer(tmp_path / "tiny")
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": True})
    make_encoder(folder, tmp_path / "e.onnx")
    close(Encoder.load(tmp_path / "e.onnx").embed(["A b C"]), [expected("a b c")])


def test_8_bit_weights_are_reported_and_answer_the_same_in_any_batch(tmp_path):
    report = make_encoder(transformer(tmp_path / "tiny"), tmp_path / "e.onnx", quantise="int8")
    encoder = Encoder.load(tmp_path / "e.onnx")
    assert report.tolerance is None
    assert report.weights == encoder.metadata.weights == "int8"
    assert report.difference > TOLERANCE
    assert report.cosine > 0.9
    assert report.difference == max(probe.difference for probe in report.probes)
    np.testing.assert_array_equal(encoder.embed(TEXTS), [encoder.embed([text])[0] for text in TEXTS])


def test_a_graph_whose_answers_depend_on_the_batch_is_not_written(tmp_path):
    folder = transformer(tmp_path / "tiny", masks=False)
    with pytest.raises(EncoderError, match=r"expected the embeddings of .*tiny within 1e-05") as refused:
        make_encoder(folder, tmp_path / "e.onnx")
    assert refused.value.report.difference > TOLERANCE
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny"]


@pytest.mark.parametrize(
    ("most", "quantise", "advice"),
    [(200, None, "--quantise int8 makes about"), (20, None, "are too many too"), (20, "int8", "are too many too")],
)
def test_weights_that_do_not_fit_are_refused_before_they_are_read(tmp_path, monkeypatch, most, quantise, advice):
    folder = transformer(tmp_path / "tiny", external=True)
    (folder / "onnx/model.onnx_data").unlink()  # so it was not read
    size = make._read(folder, None, None).weights_bytes
    monkeypatch.setattr(make, "MOST_BYTES", size * most // 400)
    with pytest.raises(DocumentError, match=advice):
        make_encoder(folder, tmp_path / "e.onnx", quantise=quantise)
    assert not (tmp_path / "e.onnx").exists()


def without(name):
    return lambda folder: (folder / name).unlink()


def with_json(name, value):
    return lambda folder: write_json(folder / name, value)


def with_graph(change):
    def changed(folder):
        model = onnx.load(folder / "onnx/model.onnx")
        change(model.graph)
        onnx.save(model, folder / "onnx/model.onnx")

    return changed


def rename_input(graph):
    graph.input[1].name = "task_id"


def fix_length(graph):
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128


REFUSED = {
    "no such file": without("tokenizer.json"),
    r"expected an encoder with onnx/model.onnx or model.onnx, or model.safetensors": without("onnx/model.onnx"),
    "tokenizer.json: expected a tokenizer": with_json("tokenizer.json", {}),
    "modules.json: expected a list of objects": with_json("modules.json", [1]),
    "modules.json: expected some of .*, got Dense": with_json(
        "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]
    ),
    "expected one pooling of mean, cls, last, got pooling_mode_max_tokens": with_json(
        "1_Pooling/config.json", {"pooling_mode_max_tokens": True}
    ),
    "expected one pooling of mean, cls, last, got weightedmean": with_json(
        "1_Pooling/config.json", {"pooling_mode": "weightedmean"}
    ),
    "sentence_bert_config.json: expected an object": with_json("sentence_bert_config.json", []),
    "expected the inputs input_ids and attention_mask, .* got input_ids, task_id": with_graph(rename_input),
    r"input_ids: expected any number of texts and tokens, got \[128\] fixed": with_graph(fix_length),
    "model.onnx: cannot be read": lambda folder: (folder / "onnx/model.onnx").write_bytes(b"\xff" * 9),
    "tokenizer.json: expected JSON": lambda folder: (folder / "tokenizer.json").write_text("{"),
    "expected a folder": shutil.rmtree,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refuses_a_folder_in_one_line(tmp_path, reason):
    folder = transformer(tmp_path / "tiny")
    REFUSED[reason](folder)
    with pytest.raises(DocumentError, match=reason) as refused:
        make_encoder(folder, tmp_path / "e.onnx")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "e.onnx").exists()


def test_missing_external_data_is_named(tmp_path):
    folder = transformer(tmp_path / "tiny", external=True)
    (folder / "onnx/model.onnx_data").unlink()
    with pytest.raises(DocumentError, match=r"model.onnx: words: cannot be read: model.onnx_data"):
        make_encoder(folder, tmp_path / "e.onnx")


def static(folder, tensors, config=None, modules=None):
    shutil.copytree(SMALL, folder)
    if config is not None:
        write_json(folder / "config.json", config)
    if modules is not None:
        write_json(folder / "modules.json", modules)
    save_file(tensors, folder / "model.safetensors")
    return folder


ROWS = load_file(SMALL / "model.safetensors")["embeddings"].astype(np.float32)
WEIGHTS = np.linspace(0.5, 2, len(ROWS)).astype(np.float32)
MAPPING = np.arange(len(ROWS))[::-1] // 2
VOCABULARY = json.loads((SMALL / "tokenizer.json").read_text())["model"]["vocab"]
STEPS = [{"type": "sentence_transformers.models.StaticEmbedding", "path": ""}]
# Tensors, config.json, modules.json -> rows whose mean counts, whether it is scaled, and whether unknown tokens count.
STATIC = {
    "model2vec": ({"embeddings": ROWS}, None, None, ROWS, True, False),
    "not normalised": (
        {"embeddings": ROWS},
        {"model_type": "model2vec", "normalize": False},
        None,
        ROWS,
        False,
        False,
    ),
    "weights and mapping": (
        {"embeddings": ROWS, "weights": WEIGHTS, "mapping": MAPPING},
        None,
        None,
        ROWS[MAPPING] * WEIGHTS[:, None],
        True,
        False,
    ),
    "StaticEmbedding": ({"embedding.weight": ROWS}, {}, STEPS, ROWS, False, True),
}


@pytest.mark.parametrize("kind", STATIC)
def test_static_vectors_are_the_mean_of_the_tokens(tmp_path, kind):
    tensors, config, modules, rows, scaled, unknown_counts = STATIC[kind]
    folder = static(tmp_path / "static", tensors, config, modules)
    make_encoder(folder, tmp_path / "e.onnx")
    encoder = Encoder.load(tmp_path / "e.onnx")
    texts = {"": [], "Solve the equation": ["solve", "the", "equation"], "解 list": ["[UNK]", "list"], "解": ["[UNK]"]}
    for text, words in texts.items():
        ids = [VOCABULARY[word] for word in words if unknown_counts or word != "[UNK]"]
        wanted = rows[ids].mean(axis=0, dtype=np.float64) if ids else np.zeros(rows.shape[1])
        norm = np.linalg.norm(wanted)
        close(encoder.embed([text, *texts])[0], wanted / norm if scaled and norm else wanted)


def test_refuses_other_tensors(tmp_path):
    folder = static(tmp_path / "static", {"words": ROWS})
    with pytest.raises(DocumentError, match=r"expected embeddings or embedding.weight"):
        make_encoder(folder, tmp_path / "e.onnx")
    (folder / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(DocumentError, match=r"model.safetensors: cannot be read"):
        make_encoder(folder, tmp_path / "e.onnx")


def test_the_small_encoder_is_what_its_script_makes(tmp_path, monkeypatch):
    import runpy

    before = {file.name: file.read_bytes() for file in SMALL.iterdir()}
    script = runpy.run_path(str(SMALL.parent / "make_encoder.py"))
    script["main"].__globals__["TARGET"] = tmp_path / "encoder"
    script["main"]()
    assert {file.name: file.read_bytes() for file in (tmp_path / "encoder").iterdir()} == before
    assert sum(map(len, before.values())) < 300_000


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared encoder")
def test_a_real_encoder_gives_the_recorded_embeddings(tmp_path):
    report = make_encoder(REAL / "minilm-l6-v2", tmp_path / "e.onnx")
    assert report.passed
    cases = json.loads(gzip.decompress((REAL / "expected.json.gz").read_bytes()))["cases"]
    encoder = Encoder.load(tmp_path / "e.onnx")
    texts = [case["text"] for case in cases]
    close(encoder.embed(texts), [case["embedding"] for case in cases])
    assert [encoder.tokens(text).count for text in texts] == [case["tokens"] for case in cases]


def test_ids_of_the_reference():
    assert token_ids("a zzz") == [2, 4, 1, 3]
