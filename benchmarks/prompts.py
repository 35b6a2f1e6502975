"""Measures what a pick for a prompt takes, from the text to the name, beside tokenizing alone and other libraries.

It needs FOLDER, an encoder as Hugging Face lays it out, and a JSON file, gzipped, with ``cases`` of ``text``. Other
libraries are measured where they are installed: model2vec, fastembed, sentence-transformers.
"""

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from encoder import Bare, Times, machine, medians, timed, write

from modelpick.converter import convert
from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.encoders.make import Quantisation, make_encoder
from modelpick.runtime.text import Encoder, TextSelector

LENGTHS = (8, 24, 64, 256)
CALLS, TOKENS, ROWS, LANDMARKS = 60, 4_000, 200, 1_000
# Prompts of each length, and how many words further each begins.
PROMPTS, STEP = 16, 11
QUANTILES = {"p50": 50, "p90": 90, "p99": 99}
# Characters of a prompt that is far too long, and how often it is picked for.
LONG, LONG_CALLS = 400_000, 9
# Tokens of the prompts whose parts are timed.
USUAL = 24
# Name of the encoder -> how it is made.
ENCODERS: dict[str, dict[str, Any]] = {
    "static": {"distil": Distillation()},
    "int8": {"quantise": Quantisation.int8},
    "float32": {},
}


def knn(encoder: Encoder, texts: Sequence[str], target: Path) -> None:
    """Write an artifact of a KNN selector with `ROWS` rows, of these texts over and over."""
    rng = np.random.default_rng(0)
    embeddings: npt.NDArray[np.float64] = np.resize(encoder.embed(texts), (ROWS, encoder.embedding_dim))
    model = {
        "algorithm": "knn",
        "trained": True,
        "k": 5,
        "embeddings": (embeddings + rng.normal(0, 0.01, embeddings.shape)).tolist(),
        "labels": [f"model-{number % 8}" for number in range(ROWS)],
        "encoder": encoder.identity._asdict(),
    }
    convert(json.dumps(model).encode(), target, samples=0)


def kernel_ridge(encoder: Encoder, texts: Sequence[str], target: Path) -> None:
    """Write an artifact of kernel ridge with `LANDMARKS` support vectors, which predicts outcomes of eight models."""
    rng = np.random.default_rng(0)
    embeddings: npt.NDArray[np.float64] = np.resize(encoder.embed(texts), (LANDMARKS, encoder.embedding_dim))
    model = {
        "algorithm": "kernel_ridge",
        "trained": True,
        "gamma": 1.0,
        "model_names": [f"model-{number}" for number in range(8)],
        "support_vectors": (embeddings + rng.normal(0, 0.01, embeddings.shape)).tolist(),
        "outcomes": {
            name: {"dual_coef": rng.normal(0, 0.01, (LANDMARKS, 8)).tolist(), "intercept": rng.random(8).tolist()}
            for name in ("quality", "cost", "seconds")
        },
        "encoder": encoder.identity._asdict(),
    }
    convert(json.dumps(model).encode(), target, samples=0)


SELECTORS = {f"KNN, {ROWS} rows": knn, f"kernel ridge, {LANDMARKS:,} landmarks": kernel_ridge}


def quantiles(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, Times]:
    """Time calls as `medians` does: name -> milliseconds at some quantiles."""
    return {
        name: {quantile: float(np.percentile(values, percent)) for quantile, percent in QUANTILES.items()}
        for name, values in timed(calls, times).items()
    }


def prompts(
    selector: TextSelector, peers: dict[str, Callable[[str], Any]], words: Sequence[str]
) -> dict[str, dict[str, Times]]:
    """Time a pick for prompts of some lengths, in tokens, and its parts alone, and others that do the same."""
    measured = {}
    for length in LENGTHS:
        texts = [_prompt(selector.encoder, words[start:], length) for start in range(0, STEP * PROMPTS, STEP)]

        def each(call: Callable[[str], Any], texts: list[str] = texts) -> Callable[[], Any]:
            turns = cycle(texts)
            return lambda: call(next(turns))

        calls = {name: each(call) for name, call in {"prompt to name": selector.select, **peers}.items()}
        quantiles(calls, PROMPTS)
        measured[str(length)] = quantiles(calls, max(CALLS, TOKENS // length))
    return measured


def _prompt(encoder: Encoder, words: Sequence[str], length: int) -> str:
    """Return the fewest words that have this number of tokens."""
    counts = (n for n in range(1, length + 1) if encoder.tokens(" ".join(words[:n])).count >= length)
    return " ".join(words[: next(counts)])


def model2vec(path: Path, folder: Path, bare: Bare) -> Callable[[str], Any]:
    """Return model2vec's own encoding by the static vectors of a file."""
    from model2vec import StaticModel

    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    return StaticModel(onnx.numpy_helper.to_array(tensors["vectors"]), bare.tokenizer, normalize=True).encode


def fastembed(path: Path, folder: Path, bare: Bare) -> Callable[[str], Any]:
    """Return fastembed's encoding by the folder's graph, laid out as fastembed expects it."""
    from fastembed import TextEmbedding

    flat = path.with_name("fastembed")
    flat.mkdir()
    for file in (*folder.glob("*.json"), *folder.rglob("model.onnx")):
        (flat / file.name).symlink_to(file.absolute())
    model = TextEmbedding(f"sentence-transformers/{PUBLISHED}", specific_model_path=str(flat), threads=1)
    return lambda text: next(iter(model.embed(text)))


def sentence_transformers(path: Path, folder: Path, bare: Bare) -> Callable[[str], Any]:
    """Return sentence-transformers' encoding by the folder's graph."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), backend="onnx", device="cpu").encode


# The name by which fastembed knows the encoder of the folder.
PUBLISHED = "all-MiniLM-L6-v2"
# Encoder -> libraries that embed by the same vectors or weights, where they are installed.
OTHERS = {
    "static": {"model2vec": model2vec},
    "float32": {"fastembed": fastembed, "sentence-transformers": sentence_transformers},
}


def others(name: str, path: Path, folder: Path, bare: Bare, absent: dict[str, str]) -> dict[str, Callable[[str], Any]]:
    """Return the encodings of other libraries; those that are not installed are told."""
    found = {}
    for library, make in OTHERS.get(name, {}).items():
        try:
            found[library] = make(path, folder, bare)
        except ImportError as cause:
            absent[library] = f"not installed: {cause}"
    return found


def parts(selector: TextSelector, words: Sequence[str]) -> Times:
    """Time the parts of picks one after the other, each with the last one's answer: microseconds at the median."""
    encoder = selector.encoder
    texts = [_prompt(encoder, words[start:], USUAL) for start in range(0, STEP * PROMPTS, STEP)]
    steps: dict[str, Callable[[Any], Any]] = {
        "tokens": lambda text: encoder.tokenizer.read(text)[0],
        "vectors": lambda ids: encoder.embed_tokens([ids])[0],
        "pick": selector.selector.select,
    }
    taken: dict[str, list[float]] = {name: [] for name in (*steps, "select")}
    for text, _ in zip(cycle(texts), range(TOKENS), strict=False):
        value: Any = text
        for name, step in steps.items():
            start = time.perf_counter()
            value = step(value)
            taken[name].append((time.perf_counter() - start) * 1e6)
    for text, _ in zip(cycle(texts), range(TOKENS), strict=False):
        start = time.perf_counter()
        selector.select(text)
        taken["select"].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


def long_prompt(selector: TextSelector, words: Sequence[str]) -> float:
    """Time a pick for a prompt of `LONG` characters: milliseconds at the median."""
    text = (" ".join(words) * (LONG // 1_000))[:LONG]
    return medians({"select": lambda: selector.select(text)}, LONG_CALLS)["select"]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the encoder")
    parser.add_argument("cases", type=Path, help="texts")
    parser.add_argument("--output", type=Path, help="folder for prompts.json")
    arguments = parser.parse_args()
    texts = [case["text"] for case in json.loads(gzip.decompress(arguments.cases.read_bytes()))["cases"]]
    words = " ".join(texts).split()
    results: dict[str, Any] = {"machine": machine(), "encoder": arguments.folder.name}
    results |= {"prompts": {}, "parts": {}, "long": {}, "absent": {}}
    for name, how in ENCODERS.items():
        with tempfile.TemporaryDirectory() as made:
            file, target = Path(made) / "encoder.onnx", Path(made) / "selector.onnx"
            make_encoder(arguments.folder, file, **how)
            encoder, bare = Encoder.load(file), Bare(file)
            peers = {"tokenizer": bare.tokenizer.encode, "tokenizer and session": bare.embed}
            peers |= others(name, file, arguments.folder, bare, results["absent"])
            for selected, write_selector in list(SELECTORS.items())[: None if name == "static" else 1]:
                write_selector(encoder, texts, target)
                selector, label = TextSelector.load(target, encoder), f"{name}, {selected}"
                results["prompts"][label] = prompts(selector, peers, words)
                results["parts"][label] = parts(selector, words)
                results["long"][label] = long_prompt(selector, words)
    write(results, arguments.output, "prompts.json")


if __name__ == "__main__":
    main()
