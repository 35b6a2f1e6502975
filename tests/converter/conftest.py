"""Artifacts of two sample models, and one that was trained on complete records of the world."""

import json

import pytest

from modelpick.converter import convert
from modelpick.converter.training.train import train, trainer, training_data
from support.recorded import ROOT
from support.world import WORLD


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("knn", "kmeans"):
        convert(ROOT / f"models/{name}.json", folder / f"{name}.onnx", samples=0)
    return [folder / "knn.onnx", folder / "kmeans.onnx"]


@pytest.fixture(scope="session")
def of_world(tmp_path_factory):
    path = tmp_path_factory.mktemp("world") / "a.onnx"
    document = train(training_data(WORLD.complete), trainer("kernel_ridge"), digests=False)
    convert(json.dumps(document).encode(), path, samples=0)
    return path
