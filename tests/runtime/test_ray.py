"""Selections over a Ray dataset, on a real local cluster."""

import os
import signal
import warnings

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="needs the extra ray")

from modelpick.runtime import ArtifactError, Selector  # noqa: E402
from modelpick.runtime.ray import select_dataset  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def test_picks_as_one_selector_even_when_a_worker_is_killed(cluster, sample_artifacts, sample_queries, tmp_path):
    rng = np.random.default_rng(0)
    queries = sample_queries[rng.integers(len(sample_queries), size=3_000)] + rng.normal(0, 0.01, (3_000, 1038))
    flag = tmp_path / "killed"

    def kill_once(batch):
        if batch["row"][0] >= 1_500 and not flag.exists():
            flag.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    dataset = ray.data.from_items([{"row": i, "features": query} for i, query in enumerate(queries)])
    picked = select_dataset(dataset, sample_artifacts / "knn.onnx", workers=2, batch_size=100)
    rows = picked.map_batches(kill_once, batch_size=100).select_columns(["row", "model"]).take_all()
    assert flag.exists()
    rows.sort(key=lambda row: row["row"])
    assert [row["row"] for row in rows] == list(range(3_000))
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert [row["model"] for row in rows] == selector.select_batch(queries)


def test_refuses_before_anything_runs(cluster):
    with pytest.raises(ArtifactError, match="expected an artifact sealed by modelpick"):
        select_dataset(ray.data.range(3), b"no artifact")
