"""The Node.js client picks as the runtime does."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import Selector
from support.artifacts import converted
from support.catalogue import knn, svc, svc_parameters

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("MODELPICK_SHARED", ROOT.parent / "shared"))
MODELS = [*(ROOT / "models").glob("*.json"), *sorted((SHARED / "conformance").glob("*/*_model.json.gz"))]
# Only KNN searches.
SEARCHED = [
    (path, search) for path in MODELS for search in ("plain", "quantised") if search == "plain" or "knn" in path.name
]
# What predicts outcomes, the client refuses.
REFUSED = {"knn_queries", "knn_queries_2", "knn_queries_3", "kernel_ridge", "kernel_ridge_2"}
RECORDED = sorted((ROOT / "tests/data").glob("*-*/*.onnx"))
RNG = np.random.default_rng(0)


# Nothing but the packages: no install script runs, so that none fetches more. Those in npm's cache are not fetched.
INSTALL = ["npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    missing = [program for program in ("node", "npm") if not shutil.which(program)]
    if missing:
        pytest.skip(f"the Node.js client is not tested: {' and '.join(missing)} not found")
    folder = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(ROOT / "examples/node", folder, ignore=shutil.ignore_patterns("node_modules"))
    try:
        subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.TimeoutExpired:
        pytest.skip("the Node.js client is not tested: npm could not install onnxruntime-node within 120 seconds")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the Node.js client is not tested: npm could not install onnxruntime-node: {error.stderr[-200:]}")
    return folder / "select.mjs"


def node(client, artifact, queries):
    lines = "".join(json.dumps(query) + "\n" for query in queries)
    return subprocess.run(
        ["node", str(client), str(artifact)], input=lines, capture_output=True, text=True, timeout=600
    )


@pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
@pytest.mark.parametrize(("path", "search"), SEARCHED, ids=lambda one: getattr(one, "name", one))
def test_picks_as_the_runtime(client, path, search, tmp_path):
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    estimator = load_estimator(raw)
    (tmp_path / "model.onnx").write_bytes(to_artifact(estimator, exact_search=search))
    if path.suffix == ".gz":
        expected = json.loads(gzip.decompress((path.parent / "expected.json.gz").read_bytes()))
        queries = expected["queries"]
    else:
        queries = [json.loads(line) for line in (path.parent / "queries.jsonl").read_text().splitlines()]
    done = node(client, tmp_path / "model.onnx", queries)
    assert done.returncode == 0, done.stderr
    with Selector.load(tmp_path / "model.onnx") as selector:
        assert done.stdout.splitlines() == selector.select_batch(queries)


@pytest.mark.parametrize("kernel", ["Rbf", "Linear"])
def test_compares_models_one_against_one(client, kernel, tmp_path):
    parameters = svc_parameters(RNG.normal(size=(12, 4)), RNG.normal(size=(2, 12)), [0.1, 0.0, -0.1], [4, 4, 4])
    (tmp_path / "model.onnx").write_bytes(converted(svc(parameters, kernel=kernel, gamma=0.5), "native/2"))
    queries = RNG.normal(size=(20, 4)).tolist()
    with Selector.load(tmp_path / "model.onnx") as selector:
        picked = selector.select_batch(queries)
    assert len(set(picked)) == 3
    assert node(client, tmp_path / "model.onnx", queries).stdout.splitlines() == picked


def test_looks_at_all_rows_where_nothing_is_certified(client, tmp_path):
    rows = 1.0 + 1e-9 * RNG.normal(size=(500, 4))
    (tmp_path / "model.onnx").write_bytes(converted(knn(rows, [f"m{i}" for i in range(7)], k=5)))
    queries = (1.0 + 1e-9 * RNG.normal(size=(20, 4))).tolist()
    with Selector.load(tmp_path / "model.onnx") as selector:
        assert node(client, tmp_path / "model.onnx", queries).stdout.splitlines() == selector.select_batch(queries)


@pytest.mark.parametrize("artifact", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_picks_as_recorded_of_every_format_version(client, artifact):
    recorded = json.loads((artifact.parent / "picks.json").read_text())
    done = node(client, artifact, recorded["queries"])
    if artifact.stem in REFUSED:
        assert "/" in done.stderr
        assert "not known here" in done.stderr
        return
    assert done.stdout.splitlines() == recorded["picks"][artifact.stem], done.stderr


def test_refuses_an_altered_artifact(client, tmp_path):
    data = bytearray(to_artifact(load_estimator(ROOT / "models/kmeans.json")))
    data[1000] ^= 1
    (tmp_path / "model.onnx").write_bytes(data)
    done = node(client, tmp_path / "model.onnx", [])
    assert done.returncode != 0
    assert "it was altered" in done.stderr
