"""Selections over a Ray dataset, on a real local cluster."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="needs the extra ray")

from modelpick.runtime import ArtifactError, FeatureError, Selector  # noqa: E402
from modelpick.runtime.deciding import Exploring  # noqa: E402
from modelpick.runtime.serving.ray import select_dataset  # noqa: E402


def kill_a_worker(killed, done):
    """Kill the first process that selects, as soon as one does."""
    while not killed and not done.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::") and b"_Worker" in command:
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(command)
                return
        time.sleep(0.02)  # a core is what Ray starts its workers with


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_picks_as_one_selector_even_when_a_worker_is_killed(cluster, sample_artifacts, sample_queries):
    rng = np.random.default_rng(0)
    queries = sample_queries[rng.integers(len(sample_queries), size=1_000)] + rng.normal(0, 0.01, (1_000, 1038))
    killed, done = [], threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(killed, done))
    killer.start()
    dataset = ray.data.from_items([{"row": i, "features": query} for i, query in enumerate(queries)])
    picked = select_dataset(dataset, sample_artifacts / "knn.onnx", workers=2, batch_size=100)
    rows = picked.select_columns(["row", "model"]).take_all()
    done.set()
    killer.join()
    assert len(killed) == 1
    rows.sort(key=lambda row: row["row"])
    assert [row["row"] for row in rows] == list(range(1_000))
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert [row["model"] for row in rows] == selector.select_batch(queries)


def test_a_bad_row_gets_an_error_and_the_others_their_picks(cluster, sample_artifacts, sample_queries, capfd):
    rng = np.random.default_rng(0)
    queries = sample_queries[rng.integers(len(sample_queries), size=1_000)]
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        expected = selector.select_batch(queries)
    queries[700, 3] = np.nan
    items = [{"row": row, "features": query} for row, query in enumerate(queries)]
    picked = select_dataset(ray.data.from_items(items), sample_artifacts / "knn.onnx", batch_size=100)
    rows = sorted(picked.select_columns(["row", "model", "model_error"]).take_all(), key=lambda row: row["row"])
    assert rows[700] == {"row": 700, "model": None, "model_error": "expected finite numbers, got nan at [3]"}
    del rows[700], expected[700]
    assert [row["model"] for row in rows] == expected
    assert {row["model_error"] for row in rows} == {None}
    # As of actors, whose arguments may be lost before they start again.
    assert " E " not in capfd.readouterr().err, "Ray logs no error"

    items[5]["features"] = queries[5][:7]
    for item in items:
        item["features"] = item["features"].tolist()
    ragged = select_dataset(ray.data.from_items(items[:10]), sample_artifacts / "knn.onnx")
    rows = sorted(ragged.select_columns(["row", "model", "model_error"]).take_all(), key=lambda row: row["row"])
    assert rows[5] == {"row": 5, "model": None, "model_error": "expected 1038 numbers, got shape (7,)"}
    assert [row["model"] for row in rows if row["row"] != 5] == [*expected[:5], *expected[6:10]]


def test_decides(cluster, sample_artifacts, sample_queries):
    rows = [{"row": row, "user": row % 3, "features": query} for row, query in enumerate(sample_queries)]
    rows[3]["features"] = np.full(1038, np.nan)
    dataset, file = ray.data.from_items(rows), sample_artifacts / "knn.onnx"
    found = select_dataset(dataset, file, exploring=Exploring(0.5, key="user")).take_all()
    found.sort(key=lambda row: row["row"])
    bad = found.pop(3)
    assert (bad["model"], bad["decision_id"], bad["propensity"]) == (None, None, None)
    assert bad["model_error"] == "expected finite numbers, got nan at [0]"
    with Selector.load(file) as selector:
        for row in found:
            decision = selector.decide(rows[row["row"]]["features"], key=str(row["user"]), explore=0.5)
            assert {name: row[name] for name in ("model", "default", "propensity", "policy")} == {
                "model": decision.model,
                "default": decision.default,
                "propensity": decision.propensity,
                "policy": decision.artifact,
            }
    assert len({row["decision_id"] for row in found}) == len(found)
    with pytest.raises(FeatureError, match="explore"):
        select_dataset(dataset, file, exploring=Exploring(7.0))


def test_refuses_before_anything_runs(cluster):
    with pytest.raises(ArtifactError, match="expected an artifact sealed by modelpick"):
        select_dataset(ray.data.range(3), b"no artifact")
