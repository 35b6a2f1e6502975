"""Sessions run only where float32 is known to be exact."""

import logging

import numpy as np
import onnxruntime
import pytest

from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.artifact.onnx_reader import Model
from modelpick.runtime.session import open_session, runner

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))


@pytest.fixture
def opened(monkeypatch):
    """Execution providers that sessions were asked for, as if all of them were there."""
    real, asked = onnxruntime.InferenceSession, []

    class Session:
        def __init__(self, data, options, providers, **others):
            asked.append(dict(providers))
            self.session = real(data, options, providers=[CPU], **others)
            self.run, self.disable_fallback = self.session.run, self.session.disable_fallback

        def get_providers(self):
            return [*asked[-1], CPU]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    return asked


@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        (None, {CPU: {}}),
        ([CUDA, CPU], {CUDA: {"use_tf32": "0"}, CPU: {}}),
        ([(CUDA, {"device_id": 1})], {CUDA: {"device_id": 1, "use_tf32": "0"}}),
        ([(CUDA, {"use_tf32": 0})], {CUDA: {"use_tf32": 0}}),
        ([(CUDA, {"use_tf32": 1}), CPU], None),
        ([TENSORRT, CUDA, CPU], None),
    ],
)
def test_only_exact_providers_run_an_artifact(providers, expected, opened, sample_artifacts, sample_queries, caplog):
    with caplog.at_level(logging.WARNING, "modelpick"):
        with Selector.load(sample_artifacts / "knn.onnx", providers=providers) as selector:
            picked = selector.select_batch(sample_queries)
        assert opened == [expected or {CPU: {}}]
        assert ("runs on the CPU" in caplog.text) == (expected is None)
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert picked == selector.select_batch(sample_queries)


def test_fast_math_is_not_taken_over(opened, sample_artifacts, caplog):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")
    with caplog.at_level(logging.WARNING, "modelpick"):
        Selector.load(sample_artifacts / "knn.onnx", sess_options=options).close()
    assert "mlas.enable_gemm_fastmath_arm64_bfloat16 may be inexact" in caplog.text
    assert options.get_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16") == "1"


def test_a_missing_provider_is_an_error_also_where_the_cpu_would_answer(sample_artifacts):
    with pytest.raises(ArtifactError, match=f"no execution provider {TENSORRT}"):
        Selector.load(sample_artifacts / "knn.onnx", providers=[TENSORRT])


def test_what_a_session_reads_in_place_lives_as_long_as_it(sample_artifacts):
    """Also when all else lets go of the bytes, as `close` does during a call."""
    data = bytearray((sample_artifacts / "knn.onnx").read_bytes())
    session = open_session("knn.onnx", Model(bytes(data)), None, None)
    outputs = [output.name for output in session.get_outputs()]
    run = runner(session)
    del session
    query = np.ones((1, 1038))
    before = run(outputs, {"features": query})
    filling = [bytes(len(data)) for _ in range(50)]
    after = run(outputs, {"features": query})
    assert len(filling) == 50
    for expected, got in zip(before, after, strict=True):
        np.testing.assert_array_equal(got, expected)
