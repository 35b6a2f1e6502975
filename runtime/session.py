"""A session of onnxruntime for the bytes of an artifact."""

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime

from .errors import ArtifactError

# Runs the session: names of outputs, and feeds, to arrays.
Run = Callable[[Sequence[str], dict[str, Any]], list[Any]]
Providers = Sequence[str | tuple[str, dict[str, Any]]]


def open_session(
    name: str, data: bytes, providers: Providers | None, sess_options: onnxruntime.SessionOptions | None
) -> onnxruntime.InferenceSession:
    """Open a session; see `modelpick.runtime.Selector.load` for the parameters.

    Raises
    ------
    ArtifactError
        When onnxruntime cannot run the artifact, or an execution provider is missing.
    """
    if sess_options is None:
        sess_options = onnxruntime.SessionOptions()
        sess_options.intra_op_num_threads = sess_options.inter_op_num_threads = 1
        sess_options.log_severity_level = 4
    asked = list(providers or ["CPUExecutionProvider"])
    try:
        session = onnxruntime.InferenceSession(data, sess_options, providers=asked, enable_fallback=0)
        session.disable_fallback()  # older onnxruntime ignores enable_fallback
    except Exception as cause:  # onnxruntime's errors have no common base
        raise cannot_run(name, cause) from None
    missing = {entry if isinstance(entry, str) else entry[0] for entry in asked} - set(session.get_providers())
    if missing:
        raise ArtifactError(f"{name}: cannot be run: no execution provider {', '.join(sorted(missing))}")
    return session


def cannot_run(name: str, cause: Exception) -> ArtifactError:
    """Return the error for an artifact that onnxruntime fails on."""
    return ArtifactError(f"{name}: cannot be run: {str(cause).splitlines()[0]}")
