"""The whole way of an encoder: from a folder to a graph, to sealed bytes, to a verified file."""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from modelpick.runtime import ArtifactError, DocumentError
from modelpick.runtime.artifact.seal import seal
from modelpick.runtime.schema import ENCODER_VERSION, PREFIX, EncoderEntry, Entry
from modelpick.runtime.session import CPU
from modelpick.runtime.text import Encoder

from ..files.io import write_atomically
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import WANTED
from ..training.encoding import STEP
from . import static, transformer
from .distil import Distillation, distilled
from .folder import INT8, QUANTISED, Source, Usage, tokenizer_of
from .pooling import POOLINGS
from .quantise import weights_type
from .verify import EncoderError, EncoderReport, Loss, compare, similarity

# A protocol buffer is smaller than 2 GiB, of which the tokenizer and the graph itself take a part.
MOST_BYTES = 2**31 - 2**26
# Most questions whose similarities are correlated.
MOST_JUDGED = 1_000
Done = Callable[[int, int], None]
_TOOLS = ("modelpick", "onnx", "onnxruntime", "tokenizers")
# The readers of folders; the first one that recognises a folder reads it.
FAMILIES: Mapping[str, Callable[[Path, str | None], Source | None]] = {
    "static": static.read,
    "transformer": transformer.read,
}


Quantisation = StrEnum("Quantisation", {name: name for name in QUANTISED})  # type: ignore[misc]
Pooling = StrEnum("Pooling", {name: name for name in POOLINGS})  # type: ignore[misc]


def make_encoder(
    folder: str | Path,
    target: str | Path,
    *,
    quantise: Quantisation | None = None,
    max_tokens: int | None = None,
    name: str | None = None,
    pooling: Pooling | None = None,
    distil: Distillation | None = None,
    done: Done = lambda done, total: None,
) -> EncoderReport:
    """Convert an encoder's folder to one verified file, which is written atomically.

    Parameters
    ----------
    folder
        A folder in Hugging Face's layout: ``tokenizer.json``, and ``onnx/model.onnx``, ``model.onnx`` or static
        vectors.
    target
        Path of the file; replaced if it exists, untouched on any error.
    quantise
        Store weights in 8 bits, or static vectors in float16. The report says how much embeddings differ.
    max_tokens
        Tokens after which texts are cut, if the folder's longest input is longer.
    name
        Name for messages; the folder's by default.
    pooling
        How the vectors of tokens are pooled, where the folder does not say.
    distil
        Make static vectors from a transformer, see `modelpick.converter.encoders.distil`.
    done
        Called in distilling with the number of embedded tokens and of all tokens.

    Raises
    ------
    DocumentError
        When the folder is refused, or one file cannot hold its weights.
    EncoderError
        When the file's embeddings differ from the folder's.
    ModelpickError
        When the target cannot be written, or a library is not installed.
    """
    folder, start = Path(folder), time.perf_counter()
    source, name = _read(folder, max_tokens, pooling), name or folder.resolve().name
    if distil is not None and EncoderEntry.STATIC in source.entries:
        raise DocumentError(f"{folder}: expected a transformer to distil, got static vectors")
    if distil is not None:
        whole = Encoder.load(_made(folder, source, name, None, str(target))[1])
        source = distilled(source, whole, distil, done)
    report, data = _made(folder, source, name, quantise, str(target))
    report.seconds = time.perf_counter() - start
    write_atomically(Path(target), data)
    return report


def measure_loss(
    folder: str | Path,
    made: str | Path,
    records: Benchmark,
    *,
    max_tokens: int | None = None,
    pooling: Pooling | None = None,
    done: Done = lambda done, total: None,
) -> Loss:
    """Measure what distilling or quantising lost: similarities, and picks.

    Parameters
    ----------
    folder, max_tokens, pooling
        See `make_encoder`.
    made
        The file that was made of the folder.
    records
        Records: similarities of their first `MOST_JUDGED` questions are compared, and the worth of picks by either
        encoder.
    done
        Called with the number of embedded questions and of all questions, by both encoders.

    Raises
    ------
    DocumentError, ArtifactError, ModelpickError
        When the folder, or the file, is refused.
    """
    folder, made = Path(folder), Path(made)
    files = {str(folder): _made(folder, _read(folder, max_tokens, pooling), folder.name, None, str(made))[1]}
    files[str(made)] = made.read_bytes()
    queries, encoders = records.queries, [Encoder.load(data) for data in files.values()]
    embeddings = [np.empty((len(queries), encoder.embedding_dim), np.float32) for encoder in encoders]
    for number, (encoder, matrix) in enumerate(zip(encoders, embeddings, strict=True)):
        for first in range(0, len(queries), STEP):
            matrix[first : first + STEP] = encoder.embed(queries[first : first + STEP])
            done(number * len(queries) + min(first + STEP, len(queries)), len(encoders) * len(queries))
    worth = []
    if len(records.model_names) > 1 and len(queries) >= WANTED:
        from .compare import Candidate, compare_encoders  # scikit-learn takes a second to import

        parts = zip(files.items(), encoders, embeddings, strict=True)
        worth = compare_encoders(
            [
                Candidate(file, one, records._replace(embeddings=matrix.astype(np.float64)), len(data) / 1e6)
                for (file, data), one, matrix in parts
            ]
        )
    judged = [matrix[:MOST_JUDGED] for matrix in embeddings]
    return Loss(len(judged[0]), similarity(*judged), worth)


def _made(
    folder: Path, source: Source, name: str, quantise: Quantisation | None, target: str
) -> tuple[EncoderReport, bytes]:
    """Make the bytes of an encoder's file, and verify them."""
    _check_size(folder, source.weights_bytes, quantise)
    own = source.embed()
    width = len(own([source.usage.facts.greatest_id, source.usage.pad_id]))
    data = _sealed(source.graph(quantise), source, name, width, quantise)
    try:
        encoders = [Encoder.load(data)]
        if encoders[0].metadata.is_static:
            encoders.append(Encoder.load(data, providers=[CPU]))  # others run the graph
    except ArtifactError as cause:
        raise DocumentError(f"{folder}: expected an encoder that can be run: {cause}") from None
    report = compare(encoders, own, source, folder, target)
    if quantise is not None:
        report.tolerance = None
    if not report.passed:
        raise EncoderError(report)
    return report, data


def _read(folder: Path, max_tokens: int | None, pooling: Pooling | None) -> Source:
    if not folder.is_dir():
        is_on_hub = not folder.exists() and len(folder.parts) == 2
        advice = ": a model of the Hugging Face hub is downloaded first, by `hf download`" if is_on_hub else ""
        raise DocumentError(f"{folder}: expected a folder{advice}")
    for read in FAMILIES.values():
        source = read(folder, pooling)
        if source is not None:
            return source._replace(usage=_limited(folder, source.usage, max_tokens))
    expected = f"{' or '.join(transformer.GRAPHS)}, or {static.WEIGHTS} of static vectors"
    raise DocumentError(f"{folder}: expected an encoder with {expected}")


def _limited(folder: Path, usage: Usage, max_tokens: int | None) -> Usage:
    """Return the usage with the shorter of the folder's and the given longest input, which must have room for text."""
    longest = min(filter(None, (usage.longest, max_tokens)), default=None)
    with tokenizer_of(folder, usage) as tokenizer:
        added = tokenizer.num_special_tokens_to_add(False) if usage.special_tokens else 0
    if longest is not None and longest <= added:
        source = "--max-tokens" if longest == max_tokens else "a longest input"
        raise DocumentError(f"{folder}: expected {source} above {added}, the tokens that are added, got {longest}")
    return usage._replace(longest=longest)


def _check_size(folder: Path, size: int, quantise: Quantisation | None) -> None:
    """Refuse too large weights before they are read, and say what would fit."""
    smaller = size // QUANTISED[INT8]
    if size // (QUANTISED[quantise] if quantise else 1) <= MOST_BYTES:
        return
    fits = quantise != INT8 and smaller <= MOST_BYTES
    advice = f"--quantise int8 makes about {smaller / 1e9:.2f} GB of it" if fits else "8 bits are too many too"
    raise DocumentError(
        f"{folder}: expected weights of {MOST_BYTES / 1e9:.2f} GB at most, got {size / 1e9:.2f} GB: {advice}"
    )


def _sealed(model: ModelProto, source: Source, name: str, width: int, quantise: Quantisation | None) -> bytes:
    """Write the metadata, and seal the file."""
    usage = source.usage
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "modelpick", "", ""
    depends: dict[str, Any] = {
        EncoderEntry.EMBEDDING_DIM: width,
        EncoderEntry.LONGEST: usage.longest,
        EncoderEntry.POOLING: usage.pooling,
        EncoderEntry.NORMALISED: usage.normalised,
        EncoderEntry.WEIGHTS: quantise or weights_type(model),
        EncoderEntry.SPECIAL_TOKENS: usage.special_tokens,
        EncoderEntry.PAD_ID: usage.pad_id,
        **source.entries,
    }
    # Left out where empty, so that the digest equals that of files without these entries.
    if usage.prompt:
        depends[EncoderEntry.PROMPT] = usage.prompt
    if usage.characters is not None:
        depends[EncoderEntry.CHARACTERS] = usage.characters
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    digest.update(json.dumps(depends, sort_keys=True).encode())
    digest.update(usage.tokenizer.encode())
    metadata = {
        EncoderEntry.VERSION: ENCODER_VERSION,
        EncoderEntry.NAME: name,
        EncoderEntry.DIGEST: digest.hexdigest(),
        **depends,
        Entry.TOOLS: {tool: version(tool) for tool in _TOOLS},
    }
    texts = {PREFIX + key: json.dumps(value) for key, value in metadata.items()}
    # Half a megabyte to twenty of JSON: compressed, a quarter. Metadata are UTF-8, so bytes need base64.
    texts[PREFIX + EncoderEntry.TOKENIZER] = base64.b64encode(zlib.compress(usage.tokenizer.encode(), 9)).decode()
    helper.set_model_props(model, texts)
    return seal(model.SerializeToString(deterministic=True))
