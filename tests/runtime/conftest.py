"""Artifacts of the sample models, and of the small encoder."""

import json
import logging
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.encoders.make import make_encoder
from modelpick.runtime.text import Encoder
from support.folders import SMALL
from support.prompts import kmeans

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session")
def sample_artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    for source in MODELS.glob("*.json"):
        convert(source, folder / f"{source.stem}.onnx", samples=0, embedding_model="hashed", embedding_dim=1024)
    return folder


@pytest.fixture(scope="session")
def sample_queries():
    return np.array([json.loads(line) for line in (MODELS / "queries.jsonl").read_text().splitlines()])


@pytest.fixture(scope="session")
def cluster():
    """A local cluster of Ray."""
    import ray

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("ray").setLevel(logging.ERROR)
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


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
