"""Attacks on what reads files and requests: each in a process of its own, with limits of time and memory.

A process is forked from a server that has imported modelpick already, which takes some milliseconds.
"""

import multiprocessing
import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from modelpick.runtime.artifact.seal import SEAL_LENGTH, seal

_CONVERTER = [f"modelpick.converter.{name}" for name in ("conversion", "training.train", "artifact.restore")]
SECONDS, MEMORY = 20, 4 * 2**30
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["support.attacks", "support.command", "modelpick.runtime.text", *_CONVERTER])


class Outcome(NamedTuple):
    """How an attack ended."""

    kind: str
    """``answered``; ``refused``: by a `ModelpickError`; ``foreign``: by another error; ``died``; or ``hung``."""
    what: Any
    """The answer, the error's words, the traceback, or the signal."""
    output: str
    """What was written to standard output and error."""
    seconds: float


def attack(case: Callable[..., Any] | str, *args: Any, seconds: float = SECONDS, memory: int = MEMORY) -> Outcome:
    """Run a case in a process of its own: a function of a module of the tests, or the text of one.

    A text is the body of a function of ``args``. What it returns must be picklable.
    """
    ours, theirs = _SERVER.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile(prefix="attack-") as output:
        process = _SERVER.Process(target=_run, args=(case, args, seconds, memory, output.name, theirs))
        start = time.monotonic()
        process.start()
        theirs.close()
        hangs = not ours.poll(30 * seconds)  # of a machine that does much else
        try:
            kind, what = ("hung", seconds) if hangs else ours.recv()
        except EOFError:
            kind, what = "died", None
        if hangs:
            process.kill()
        process.join()
        if kind == "died":
            what = signal.Signals(-process.exitcode).name if process.exitcode < 0 else process.exitcode
            kind = "hung" if what == "SIGXCPU" else "died"
        return Outcome(kind, what, Path(output.name).read_text(errors="replace"), time.monotonic() - start)


def _run(case, args, seconds, memory, output, answer):
    descriptor = os.open(output, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from modelpick.runtime import ModelpickError

    try:
        if isinstance(case, str):
            names = {}
            exec("def case(*args):\n" + "".join(f"    {line}\n" for line in case.splitlines()), names)
            case = names["case"]
        result = ("answered", case(*args))
    except ModelpickError as error:
        result = ("refused", str(error))
    except BaseException:
        result = ("foreign", traceback.format_exc())
    answer.send(result)
    answer.close()
    os._exit(0)


def varint(number: int) -> bytes:
    """Write a base-128 number."""
    digits = [number >> shift & 0x7F | 0x80 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*digits[:-1], digits[-1] & 0x7F])


def field(number: int, value: int | bytes, high: int = 0) -> bytes:
    """Write a field of a protocol buffer: a number, or bytes; with bits above the 32 of a key if asked."""
    if isinstance(value, int):
        return varint(number << 3 | high) + varint(value)
    return varint(number << 3 | 2 | high) + varint(len(value)) + value


def parsed(artifact: bytes) -> onnx.ModelProto:
    """Parse an artifact without its seal."""
    return onnx.load_model_from_string(artifact[:-SEAL_LENGTH])


def resealed(model: onnx.ModelProto | bytes) -> bytes:
    """Seal a model, or its bytes, as modelpick does."""
    return seal(model if isinstance(model, bytes) else model.SerializeToString())


def entries(model: onnx.ModelProto, **changes: str | None) -> onnx.ModelProto:
    """Change metadata of a model, without ``modelpick.``; None leaves one out."""
    kept = {entry.key: entry.value for entry in model.metadata_props}
    kept |= {f"modelpick.{key}": value for key, value in changes.items()}
    onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
    return model


def load_and_pick(data: bytes) -> list[str]:
    """Load an artifact, and ask it all that a service asks."""
    import numpy as np

    from modelpick.runtime import Selector

    with Selector.load(data) as selector:
        queries = np.random.default_rng(0).normal(size=(7, selector.n_features_in_))
        picked = selector.select_batch(queries)
        alone = [selector.select(query) for query in queries]
        assert picked == alone, (picked, alone)
        selector.explain(queries[0])
        selector.select(queries[0], candidates=selector.model_names[:1])
        if selector.metadata.distances:
            selector.drift(queries[0])
        return picked
