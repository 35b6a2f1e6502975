"""Artifacts of the sample models."""

import json
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import convert

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
