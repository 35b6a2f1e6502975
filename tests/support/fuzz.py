"""Mutants of every kept artifact and of encoders, each sealed again: fields, tables, metadata and nodes are altered.

`make fuzz` tries 20,000 of all files together, in processes of their own, and prints what became of them; and 5,000
graphs of operators that encoders may have, with inputs and attributes that no converter makes. A mutant fails where

- the process ends by a signal, hangs, or takes more memory than `attacks.MEMORY`;
- an error is none of modelpick's, or has more than one line;
- it is accepted, its graph and what decides stand as they were, and it picks otherwise than the original;
- it is accepted, only a table of `DECIDING` is altered, and it picks otherwise than these tables say, read by numpy;
- it is accepted, its tensors and nodes stand as they were, and it picks otherwise for a query alone than among others.

Tables that searches are proven by (norms, bounds, copies in fewer bits) are believed: where they contradict the rows,
an artifact may pick otherwise, as one of other weights may.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from modelpick.runtime import ModelpickError, Selector
from modelpick.runtime.artifact.operators import ATTRIBUTES, DTYPES, ENCODER
from modelpick.runtime.artifact.seal import SEAL_LENGTH, seal
from modelpick.runtime.errors import MOST_CHARACTERS, one_line
from support.attacks import attack, field, parsed, varint

DATA = Path(__file__).parents[1] / "data"
# Tables that picks are read from, once the nearest rows or clusters are known.
DECIDING = {"row_model", "row_quality", "row_speed", "scores", "coarse_means", "fine_sums", "fine_counts", "latencies"}
# Metadata that no pick depends on.
TOLD = {"tools", "tie_rule", "source_sha256", "document", "vectors", "distances", "sha256", "embedding_model"}
NUMBERS = [0, 1, -1, 2, 127, 255, 2**31 - 1, 2**31, -(2**31), 2**32 + 1, 2**62, 2**63 - 1, -(2**63)]
REALS = [0.0, -0.0, 1.0, -1.0, 1e-320, 1e38, 1e39, 1e300, np.inf, -np.inf, np.nan, 0.5]
TEXTS = [
    "",
    "null",
    "[]",
    "{}",
    "-1",
    "0",
    "1e400",
    "1" + "0" * 400,
    '"x"',
    '["a"]',
    "true",
    "[" * 2000,
    '{"a": 1}',
    "é",
]
QUERIES, BATCH = 9, 100
Rng = random.Random


def altered_value(rng: Rng, model: ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    if array.size:
        places = rng.sample(range(array.size), rng.randint(1, min(3, array.size)))
        for place in places:
            pool = REALS if array.dtype.kind == "f" else NUMBERS
            with np.errstate(all="ignore"):
                near = array.flat[place] + rng.choice([-1, 1]) if array.dtype.kind in "fi" else True
                array.flat[place] = np.array([rng.choice([*pool, near])]).astype(array.dtype)[0]
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def altered_deciding(rng: Rng, model: ModelProto) -> None:
    tensors = [one for one in model.graph.initializer if one.name in DECIDING]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    array = numpy_helper.to_array(tensor).copy()
    for _ in range(rng.randint(1, 20)):
        place = rng.randrange(array.size)
        array.flat[place] = array.flat[rng.randrange(array.size)] if rng.random() < 0.8 else rng.choice([0, 1, 2, 5])
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def altered_tensor(rng: Rng, model: ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    other = rng.choice(model.graph.initializer)
    kind = rng.randrange(9)
    if kind == 0:
        tensor.dims[:] = [rng.choice([*NUMBERS, 3]) for _ in range(rng.randint(0, 4))]
    elif kind == 1:
        tensor.data_type = rng.randint(0, 20)
    elif kind == 2:
        tensor.raw_data = tensor.raw_data[: rng.randint(0, len(tensor.raw_data))]
    elif kind == 3:
        tensor.raw_data, other.raw_data = other.raw_data, tensor.raw_data
    elif kind == 4:
        tensor.name, other.name = other.name, tensor.name
    elif kind == 5:
        model.graph.initializer.remove(tensor)
    elif kind == 6:
        model.graph.initializer.append(tensor)
    elif kind == 7:
        array = numpy_helper.to_array(tensor)
        array = array[rng.randint(0, 1) :] if array.ndim else array.reshape(1)
        tensor.CopyFrom(numpy_helper.from_array(np.concatenate([array, array[: rng.randint(0, 2)]]), tensor.name))
    else:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret.bin")
        if rng.random() < 0.5:
            tensor.ClearField("raw_data")


def altered_entry(rng: Rng, model: ModelProto) -> None:
    entry = rng.choice(model.metadata_props)
    kind = rng.randrange(6)
    if kind == 0:
        model.metadata_props.remove(entry)
    elif kind == 1:
        model.metadata_props.append(entry)
    elif kind == 2:
        entry.value = rng.choice(model.metadata_props).value
    elif kind == 3:
        entry.key = rng.choice(model.metadata_props).key
    elif kind == 4 and len(entry.value) < 10_000:
        place = rng.randint(0, len(entry.value))
        entry.value = (
            entry.value[:place] + rng.choice([*TEXTS, "9", "-", ","]) + entry.value[place + rng.randint(0, 3) :]
        )
    else:
        entry.value = rng.choice(TEXTS)


def altered_node(rng: Rng, model: ModelProto) -> None:
    graphs = list(_graphs(model.graph))
    graph = rng.choice(graphs)
    if not graph.node:
        return
    node, other = rng.choice(graph.node), rng.choice(graph.node)
    names = [*(tensor.name for tensor in model.graph.initializer), *(name for one in graph.node for name in one.output)]
    kind = rng.randrange(9)
    if kind == 0:
        node.op_type = rng.choice([*ENCODER, "Loop", "MaxPool", "LSTM", "RoiAlign", "NonZero", "Range", "Einsum"])
    elif kind == 1:
        graph.node.remove(node)
    elif kind == 2:
        graph.node.append(node)
    elif kind == 3 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
    elif kind == 4 and node.attribute:
        _alter_attribute(rng, rng.choice(node.attribute))
    elif kind == 5:
        node.attribute.append(helper.make_attribute(rng.choice(["axis", "to", "axes", "value"]), rng.choice(NUMBERS)))
    elif kind == 6:
        node.domain = rng.choice(["com.microsoft", "ai.onnx.ml", "ai.onnx"])
    elif kind == 7:
        node.op_type, other.op_type = other.op_type, node.op_type
    elif node.output:
        made = helper.make_node(rng.choice([*ENCODER]), [rng.choice(names) for _ in range(rng.randint(1, 3))], ["new"])
        graph.node.insert(rng.randint(0, len(graph.node)), made)
        made.output[0], node.output[0] = node.output[0], made.output[0]


def _alter_attribute(rng: Rng, attribute: onnx.AttributeProto) -> None:
    if attribute.ints:
        attribute.ints[0] = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice([0.0, 1e38, -1.0])
    else:
        attribute.i = rng.choice(NUMBERS)
        attribute.type = rng.choice([attribute.type, rng.randint(0, 14)])


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def altered_fields(rng: Rng, data: bytes, depth: int = 0) -> bytes:
    """Alter a field of some message in the file: of which there are two, none, of another number or kind."""
    found = list(_fields(data))
    if not found:
        return data
    place = rng.randrange(len(found))
    number, wire, value = found[place]
    if isinstance(value, bytes) and value and depth < 4 and rng.random() < 0.7:
        found[place] = (number, wire, altered_fields(rng, value, depth + 1))
        return b"".join(_written(*one) for one in found)
    parts = [_written(*one) for one in found]
    kind = rng.randrange(8)
    if kind == 0:
        parts.insert(rng.randint(0, len(parts)), parts[place])
    elif kind == 1:
        del parts[place]
    elif kind == 2:
        rng.shuffle(parts)
    elif kind == 3 and isinstance(value, bytes):
        parts[place] = field(number, value, 1 << rng.randint(32, 60))
    elif kind == 4:
        parts[place] = _written(rng.choice([0, 5, 6, 9, 11, 13, 14, 15, 20, 25, 99, 2**29 - 1]), wire, value)
    elif kind == 5:
        parts[place] = _written(number, rng.choice([0, 1, 2, 3, 5, 7]), value)
    elif kind == 6 and isinstance(value, bytes):
        parts[place] = varint(number << 3 | 2) + varint(rng.choice([0, 1, len(value) + 1, 2**31, 2**63])) + value
    else:
        parts.append(field(rng.randint(0, 40), rng.choice([b"", b"x", 1, 2**63])))
    return b"".join(parts)


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield the fields of what may be a message, up to where it is none."""
    position = 0
    while position < len(data):
        start = position
        try:
            key, position = _varint(data, position)
            value, position = _varint(data, position) if key & 7 in (0, 2) else (4, position)
        except IndexError:
            yield 0, -1, data[start:]
            return
        if key & 7 == 0:
            yield key >> 3, 0, value
            continue
        if key & 7 not in (2, 5) or position + value > len(data):
            yield 0, -1, data[start:]
            return
        yield key >> 3, key & 7, data[position : position + value]
        position += value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _written(number: int, wire: int, value: int | bytes) -> bytes:
    if wire < 0:
        return bytes(value) if isinstance(value, bytes) else b""
    body = varint(value % 2**64) if isinstance(value, int) else value
    return varint(number << 3 | wire) + (varint(len(body)) if wire == 2 and isinstance(value, bytes) else b"") + body


def altered_bytes(rng: Rng, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


ALTERATIONS: list[Callable[[Rng, ModelProto], None]] = [
    altered_value,
    altered_deciding,
    altered_tensor,
    altered_entry,
    altered_node,
]


def mutant(data: bytes, seed: int) -> bytes:
    """Return a mutant of an artifact, sealed: the same for the same seed."""
    rng = random.Random(seed)
    content = data[:-SEAL_LENGTH]
    kind = rng.random()
    if kind < 0.25:
        return seal(altered_fields(rng, content))
    if kind < 0.3:
        return seal(altered_bytes(rng, content))
    model = onnx.load_model_from_string(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with suppress(Exception):  # what a first one made cannot be altered by any second
            rng.choice(ALTERATIONS)(rng, model)
    return seal(model.SerializeToString())


class Verdict(NamedTuple):
    """What became of a mutant."""

    kind: str
    """``refused``, ``as before``, ``as numpy``, ``otherwise``; or what fails: ``foreign``, ``wrong``."""
    what: str = ""


_TYPES = {f"tensor({TensorProto.DataType.Name(number).lower()})": number for number in DTYPES}
SHAPES = [(), (0,), (1,), (2,), (3,), (3, 4), (4, 3), (0, 3), (1, 1, 4, 4), (2, 3, 4), (1, 0, 2), (1,) * 7]


def odd_graph(seed: int) -> bytes:
    """Return an encoder, sealed, of an operator or two that are allowed, of any values and attributes."""
    rng, values = random.Random(seed), np.random.default_rng(seed)
    tensors, nodes, version = [], [], rng.choice([13, 17, 20])
    for place in range(rng.choice([1, 1, 2])):
        op_type = rng.choice([name for name in sorted({*ENCODER} - {"If"}) if _is_known(name, version)])
        schema = onnx.defs.get_schema(op_type, version)
        types = {one.type_param_str: rng.choice(_known(one.allowed_type_strs)) for one in schema.type_constraints}
        inputs, first = [], rng.choice(SHAPES)
        for number in range(rng.randint(schema.min_input, min(schema.max_input, 4))):
            declared = schema.inputs[min(number, len(schema.inputs) - 1)].type_str
            kind = types.get(declared) or _known([declared])[0]
            shape = first if rng.random() < 0.6 else rng.choice([*SHAPES, (1,), (2,)])
            array = np.array(rng.choice(NUMBERS)) if rng.random() < 0.15 else values.integers(-2, 5, shape)
            with np.errstate(all="ignore"):
                array = np.broadcast_to(array, shape).astype(helper.tensor_dtype_to_np_dtype(kind))
            inputs.append(nodes[-1].output[0] if nodes and rng.random() < 0.3 else f"t{len(tensors)}")
            tensors.append(numpy_helper.from_array(array, f"t{len(tensors)}"))
        if rng.random() < 0.03 and inputs:
            inputs[rng.randrange(len(inputs))] = ""
        outputs = [f"{output}{place}" for output in "xyz"][: rng.randint(1, min(schema.max_output, 3))]
        made = helper.make_node(op_type, inputs, outputs)
        for name in sorted(ENCODER[op_type].attributes & {*schema.attributes}):
            if schema.attributes[name].required or rng.random() < 0.5:
                made.attribute.append(_odd_attribute(rng, name))
        nodes.append(made)
    outputs = [helper.make_empty_tensor_value_info(name) for one in nodes for name in one.output]
    graph = helper.make_graph(nodes, "odd", [], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    helper.set_model_props(model, {"modelpick.encoder_version": "1"})
    return seal(model.SerializeToString())


@cache
def _is_known(op_type: str, version: int) -> bool:
    return onnx.defs.has(op_type, version, "")


def _known(names: Iterable[str]) -> list[int]:
    """Return types of tensors that the gate lets through, of those that a schema names."""
    return sorted(_TYPES[name] for name in names if name in _TYPES) or [TensorProto.FLOAT]


def _odd_attribute(rng: Rng, name: str) -> onnx.AttributeProto:
    number = rng.choice([0, 1, -1, 0, 1, -1, 2, 7, 11, 100, -100, 2**31, 2**63 - 1, -(2**63)])
    of = {1: float(number), 3: b"tanh", 6: [float(number)], 7: rng.sample([0, 1, 2, -1, number], rng.randint(0, 4))}
    return helper.make_attribute(name, of.get(ATTRIBUTES[name].type, number), attr_type=ATTRIBUTES[name].type)


def run_odd(seed: int) -> Verdict:
    """Open and run a graph of `odd_graph`: onnxruntime may refuse it, and must not end the process."""
    from modelpick.runtime.artifact.onnx_reader import MalformedError, Model
    from modelpick.runtime.session import open_session

    try:
        session = open_session("odd", Model(odd_graph(seed)), None, None)
    except (ModelpickError, MalformedError) as error:
        return Verdict("refused", str(error))
    try:
        session.run(None, {})
    except Exception as error:  # what runs it makes an ArtifactError of it
        return Verdict("refused", str(error))
    return Verdict("run")


def judge(path: str, seed: int) -> Verdict:
    """Load a mutant and judge it."""
    data = Path(path).read_bytes()
    made = mutant(data, seed)
    is_encoder = "encoder" in Path(path).stem
    try:
        answers = _embedded(made) if is_encoder else _picked(made)
    except ModelpickError as error:
        is_line = one_line(str(error)) == str(error) and len(str(error)) < 6 * MOST_CHARACTERS
        return Verdict("refused", str(error)) if is_line else Verdict("foreign", f"not one line: {error}")
    except BaseException as error:
        return Verdict("foreign", repr(error))
    try:
        before, after = parsed(data), parsed(made)
    except Exception:  # what is skipped may hold anything
        return Verdict("otherwise")
    told, nodes, tables = _difference(before, after)
    same = told and nodes
    if is_encoder:
        if same and not tables and not np.array_equal(answers, _embedded(data)):
            return Verdict("wrong", "embeds otherwise than the original")
        return Verdict("as before" if same and not tables else "otherwise")
    if answers[0] != answers[1] and nodes and not tables:
        return Verdict("wrong", f"alone {answers[0]}, among others {answers[1]}")
    if same and not tables:
        return (
            Verdict("as before") if answers == _picked(data) else Verdict("wrong", "picks otherwise than the original")
        )
    if same and tables <= DECIDING:
        expected = reading(before, after)
        if expected is None:
            return Verdict("otherwise")
        wrong = [place for place, models in enumerate(expected) if {answers[0][place], answers[1][place]} - models]
        return Verdict("wrong", f"numpy: {expected}, picked {answers}") if wrong else Verdict("as numpy")
    return Verdict("otherwise")


def _difference(before: ModelProto, after: ModelProto) -> tuple[bool, bool, set[str]]:
    """Whether metadata that decide are the same, and nodes, and the names of tensors that are not."""
    told = [
        {entry.key: entry.value for entry in model.metadata_props if entry.key.removeprefix("modelpick.") not in TOLD}
        for model in (before, after)
    ]
    tensors = [{one.name: one.SerializeToString() for one in model.graph.initializer} for model in (before, after)]
    names = {name for name in tensors[0] | tensors[1] if tensors[0].get(name) != tensors[1].get(name)}
    graphs = [onnx.GraphProto.FromString(model.graph.SerializeToString()) for model in (before, after)]
    for graph in graphs:
        del graph.initializer[:]
    return told[0] == told[1], graphs[0] == graphs[1], names


@cache
def _queries(width: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(QUERIES, width))


def _picked(data: bytes) -> tuple[list[str], list[str]]:
    """Return the picks for queries alone and together, having asked everything else as well."""
    with Selector.load(data) as selector:
        if selector.n_features_in_ > 10_000:
            raise ModelpickError("too wide to try")
        queries = _queries(selector.n_features_in_)
        alone = [selector.select(query) for query in queries]
        together = selector.select_batch(queries)
        selector.explain(queries[0])
        selector.select_batch(queries, candidates=selector.model_names[-1:])
        if selector.metadata.distances:
            selector.drift(queries[0])
        assert {*alone, *together} <= {*selector.model_names}
        return alone, together


def _embedded(data: bytes) -> np.ndarray:
    from modelpick.runtime.text import Encoder

    encoder = Encoder.load(data)
    return encoder.embed(["", "a b c", "the quick brown fox " * 5])


def reading(before: ModelProto, after: ModelProto) -> list[set[str]] | None:
    """Read by numpy what tables of an artifact say of the queries: the models that are, or are as good as, the best.

    The nearest rows and clusters stay as before the edit. None where picks are read from none of `DECIDING`.
    """
    import json

    told = {entry.key.removeprefix("modelpick."): entry.value for entry in after.metadata_props}
    told = {key: json.loads(value) for key, value in told.items() if key not in TOLD}
    old, tables = (
        {one.name: numpy_helper.to_array(one) for one in model.graph.initializer} for model in (before, after)
    )
    names, queries = told["model_names"], _queries(told["n_features_in"])
    kind = told["algorithm"], told["semantics"]

    def nearest(vectors: np.ndarray, how: str = "euclidean") -> np.ndarray:
        given, rows = queries, vectors.astype(np.float64)
        if how != "euclidean":
            given, rows = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (given, rows))
        return ((given[:, None] - rows) ** 2).sum(axis=2).argsort(axis=1, kind="stable")

    if kind in (("knn", "native/1"), ("knn", "native/2"), ("knn", "trainer/1")):
        # Of format 1, weights stand in no entry.
        told = {"quality_weight": 0.9, "speed_weight": 0.1, "min_quality": 0.01, **told}
        least = told["min_quality"]
        quality = tables["row_quality"] if least is None else np.maximum(tables["row_quality"], least)
        weights = told["quality_weight"] * quality + told["speed_weight"] * tables["row_speed"]
        found = []
        for order in nearest(old["rows"], told["metric"]):
            members = [row for group in old["members"][order] for row in group if row < len(weights)][: told["k"]]
            models = tables["row_model"][members]
            sums = np.bincount(models, weights[members], len(names))
            found.append(np.where(np.isin(np.arange(len(names)), models), sums, -np.inf))
        scores = np.array(found)
    elif kind == ("kmeans", "native/2"):
        scores = tables["scores"][nearest(old["centroids"])[:, 0]]
    elif kind == ("hiershrink", "native/1"):
        fine, coarse = nearest(old["centroids"])[:, 0], nearest(old["coarse_centroids"])[:, 0]
        shrinkage = told["shrinkage"]
        with np.errstate(all="ignore"):
            means = tables["fine_sums"][fine] + shrinkage * tables["coarse_means"][coarse]
            scores = means / (tables["fine_counts"][fine] + shrinkage)
            greatest = tables["latencies"].max()
            scores = scores - told["cost_weight"] * tables["latencies"] / greatest if greatest > 0 else scores
    else:
        return None
    close = scores >= scores.max(axis=1, keepdims=True) - 1e-9 * np.maximum(
        np.abs(scores).max(axis=1, keepdims=True), 1
    )
    return [{names[model] for model in np.flatnonzero(row)} for row in close]


def judge_all(path: str | None, seeds: list[int], progress: str) -> list[Verdict]:
    """Judge mutants of a file, or odd graphs; the number of the one that is tried stands in a file."""
    found = []
    for place, seed in enumerate(seeds):
        Path(progress).write_text(str(place))
        found.append(judge(path, seed) if path else run_odd(seed))
    return found


def run(path: Path | None, first: int, count: int) -> Iterator[tuple[int, Verdict]]:
    """Try mutants of a file, or odd graphs, in processes of some each: seeds and what became of them."""
    seeds = list(range(first, first + count))
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as progress:
        while seeds:
            batch = seeds[:BATCH]
            outcome = attack(judge_all, path and str(path), batch, progress.name, seconds=120)
            if outcome.kind == "answered":
                yield from zip(batch, outcome.what, strict=True)
                seeds = seeds[len(batch) :]
                continue
            place = int(Path(progress.name).read_text() or 0)
            yield batch[place], Verdict(outcome.kind, str(outcome.what))
            seeds = [*batch[:place], *seeds[place + 1 :]]


FAILURES = {"foreign", "wrong", "died", "hung"}


def make_encoders(folder: Path) -> list[Path]:
    """Write small encoders: static vectors, a transformer, and one with 8-bit weights."""
    from modelpick.converter.encoders.make import Quantisation, make_encoder
    from support.folders import SMALL, transformer

    made = [folder / f"encoder-{name}.onnx" for name in ("static", "transformer", "int8")]
    make_encoder(SMALL, made[0])
    transformer(folder / "transformer")
    make_encoder(folder / "transformer", made[1])
    make_encoder(folder / "transformer", made[2], quantise=Quantisation.int8)
    return made


def main() -> int:
    """Try mutants, and print what became of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--mutants", type=int, default=20_000, help="of all files together")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [*sorted(DATA.glob("*/*.onnx")), *make_encoders(Path(folder))]
        total: Counter[str] = Counter()
        for place, path in enumerate(paths):
            count = given.mutants // len(paths) + (place < given.mutants % len(paths))
            kinds: Counter[str] = Counter()
            for seed, verdict in run(path, given.seed + place * count, count):
                kinds[verdict.kind] += 1
                if verdict.kind in FAILURES:
                    print(
                        f"  {path.parent.name}/{path.name} seed {seed}: {verdict.kind}: {verdict.what[:300]}",
                        flush=True,
                    )
            print(f"{path.parent.name}/{path.name}: {dict(kinds)}", flush=True)
            total += kinds
        odd: Counter[str] = Counter()
        for seed, verdict in run(None, given.seed, given.mutants // 4):
            odd[verdict.kind] += 1
            if verdict.kind in FAILURES:
                print(f"  odd graph {seed}: {verdict.kind}: {verdict.what[-300:]}", flush=True)
        print(f"odd graphs: {dict(odd)}\nall others: {dict(total)}")
    return int(bool(FAILURES & {*total, *odd}))


if __name__ == "__main__":
    sys.exit(main())
