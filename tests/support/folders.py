"""Small folders of text encoders, as Hugging Face lays them out, and what their embeddings are, by numpy in float64."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

SMALL = Path(__file__).parents[2] / "models/encoder"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij"]
WIDTH, LONGEST = 8, 12
TEXTS = ["", "a", "a b c", "j i h g f e d c b a", "a b c d e f g h i j a b c d e", "zzz b", "b a"]
_rng = np.random.default_rng(0)
TENSORS = {
    "words": _rng.normal(size=(len(WORDS), WIDTH)),
    "kinds": _rng.normal(size=(2, WIDTH)),
    "places": _rng.normal(size=(64, WIDTH)),
    "mix": _rng.normal(size=(WIDTH, WIDTH)),
}
TENSORS = {name: value.astype(np.float32) for name, value in TENSORS.items()}
FILLER, SCALE = 0.25, 0.5


def write_json(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def tokenizer():
    made = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_padding(length=64)  # what the file says of padding and cutting does not count
    made.enable_truncation(5)
    return made


def graph(inputs, output, kind=TensorProto.INT64, masks=True, opset=17):
    """Make a graph in which each token adds a bit to all others, as far as the mask lets it."""
    used = ["words", "mix"]
    nodes = [helper.make_node("Gather", ["words", inputs[0]], ["x0"])]
    for name in inputs[2:]:
        table = "places" if name == "position_ids" else "kinds"
        used.append(table)
        nodes.append(helper.make_node("Gather", [table, name], [f"{table}_rows"]))
        nodes.append(helper.make_node("Add", [nodes[-2].output[0], f"{table}_rows"], [f"x_{table}"]))
    constant = numpy_helper.from_array(np.float32(SCALE))
    filler = numpy_helper.from_array(np.array([FILLER], np.float32))
    nodes += [
        helper.make_node("Constant", [], ["scale"], value=constant),
        helper.make_node("MatMul", [nodes[-1].output[0], "mix"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["bounded"]),
        helper.make_node("Mul", ["bounded", "scale"], ["scaled"]),
        helper.make_node("Shape", ["scaled"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["fill"], value=filler),
        helper.make_node("Add", ["scaled", "fill"], ["state"]),
        helper.make_node("Cast", [inputs[1]], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["row"], value=numpy_helper.from_array(np.array([0, 1, -1]))),
        helper.make_node("Reshape", ["mask", "row"], ["weights"]),
    ]
    if not masks:
        nodes[-1] = helper.make_node("Expand", ["scale", "weights_shape"], ["weights"])
        nodes[-1:-1] = [
            helper.make_node("Reshape", ["mask", "row"], ["unmasked"]),
            helper.make_node("Shape", ["unmasked"], ["weights_shape"]),
        ]
    nodes += [
        helper.make_node("MatMul", ["weights", "state"], ["others"]),
        helper.make_node("Add", ["state", "others"], ["last_hidden_state"]),
    ]
    columns = ["batch", "sequence", WIDTH]
    if output == "sentence_embedding":
        nodes.append(helper.make_node("ReduceMax", ["others"], ["sentence_embedding"], axes=[1], keepdims=0))
        columns = ["batch", WIDTH]
    elif output != "last_hidden_state":
        nodes.append(helper.make_node("Identity", ["last_hidden_state"], [output]))
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(name, kind, ["batch", "sequence"]) for name in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, columns)],
            [numpy_helper.from_array(TENSORS[name], name) for name in used],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def transformer(
    folder,
    *,
    pooling="mean",
    normalised=True,
    inputs=("input_ids", "attention_mask"),
    output="last_hidden_state",
    kind=TensorProto.INT64,
    opset=17,
    external=False,
    masks=True,
):
    """Write a folder; without ``masks``, its graph lets tokens see what fills a batch."""
    modes = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}
    steps = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    write_json(
        folder / "modules.json",
        [
            {"idx": place, "path": f"{place}_{step}" if place else "", "type": f"sentence_transformers.models.{step}"}
            for place, step in enumerate(steps)
        ],
    )
    chosen = {f"pooling_mode_{name}": mode == pooling for mode, name in modes.items()}
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH, **chosen})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST})
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "onnx").mkdir(exist_ok=True)
    kept = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 0} if external else {}
    onnx.save(graph(inputs, output, kind, masks, opset), folder / "onnx/model.onnx", **kept)
    return folder


def token_ids(text, longest=LONGEST):
    words = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    return [2, *words[: longest - 2], 3]


def expected(text, *, pooling="mean", normalised=True, inputs=(), output="last_hidden_state", longest=LONGEST):
    """Embed a text: float64, (WIDTH,)."""
    ids = token_ids(text, longest)
    tensors = {name: value.astype(np.float64) for name, value in TENSORS.items()}
    x = tensors["words"][ids]
    if "token_type_ids" in inputs:
        x = x + tensors["kinds"][0]
    if "position_ids" in inputs:
        x = x + tensors["places"][: len(ids)]
    state = np.tanh(x @ tensors["mix"]) * SCALE + FILLER
    states = state + state.sum(axis=0)
    if output == "sentence_embedding":
        vector = state.sum(axis=0)
    else:
        vector = {"mean": states.mean(axis=0), "cls": states[0], "last": states[-1]}[pooling]
    return vector / np.linalg.norm(vector) if normalised else vector
