"""Selections against the answers that the original gave, and against the float64 reference."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import Selector
from support import reference

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("MODELPICK_SHARED", ROOT.parent / "shared"))
FOLDERS = (ROOT / "tests/data/conformance", SHARED / "real")  # the latter is next to a checkout, or absent
SETS = [folder for parent in FOLDERS for folder in sorted(parent.glob("*-*")) if folder.is_dir()]


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()))


MODELS = [
    pytest.param(folder, algorithm, id=f"{folder.name}-{algorithm}")
    for folder in SETS
    for algorithm in ("knn", "kmeans", "svm", "mlp")
    if (folder / f"{algorithm}_model.json.gz").exists()
]


@pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
@pytest.mark.parametrize(("folder", "algorithm"), MODELS)
def test_selects_as_the_original_and_the_reference(folder, algorithm):
    data = gzip.decompress((folder / f"{algorithm}_model.json.gz").read_bytes())
    recorded = read(folder / "expected.json.gz")
    queries = np.array(recorded["queries"])
    estimator = load_estimator(data)
    selector = Selector.load(to_artifact(estimator))

    picked = selector.select_batch(queries)

    assert picked == reference.select(json.loads(data), queries)
    assert picked == list(estimator.predict(queries))
    assert picked == [selector.select(query) for query in queries]
    tied = recorded["expected"]["knn_tie"] if algorithm == "knn" else [False] * len(queries)
    original = recorded["expected"][algorithm]
    assert [p for p, t in zip(picked, tied, strict=True) if not t] == [
        o for o, t in zip(original, tied, strict=True) if not t
    ]


@pytest.mark.parametrize("folder", [folder for folder in SETS if (folder / "mlp_model.json.gz").exists()])
def test_mlp_gives_the_probabilities_of_the_original(folder):
    data = gzip.decompress((folder / "mlp_model.json.gz").read_bytes())
    recorded = read(folder / "expected.json.gz")
    selector = Selector.load(to_artifact(load_estimator(data)))

    for query, expected in zip(recorded["queries"], recorded["expected"]["mlp_proba"], strict=False):
        assert selector.scores(query) == pytest.approx(expected, abs=1e-5)
