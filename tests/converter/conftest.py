"""Artifacts of two sample models."""

import pytest

from modelpick.converter import convert
from support.recorded import ROOT


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("knn", "kmeans"):
        convert(ROOT / f"models/{name}.json", folder / f"{name}.onnx", samples=0)
    return [folder / "knn.onnx", folder / "kmeans.onnx"]
