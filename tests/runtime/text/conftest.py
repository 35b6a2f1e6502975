"""The small encoder, and a selector that was trained with it."""

import json
from types import SimpleNamespace

import pytest

from modelpick.converter import convert
from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text import Encoder
from support import catalogue
from support.folders import SMALL

# A prompt in the midst of each cluster, and the model that is picked there.
KNOWN = {
    "Solve the equation for x": "mistral",
    "Write a Python function": "codellama",
    "What were the causes?": "llama",
}


def kmeans(encoder, identity=None, one_hot=False):
    """Return a JSON model whose centroids are what is known."""
    zeros = [0.0] * len(CATEGORIES) if one_hot else []
    named = {"encoder": identity} if identity else {}
    centroids = [[*map(float, row), *zeros] for row in encoder.embed(list(KNOWN))]
    return catalogue.kmeans(centroids, [*KNOWN.values()], **named)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Paths of the encoder, of one with 8-bit weights, of a selector of it, and of one that needs a category."""
    folder = tmp_path_factory.mktemp("text")
    made = SimpleNamespace(folder=folder)
    for name, quantise in (("encoder", None), ("int8", "int8")):
        setattr(made, name, folder / f"{name}.onnx")
        make_encoder(SMALL, folder / f"{name}.onnx", quantise=quantise, name=name)
    encoder = Encoder.load(made.encoder)
    identity = {"name": encoder.name, "digest": encoder.digest}
    models = {"selector": kmeans(encoder, identity), "with_category": kmeans(encoder, one_hot=True)}
    for name, model in models.items():
        setattr(made, name, folder / f"{name}.onnx")
        convert(json.dumps(model).encode(), folder / f"{name}.onnx", samples=0)
    return made
