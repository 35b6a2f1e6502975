"""An artifact that was trained on complete records of the world."""

import json

import pytest

from modelpick.converter import convert
from modelpick.converter.training.train import train, trainer, training_data
from support.world import WORLD


@pytest.fixture(scope="session")
def of_world(tmp_path_factory):
    path = tmp_path_factory.mktemp("world") / "a.onnx"
    document = train(training_data(WORLD.complete), trainer("kernel_ridge"), digests=False)
    convert(json.dumps(document).encode(), path, samples=0)
    return path
