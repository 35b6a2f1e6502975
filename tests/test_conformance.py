"""Selections against the answers that the original gave, and against the float64 reference."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import reference

from modelpick.converter import build_estimator, load_document, to_artifact
from modelpick.runtime import Selector

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests/data/conformance", "../shared/real")  # the latter lies beside a checkout, or not
SETS = [folder for parent in FOLDERS for folder in sorted((ROOT / parent).glob("*-*")) if folder.is_dir()]


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize("algorithm", ["knn", "kmeans", "svm"])
@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_selects_as_the_original_and_the_reference(folder, algorithm):
    data = gzip.decompress((folder / f"{algorithm}_model.json.gz").read_bytes())
    recorded = read(folder / "expected.json.gz")
    queries = np.array(recorded["queries"])
    estimator = build_estimator(load_document(data))
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
