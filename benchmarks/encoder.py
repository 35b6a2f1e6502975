"""Measures a text encoder: what its file loses, what a pick for a prompt and its parts take, and its start.

It needs a folder of a real encoder and its recorded embeddings: FOLDER, laid out as Hugging Face does, and a JSON file,
gzipped, with ``cases`` of ``text`` and ``embedding``.
"""

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from tokenizers import Tokenizer

from modelpick.converter import convert
from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.encoders.make import Quantisation, make_encoder
from modelpick.runtime.artifact.encoder import read_encoder
from modelpick.runtime.text import Encoder, TextSelector

LENGTHS = (8, 24, 64, 256)
CALLS, TOKENS, TURNS, STARTS, ROWS = 60, 4_000, 7, 5, 200
# Prompts of each length, and how many words further each begins.
PROMPTS, STEP = 16, 11
QUANTILES = {"p50": 50, "p90": 90, "p99": 99}
LIBRARIES = ("modelpick", "numpy", "onnxruntime", "tokenizers")
Times = dict[str, float]


def losses(folder: Path, cases: Sequence[dict[str, Any]], target: Path, quantise: Quantisation | None) -> Times:
    """Compare a file's embeddings with the recorded ones, text by text and all at once."""
    make_encoder(folder, target, quantise=quantise)
    encoder = Encoder.load(target)
    texts, wanted = [case["text"] for case in cases], np.array([case["embedding"] for case in cases])
    found = {"one by one": np.array([encoder.embed([text])[0] for text in texts]), "in one batch": encoder.embed(texts)}
    measured: Times = {"megabytes": target.stat().st_size / 1e6}
    for how, embeddings in found.items():
        measured[f"difference, {how}"] = float(np.abs(embeddings - wanted).max())
        norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(wanted, axis=1)
        measured[f"cosine, {how}"] = float(((embeddings * wanted).sum(axis=1) / norms).min())
    return measured


class Bare:
    """The tokenizers library and a session of the same graph, with nothing around them."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        metadata, tokenizer, _ = read_encoder(str(path), data)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.tokenizer, self._longest = Tokenizer.from_str(tokenizer), metadata.longest
        self.tokenizer.enable_truncation(metadata.longest)
        self.tokenizer.no_padding()

    def embed(self, text: str) -> Any:
        """Embed one text."""
        encoding = self.tokenizer.encode(text)
        feeds = {"input_ids": np.array([encoding.ids]), "attention_mask": np.array([encoding.attention_mask])}
        return self._session.run(["embedding"], feeds)[0]

    def embed_filled(self, texts: Sequence[str], size: int) -> None:
        """Embed texts in batches of some size, each text filled to the longest input."""
        self.tokenizer.enable_padding(length=self._longest)
        for first in range(0, len(texts), size):
            encodings = self.tokenizer.encode_batch(texts[first : first + size])
            ids = np.array([encoding.ids for encoding in encodings])
            mask = np.array([encoding.attention_mask for encoding in encodings])
            self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
        self.tokenizer.no_padding()


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


def timed(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, list[float]]:
    """Time calls, which take turns, first the one and then the other: name -> milliseconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(times):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            calls[name]()
            taken[name].append((time.perf_counter() - start) * 1e3)
    return taken


def medians(calls: dict[str, Callable[[], Any]], times: int) -> Times:
    """Return name -> milliseconds at the median, see `timed`."""
    return {name: statistics.median(values) for name, values in timed(calls, times).items()}


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


def model2vec(path: Path, bare: Bare) -> dict[str, Callable[[str], Any]]:
    """Return model2vec's own encoding by the static vectors of a file, where it is installed."""
    try:
        from model2vec import StaticModel
    except ModuleNotFoundError:
        return {}
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    vectors = onnx.numpy_helper.to_array(tensors["vectors"])
    model = StaticModel(vectors, bare.tokenizer, normalize=True)
    return {"model2vec": lambda text: model.encode(text)}


def batches(encoder: Encoder, bare: Bare, texts: Sequence[str]) -> Times:
    """Time many texts of mixed lengths: filled to the longest of their run, and all filled to the longest input."""
    calls = {"by length": lambda: encoder.embed(texts), "all filled": lambda: bare.embed_filled(texts, 32)}
    found = medians(calls, TURNS)
    return {"texts": len(texts), **found, "ratio": found["all filled"] / found["by length"]}


def starts(path: Path) -> dict[str, Times]:
    """Measure imports and loading in fresh processes: milliseconds, and resident megabytes in the end."""
    session = "InferenceSession(sys.argv[1], o, providers=['CPUExecutionProvider'])"
    options = "o = onnxruntime.SessionOptions(); o.intra_op_num_threads = o.inter_op_num_threads = 1"
    codes = {
        "onnxruntime": "import onnxruntime",
        "modelpick.runtime.text": "import modelpick.runtime.text",
        "onnxruntime, session": f"import onnxruntime; {options}; s = onnxruntime.{session}",
        "modelpick.runtime.text, Encoder": "from modelpick.runtime.text import Encoder; e = Encoder.load(sys.argv[1])",
    }
    measured = {}
    for name, code in codes.items():
        lines = (
            "import os, sys, time",
            "start = time.perf_counter()",
            code,
            "taken = (time.perf_counter() - start) * 1e3",
            "pages = int(open('/proc/self/statm').read().split()[1])",
            "print(taken, pages * os.sysconf('SC_PAGE_SIZE') / 1e6)",
        )
        command = [sys.executable, "-c", "\n".join(lines), str(path)]
        runs = [[float(value) for value in subprocess.check_output(command).split()] for _ in range(STARTS)]
        taken, resident = (statistics.median(values) for values in zip(*runs, strict=True))
        measured[name] = {"milliseconds": taken, "resident": resident}
    return measured


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the encoder")
    parser.add_argument("expected", type=Path, help="its recorded embeddings")
    parser.add_argument("--output", type=Path, help="folder for encoder.json")
    arguments = parser.parse_args()
    cases = json.loads(gzip.decompress(arguments.expected.read_bytes()))["cases"]
    texts = [case["text"] for case in cases]
    results: dict[str, Any] = {
        "machine": {"processors": os.cpu_count(), "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
        "encoder": arguments.folder.name,
        "texts": len(texts),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "int8", "static", "selector")}
        results["losses"] = {
            "float32": losses(arguments.folder, cases, files["float32"], None),
            "int8": losses(arguments.folder, cases, files["int8"], Quantisation.int8),
        }
        start = time.perf_counter()
        make_encoder(arguments.folder, files["static"], distil=Distillation())
        results["distilled"] = {
            "seconds": time.perf_counter() - start,
            "megabytes": files["static"].stat().st_size / 1e6,
        }
        words = " ".join(texts).split()
        results["prompts"] = {}
        for name in ("static", "int8", "float32"):
            encoder, bare = Encoder.load(files[name]), Bare(files[name])
            knn(encoder, texts, files["selector"])
            peers = {"tokenizer": bare.tokenizer.encode, "tokenizer and session": bare.embed}
            peers |= model2vec(files[name], bare) if name == "static" else {}
            results["prompts"][name] = prompts(TextSelector.load(files["selector"], encoder), peers, words)
        results["batches"] = batches(Encoder.load(files["float32"]), Bare(files["float32"]), texts)
        results["starts"] = {name: starts(files[name]) for name in ("static", "float32", "int8")}
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "encoder.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
