"""Folders of encoders as other libraries and Hugging Face's cache lay them out, and such that would go wrong."""

import json
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers

from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.encoders.verify import TOLERANCE
from modelpick.runtime import DocumentError
from modelpick.runtime.text import Encoder, Tokens
from support.folders import TENSORS, WORDS, expected, token_ids, transformer, write_json

TEXT = "a b c"


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


def made(folder, **asked):
    target = folder.parent / "e.onnx"
    make_encoder(folder, target, **asked)
    return Encoder.load(target)


def refused(folder, reason, **asked):
    with pytest.raises(DocumentError, match=reason) as error:
        make_encoder(folder, folder.parent / "e.onnx", **asked)
    assert "\n" not in str(error.value)
    assert not (folder.parent / "e.onnx").exists()


def with_graph(folder, change):
    model = onnx.load(folder / "onnx/model.onnx")
    change(model.graph)
    onnx.save(model, folder / "onnx/model.onnx")


def linked_files(folder, blobs):
    """Move each file to a folder of its own, and link it from where it was, as Hugging Face's cache does."""
    blobs.mkdir()
    for place, file in enumerate(sorted(one for one in folder.rglob("*") if one.is_file())):
        shutil.move(file, blobs / str(place))
        file.symlink_to(os.path.relpath(blobs / str(place), file.parent))


def snapshot(folder):
    linked_files(folder, folder.parent / "blobs")
    return folder


def whole_folder(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    return link


def inner_folder(folder):
    shutil.move(folder / "onnx", folder / "files")
    (folder / "onnx").symlink_to("files")
    return folder


def data_alone(folder):
    (folder / "data").mkdir()
    shutil.move(folder / "onnx/model.onnx_data", folder / "data/0")
    (folder / "onnx/model.onnx_data").symlink_to(folder / "data/0")
    return folder


LINKS = [snapshot, whole_folder, inner_folder]


@pytest.mark.parametrize(
    ("link", "external"), [*((link, external) for link in LINKS for external in (False, True)), (data_alone, True)]
)
def test_files_may_be_links_as_hugging_face_keeps_them(tmp_path, link, external):
    (tmp_path / "hub").mkdir()
    folder = link(transformer(tmp_path / "hub/tiny", external=external))
    close(made(folder).embed([TEXT]), [expected(TEXT)])


@pytest.mark.parametrize("name", ["onnx/model.onnx_data", "tokenizer.json"])
def test_links_to_other_places_are_not_followed(tmp_path, name):
    folder = transformer(tmp_path / "tiny", external=True)
    (tmp_path / "outside").mkdir()
    shutil.move(folder / name, tmp_path / "outside/file")
    (folder / name).symlink_to(tmp_path / "outside/file")
    refused(folder, "expected a file in the encoder's folder, got a link to .*outside")


@pytest.mark.parametrize("location", ["../../outside", "/etc/hostname", "missing"])
def test_external_data_elsewhere_are_not_read(tmp_path, location):
    folder = transformer(tmp_path / "tiny", external=True)
    (tmp_path / "outside").write_bytes(bytes(10_000))
    model = onnx.load(folder / "onnx/model.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    (folder / "onnx/model.onnx").write_bytes(model.SerializeToString())
    refused(folder, "expected a file in the encoder's folder|cannot be read: missing")


@pytest.mark.parametrize(("key", "value"), [("length", "7"), ("offset", "-1"), ("offset", "10000000"), ("length", "x")])
def test_external_data_are_what_the_tensor_says(tmp_path, key, value):
    folder = transformer(tmp_path / "tiny", external=True)
    model = onnx.load(folder / "onnx/model.onnx", load_external_data=False)
    told = model.graph.initializer[0].external_data
    kept = {entry.key: entry.value for entry in told} | {key: value}
    del told[:]
    for name, text in kept.items():
        told.add(key=name, value=text)
    (folder / "onnx/model.onnx").write_bytes(model.SerializeToString())
    refused(folder, "expected .*external data")


@pytest.mark.parametrize("path", ["../outside", "/tmp", "link"])
def test_modules_are_within_the_folder(tmp_path, path):
    folder = transformer(tmp_path / "tiny")
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    write_json(folder / "modules.json", [{"type": "x.StaticEmbedding", "path": path}])
    refused(folder, "modules.json: expected paths within the folder")


def with_positions(folder, rows, **config):
    """Add a table of positions that begin behind the padding token, as RoBERTa's do."""

    def change(graph):
        table = np.random.default_rng(3).normal(size=(rows, 8)).astype(np.float32)
        graph.initializer.extend(
            [numpy_helper.from_array(table, "positions"), numpy_helper.from_array(np.array(1), "one")]
        )
        (first,) = (node for node in graph.node if node.op_type == "Gather")
        first.output[0] = "without"
        added = [
            helper.make_node("CumSum", ["attention_mask", "one"], ["summed"]),
            helper.make_node("Mul", ["summed", "attention_mask"], ["counted"]),
            helper.make_node("Add", ["counted", "one"], ["place"]),
            helper.make_node("Gather", ["positions", "place"], ["placed"]),
            helper.make_node("Add", ["without", "placed"], ["x0"]),
        ]
        rest = list(graph.node)[1:]
        del graph.node[1:]
        graph.node.extend([*added, *rest])

    with_graph(folder, change)
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1e30})
    write_json(folder / "config.json", {"max_position_embeddings": rows, **config})


def test_positions_begin_behind_the_padding_token_in_roberta(tmp_path):
    folder = transformer(tmp_path / "tiny")
    with_positions(folder, 66, model_type="roberta", pad_token_id=1)
    assert made(folder).metadata.longest == 64
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 66})
    assert made(folder).metadata.longest == 64


def test_a_graph_that_fails_on_its_longest_input_is_a_line(tmp_path):
    folder = transformer(tmp_path / "tiny")
    with_positions(folder, 66, model_type="other")
    refused(folder, r"model.onnx: cannot be run on 66 tokens: .*--max-tokens")
    assert made(folder, max_tokens=64).metadata.longest == 64


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_the_longest_input_may_stand_in_the_folder_of_the_module(tmp_path, name):
    folder = transformer(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").unlink()
    steps = json.loads((folder / "modules.json").read_text())
    steps[0]["path"] = "0_Transformer"
    write_json(folder / "modules.json", steps)
    write_json(folder / "0_Transformer" / name, {"max_seq_length": 9})
    assert made(folder).metadata.longest == 9


@pytest.mark.parametrize("lower", [True, False])
def test_case_is_as_the_settings_of_the_tokenizer_say(tmp_path, lower):
    folder = transformer(tmp_path / "tiny")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not lower)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"do_lower_case": lower, "tokenizer_class": "BertTokenizer"}
    write_json(folder / "tokenizer_config.json", settings)
    close(made(folder).embed(["A B C"]), [expected("a b c" if lower else "? ? ?")])
    write_json(folder / "tokenizer_config.json", settings | {"tokenizer_class": "PreTrainedTokenizerFast"})
    close(made(folder).embed(["A B C"]), [expected("? ? ?" if lower else "a b c")])


def scores(graph, name="logits", columns=1):
    graph.initializer.append(numpy_helper.from_array(np.ones((8, columns), np.float32), "head"))
    graph.node.append(helper.make_node("ReduceMax", ["others"], ["pooled"], axes=[1], keepdims=0))
    graph.node.append(helper.make_node("MatMul", ["pooled", "head"], [name]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns]))


def test_a_classifier_is_no_encoder(tmp_path):
    folder = transformer(tmp_path / "tiny")
    with_graph(folder, scores)
    refused(folder, "expected an encoder, .*got logits")
    other = transformer(tmp_path / "other")
    with_graph(other, lambda graph: scores(graph, "output_0", 3))
    write_json(other / "config.json", {"architectures": ["BertForSequenceClassification"]})
    refused(other, "got output_0 of BertForSequenceClassification")
    one = transformer(tmp_path / "one")
    with_graph(one, lambda graph: scores(graph, "output_0"))
    refused(one, r"output_0: expected the shape")


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_tolerance_is_relative_to_the_length(tmp_path, scale):
    folder = transformer(tmp_path / "tiny", normalised=False)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512})

    def change(graph):
        (words,) = (one for one in graph.initializer if one.name == "words")
        words.CopyFrom(numpy_helper.from_array(TENSORS["words"] * np.float32(scale), "words"))
        del graph.node[:]
        graph.node.append(helper.make_node("Gather", ["words", "input_ids"], ["last_hidden_state"]))

    with_graph(folder, change)
    found = made(folder).embed([" ".join("abcdefghij" * 60)])[0]
    ids = token_ids(" ".join("abcdefghij" * 60), 512)
    wanted = TENSORS["words"].astype(np.float64)[ids].mean(axis=0) * scale
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.linalg.norm(wanted))


@pytest.mark.parametrize("output", ["last_hidden_state", "sentence_embedding", "output_0"])
def test_an_output_may_have_no_shape(tmp_path, output):
    folder = transformer(tmp_path / "tiny", output=output)
    with_graph(folder, lambda graph: graph.output[0].type.tensor_type.ClearField("shape"))
    close(made(folder).embed([TEXT]), [expected(TEXT, output=output)])


def test_pooling_is_asked_where_the_folder_does_not_say(tmp_path):
    folder = transformer(tmp_path / "tiny")
    refused(folder, "expected no other --pooling than mean, got cls", pooling="cls")
    shutil.rmtree(folder / "1_Pooling")
    refused(folder, "expected the pooling, which the folder does not say: give --pooling")
    for pooling in ("mean", "cls", "last"):
        close(made(folder, pooling=pooling).embed([TEXT]), [expected(TEXT, pooling=pooling)])


def test_a_default_prompt_stands_before_every_text(tmp_path):
    folder = transformer(tmp_path / "tiny")
    prompts = {"prompts": {"query": "j i ", "": ""}, "default_prompt_name": "query"}
    write_json(folder / "config_sentence_transformers.json", prompts)
    encoder = made(folder)
    close(encoder.embed([TEXT]), [expected("j i " + TEXT)])
    assert encoder.tokens(TEXT) == Tokens(7, False)
    (folder.parent / "e.onnx").unlink()
    write_json(folder / "config_sentence_transformers.json", prompts | {"default_prompt_name": "other"})
    refused(folder, "expected default_prompt_name to be one of prompts, got 'other'")
    write_json(folder / "config_sentence_transformers.json", prompts)
    write_json(folder / "1_Pooling/config.json", {"pooling_mode_mean_tokens": True, "include_prompt": False})
    refused(folder, "expected include_prompt")


@pytest.mark.parametrize("tokens", [1, 2])
def test_the_longest_input_holds_more_than_the_tokens_that_are_added(tmp_path, tokens):
    folder = transformer(tmp_path / "tiny")
    refused(folder, rf"expected --max-tokens above 2, the tokens that are added, got {tokens}", max_tokens=tokens)
    assert made(folder, max_tokens=3).tokens("a b c") == Tokens(3, True)


ROWS = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)
STEPS = [{"type": "sentence_transformers.models.StaticEmbedding", "path": "0_StaticEmbedding"}]


def static(folder, tensors=None, config=None, steps=None, truncation=None):
    """Write a folder of static vectors over the words of the tiny encoder."""
    place = folder / "0_StaticEmbedding" if steps else folder
    transformer(folder / "tiny")
    tokenizer = Tokenizer.from_file(str(folder / "tiny/tokenizer.json"))
    shutil.rmtree(folder / "tiny")
    tokenizer.no_truncation()
    if truncation:
        tokenizer.enable_truncation(truncation)
    place.mkdir(exist_ok=True)
    tokenizer.save(str(place / "tokenizer.json"))
    save_file(tensors or {"embeddings": ROWS}, place / "model.safetensors")
    if steps:
        write_json(folder / "modules.json", steps)
    else:
        write_json(folder / "config.json", {"model_type": "model2vec", **(config or {})})
    return folder


def mean(words, rows=ROWS):
    return rows.astype(np.float64)[[WORDS.index(word) for word in words]].mean(axis=0)


@pytest.mark.parametrize("truncation", [None, 100])
def test_static_embedding_reads_what_its_tokenizer_lets_it(tmp_path, truncation):
    folder = static(tmp_path / "static", {"embedding.weight": ROWS}, steps=STEPS, truncation=truncation)
    encoder, words = made(folder), ["a"] * 512 + ["b"] * 512
    close(encoder.embed([" ".join(words)]), [mean(words[:truncation])])
    assert encoder.tokens(" ".join(words)) == Tokens(truncation or 1024, truncation is not None)
    assert made(folder, max_tokens=16).metadata.longest == 16


@pytest.mark.parametrize(("longest", "read"), [({}, 512), ({"max_length": 16}, 16), ({"max_length": None}, 2_000)])
def test_model2vec_reads_what_its_configuration_says(tmp_path, longest, read):
    encoder = made(static(tmp_path / "static", config=longest))
    words = ["a"] * 16 + ["b"] * 1_984
    # It also cuts characters: as many as the tokens have at the median length, here 1; half of them are spaces.
    seen = words[: read // 2 if longest.get("max_length", 1) else None]
    close(encoder.embed([" ".join(words)]), [mean(seen)])
    close(encoder.embed(["a ? b"]), [mean("ab")])


def test_the_unknown_token_of_unigram_is_left_out_as_well(tmp_path):
    folder = static(tmp_path / "static")
    value = json.loads((folder / "tokenizer.json").read_text())
    value["model"] = {"type": "Unigram", "unk_id": 1, "vocab": [[word, -1.0] for word in WORDS], "byte_fallback": False}
    write_json(folder / "tokenizer.json", value)
    close(made(folder).embed(["a z b"]), [mean("ab")])


def change_json(name, **changes):
    def change(folder):
        write_json(folder / name, json.loads((folder / name).read_text()) | changes)

    return change


def tensors(**given):
    return lambda folder: save_file(given, folder / "model.safetensors")


def eight_bit_floats(folder):
    header = json.dumps({"embeddings": {"dtype": "F8_E4M3", "shape": [14, 2], "data_offsets": [0, 28]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(28))


BAD_STATIC = {
    "expected a row for each token, 14, got 5": tensors(embeddings=ROWS[:5]),
    "mapping: expected rows of embeddings, 0 to 13": tensors(embeddings=ROWS, mapping=np.arange(14) + 1),
    "mapping: expected rows": tensors(embeddings=ROWS, mapping=np.zeros((14, 1))),
    "expected a row for each token": tensors(embeddings=ROWS, mapping=np.arange(3)),
    "weights: expected 14 finite numbers": tensors(embeddings=ROWS, weights=np.ones(3)),
    "weights: expected 14": tensors(embeddings=ROWS, weights=np.full(14, np.nan)),
    "finite numbers": tensors(embeddings=ROWS[:, :0]),
    "model.safetensors: expected tensors of types that numpy has": eight_bit_floats,
    "model.safetensors: cannot be read: ": lambda folder: (folder / "model.safetensors").unlink(),
    "expected a token for padding, .* got x": change_json("tokenizer.json", padding={"pad_id": "x"}),
    "expected a token for padding, .* got inf": change_json("tokenizer.json", padding={"pad_id": float("inf")}),
    "tokenizer.json: expected a tokenizer of the tokenizers library": change_json("tokenizer.json", model=7),
    "tokenizer.json: normalizer: expected an object with a type": change_json("tokenizer.json", normalizer=[]),
    "its tokenizer cannot be used": change_json("tokenizer.json", model={"type": "BPE", "vocab": {}, "merges": 3}),
}


@pytest.mark.parametrize("reason", BAD_STATIC)
def test_a_bad_folder_is_a_line(tmp_path, reason):
    folder = static(tmp_path / "static")
    BAD_STATIC[reason](folder)
    refused(folder, reason)


def test_true_is_no_number_of_tokens(tmp_path):
    folder = transformer(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder / "tokenizer_config.json", {"model_max_length": True})
    write_json(folder / "config.json", {"max_position_embeddings": 30})
    assert made(folder).metadata.longest == 30


def test_a_panic_of_the_tokenizers_library_is_a_line(tmp_path, capfd):
    folder = static(tmp_path / "static")
    change_json("tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]})(folder)
    refused(folder, "its tokenizer cannot be used")
    capfd.readouterr()  # the library writes where it panicked
