"""Measures a text encoder: what its file loses, what distilling, many texts and its start take.

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
import onnx
import onnxruntime
from tokenizers import Tokenizer

from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.encoders.make import Quantisation, make_encoder
from modelpick.converter.training.records import read_records
from modelpick.runtime.artifact.encoder import read_encoder
from modelpick.runtime.text import Encoder

TURNS, STARTS = 7, 5
# Texts of a run and their tokens.
SHAPES = ((1, 256), (8, 64), (32, 16))
# Questions that the whole encoder embeds, and static vectors.
QUESTIONS, MANY = 2_000, 10_000
PRODUCTS = ("MatMul", "Gemm")
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


def timed(
    calls: dict[str, Callable[[], Any]], times: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time calls, which take turns, first the one and then the other: name -> milliseconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(times):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            start = clock()
            calls[name]()
            taken[name].append((clock() - start) * 1e3)
    return taken


def medians(calls: dict[str, Callable[[], Any]], times: int) -> Times:
    """Return name -> milliseconds at the median, see `timed`."""
    return {name: statistics.median(values) for name, values in timed(calls, times).items()}


def batches(encoder: Encoder, bare: Bare, texts: Sequence[str]) -> Times:
    """Time many texts of mixed lengths: filled to the longest of their run, and all filled to the longest input."""
    calls = {"by length": lambda: encoder.embed(texts), "all filled": lambda: bare.embed_filled(texts, 32)}
    found = medians(calls, TURNS)
    return {"texts": len(texts), **found, "ratio": found["all filled"] / found["by length"]}


def many(encoder: Encoder, static: Encoder, path: Path, texts: Sequence[str]) -> dict[str, float | None]:
    """Measure the processor's time for many questions of mixed lengths, compared with what no batch of them saves.

    ``floor`` is the time of their tokens where the texts of a run are of one length, in the fastest of `SHAPES`;
    ``products`` that of the products of their tokens with the graph's weights, at the speed of numpy's products.
    """
    tokens = [len(encoder.tokenizer.read(text)[0]) for text in texts]
    per_token = min(
        min(
            timed({"run": lambda ids=[[1] * length] * rows: encoder.embed_tokens(ids)}, TURNS, time.process_time)["run"]
        )
        / rows
        / length
        for rows, length in SHAPES
    )
    graph = onnx.load(path).graph
    factors = {name for node in graph.node if node.op_type in PRODUCTS for name in node.input}
    weights = sum(int(np.prod(one.dims)) for one in graph.initializer if one.name in factors and len(one.dims) > 1)
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=shape).astype(np.float32) for shape in ((512, 384), (384, 1536)))
    product = (
        min(timed({"run": lambda: left @ right}, 10 * TURNS, time.process_time)["run"]) / left.size / right.shape[1]
    )
    taken: list[float] = []
    many_texts = [text for text, _ in zip(cycle(texts), range(MANY), strict=False)]
    return {
        "texts": len(texts),
        "tokens": sum(tokens),
        "megabytes": grown(
            lambda: taken.extend(timed({"embed": lambda: encoder.embed(texts)}, 1, time.process_time)["embed"])
        ),
        "milliseconds": taken[0],
        "floor": per_token * sum(tokens),
        "products": product * weights * sum(tokens),
        f"megabytes of {MANY:,} by static vectors": grown(lambda: static.embed(many_texts)),
    }


def grown(call: Callable[[], Any]) -> float | None:
    """Return by how many MB a call raises what this process holds, at most; None where the system does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        call()
        return None
    reset.write_text("5")  # the highest so far is now what is held

    def highest() -> float:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1e3

    before = highest()
    call()
    return highest() - before


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


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    processors = {"processors": os.cpu_count(), "python": platform.python_version()}
    return processors | {name: version(name) for name in LIBRARIES}


def write(results: dict[str, Any], folder: Path | None, name: str) -> None:
    """Print results, and write them to a folder, if there is one."""
    text = json.dumps(results, indent=1)
    print(text)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the encoder")
    parser.add_argument("expected", type=Path, help="its recorded embeddings")
    parser.add_argument("--questions", type=Path, help="records, of whose questions many are embedded at once")
    parser.add_argument("--output", type=Path, help="folder for encoder.json")
    arguments = parser.parse_args()
    cases = json.loads(gzip.decompress(arguments.expected.read_bytes()))["cases"]
    texts = [case["text"] for case in cases]
    results: dict[str, Any] = {
        "machine": machine(),
        "encoder": arguments.folder.name,
        "texts": len(texts),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "int8", "static")}
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
        results["batches"] = batches(Encoder.load(files["float32"]), Bare(files["float32"]), texts)
        if arguments.questions is not None:
            questions = read_records(arguments.questions).queries
            drawn = np.random.default_rng(0).permutation(len(questions))[:QUESTIONS]
            whole, static = (Encoder.load(files[name]) for name in ("float32", "static"))
            results["many"] = many(whole, static, files["float32"], [questions[place] for place in drawn])
        results["starts"] = {name: starts(files[name]) for name in ("static", "float32", "int8")}
    write(results, arguments.output, "encoder.json")


if __name__ == "__main__":
    main()
