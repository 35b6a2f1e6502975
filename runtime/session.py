"""Sessions of onnxruntime for the bytes of an artifact."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from .artifact.onnx_reader import Model
from .artifact.pruning import pruned
from .errors import ArtifactError
from .events import logger
from .schema import Input

# Runs the session: names of outputs, and feeds, to arrays.
Run = Callable[[Sequence[str], dict[str, Any]], list[Any]]
Providers = Sequence[str | tuple[str, dict[str, Any]]]
CPU = "CPUExecutionProvider"
# Execution providers that are known to compute as IEEE 754 requires, on which all proofs rest, and the options that
# they need for it. Other providers may round products to fewer digits, or float64 to float32.
EXACT: Mapping[str, Mapping[str, str]] = {CPU: {}, "CUDAExecutionProvider": {"use_tf32": "0"}}
# Session options that must be off for exact results.
INEXACT = ("mlas.enable_gemm_fastmath_arm64_bfloat16", "session.set_denormal_as_zero")
_OFF = {"0", "false"}


class Subgraph(NamedTuple):
    """A subgraph of an artifact that has a session of its own."""

    outputs: tuple[str, ...] = ()
    """Its outputs, all by default; what only others need is not loaded. An artifact without them does not have it."""
    needs: str | None = None
    """Initializer without which an artifact does not have it."""
    enables: str | None = None
    """Optional input that is true in it."""
    single_without: str | None = None
    """Initializer without which it takes queries in float32, to which the graph converts them in any case."""
    unpacked_with: str | None = None
    """Initializer with which onnxruntime packs none of its tensors for fast products, which takes memory."""

    def is_in(self, tables: Collection[str]) -> bool:
        """Whether an artifact with these initializers has it."""
        return self.needs is None or self.needs in tables

    def is_single(self, tables: Collection[str]) -> bool:
        """Whether an artifact with these initializers has it, and it takes queries in float32."""
        return self.is_in(tables) and self.single_without is not None and self.single_without not in tables

    def is_packed(self, tables: Collection[str]) -> bool:
        """Whether onnxruntime may pack its tensors there."""
        return self.unpacked_with is None or self.unpacked_with not in tables


WHOLE = Subgraph()


def open_subgraphs(
    name: str,
    model: Model,
    providers: Providers | None,
    sess_options: onnxruntime.SessionOptions | None,
    subgraphs: Sequence[Subgraph],
    tables: Collection[str],
) -> Run:
    """Open a session for each subgraph, and return what runs the one whose outputs are asked for, or the first.

    Subgraphs that the artifact does not have are left out. Where one takes queries in float32, all take
    them. See `open_session`.
    """
    outputs = {entry.name for entry in model.graph.output}
    present = [subgraph for subgraph in subgraphs if subgraph.is_in(tables) and outputs.issuperset(subgraph.outputs)]
    runs = {one.outputs: runner(open_session(name, model, providers, sess_options, one, tables)) for one in present}
    first = runs[present[0].outputs]
    if len(runs) == 1:
        return first
    single = {subgraph.outputs for subgraph in present if subgraph.is_single(tables)}

    def run_subgraph(outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        return runs.get(tuple(outputs), first)(outputs, feeds)

    def run_single(outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        if outputs not in single and feeds[Input.FEATURES].dtype != np.float64:
            feeds = {**feeds, Input.FEATURES: feeds[Input.FEATURES].astype(np.float64)}
        return run_subgraph(outputs, feeds)

    return run_single if single else run_subgraph


def open_session(
    name: str,
    model: Model,
    providers: Providers | None,
    sess_options: onnxruntime.SessionOptions | None,
    subgraph: Subgraph = WHOLE,
    tables: Collection[str] = (),
) -> onnxruntime.InferenceSession:
    """Open a session for a subgraph of a model with these initializers, all of its graph by default.

    A `Model` was checked when it was made, and onnxruntime gets a newly written copy of it.

    See `modelpick.runtime.Selector.load` for the other parameters. Where execution providers and options are not known
    to be exact, the session is opened on the CPU. Unless the caller gives options, which may serve many sessions, large
    tensors are read where the bytes hold them.

    Raises
    ------
    ArtifactError
        When onnxruntime cannot run the artifact, or an execution provider is missing.
    """
    if isinstance(providers, str):
        raise ArtifactError(f"{name}: providers: expected a list of names, got one name: [{providers!r}]")
    given = dict((entry, {}) if isinstance(entry, str) else entry for entry in providers or [CPU])
    given = {provider: {**EXACT.get(provider, {}), **options} for provider, options in given.items()}
    _refuse_missing(name, given, onnxruntime.get_available_providers())
    inexact = [provider for provider, options in given.items() if not _is_exact(provider, options)]
    switched_on = [option for option in INEXACT if sess_options is not None and _is_on(sess_options, option)]
    if inexact or switched_on:
        logger.warning("%s: runs on the CPU: %s may be inexact", name, ", ".join(inexact + switched_on))
        given = {CPU: {}}
    try:
        split = sess_options is None or bool(switched_on)
        cut, tensors = pruned(model, subgraph.outputs, split, subgraph.enables, subgraph.is_single(tables))
        values = []
        if sess_options is None or switched_on:
            sess_options = onnxruntime.SessionOptions()
            sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
            sess_options.log_severity_level = 4
            if not subgraph.is_packed(tables):
                sess_options.add_session_config_entry("session.disable_prepacking", "1")
            # The session reads these bytes in place. The first option locates them, the second prevents a copy.
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
            sess_options.add_external_initializers(list(tensors), values)
            for tensor, value in zip(tensors, values, strict=True):
                sess_options.add_initializer(tensor, value)
        session = onnxruntime.InferenceSession(cut, sess_options, providers=list(given.items()), enable_fallback=0)
        session.disable_fallback()  # older onnxruntime ignores enable_fallback
        # The session holds no reference to the bytes that it reads in place: calls in flight would read freed memory.
        session.tensors_in_place = values
    except Exception as cause:  # onnxruntime's errors have no common base
        raise cannot_run(name, cause) from None
    _refuse_missing(name, given, session.get_providers())
    return session


def runner(session: onnxruntime.InferenceSession) -> Run:
    """Return what runs a session in less time than ``session.run``: by 1.1 of 5.2 microseconds for a small graph.

    Run options, which onnxruntime only reads, are made once instead of for each run. The names of inputs, which
    ``session.run`` checks each time, are known to be right.
    """
    run, options = getattr(session, "_sess", session).run, onnxruntime.RunOptions()

    def run_session(outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        answers: list[Any] = run(outputs, feeds, options)
        return answers

    # The bytes that the session reads in place must live as long as a call, see `open_session`.
    run_session.__dict__["session"] = session
    return run_session


def _refuse_missing(name: str, given: Iterable[str], present: Iterable[str]) -> None:
    if missing := set(given) - set(present):
        raise ArtifactError(f"{name}: cannot be run: no execution provider {', '.join(sorted(missing))}")


def _is_exact(provider: str, options: Mapping[str, Any]) -> bool:
    return provider in EXACT and all(str(options[option]).lower() in _OFF for option in EXACT[provider])


def _is_on(options: onnxruntime.SessionOptions, name: str) -> bool:
    try:
        return options.get_session_config_entry(name).lower() not in _OFF
    except RuntimeError:  # not set
        return False


def cannot_run(name: str, cause: Exception) -> ArtifactError:
    """Return the error for an artifact on which onnxruntime fails."""
    if isinstance(cause, ArtifactError) and str(cause).startswith(f"{name}: "):
        return cause
    lines = str(cause).splitlines() or [type(cause).__name__]
    return ArtifactError(f"{name}: cannot be run: {lines[0]:.300}")
