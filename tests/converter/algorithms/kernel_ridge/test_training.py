"""Kernel ridge on queries that are nearly alike: a penalty that loses the predictions is refused in training."""

import json
import warnings

import numpy as np
import pytest

from modelpick.converter import DocumentWarning, convert
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError


def trained(noise, ridge, landmarks=1_000, cost=0.0):
    rng = np.random.default_rng(0)
    vectors = 1.0 + noise * rng.normal(size=(60, 6))
    lines = [
        {"query": f"q{i}", "model_name": f"m{j}", "performance": rng.random(), "embedding": vector.tolist()}
        | ({"cost": cost * rng.random()} if cost else {})
        for i, vector in enumerate(vectors)
        for j in range(3)
    ]
    records = read_records("\n".join(map(json.dumps, lines)).encode())
    settings = Settings(gamma=4.0, ridge=ridge, landmarks=landmarks)
    return train(training_data(records, settings, one_hot=False), trainer("kernel_ridge"))


@pytest.mark.parametrize("options", [{}, {"landmarks": 20}, {"cost": 1e4}], ids=str)
@pytest.mark.parametrize("exponent", [-12, -7, -4, 0])
@pytest.mark.parametrize("noise", [1e-6, 1.0])
def test_what_is_trained_converts(noise, exponent, options, tmp_path):
    try:
        document = trained(noise, 10.0**exponent, **options)
    except DocumentError as refusal:
        assert str(refusal).startswith("ridge: expected about ")
        assert noise < 1.0
        assert exponent < -2
        return
    assert convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=20).passed


@pytest.mark.parametrize(("noise", "landmarks"), [(1e-6, 1_000), (1e-3, 20)])
def test_no_penalty_at_all_is_refused_where_the_kernel_is_singular_and_nothing_else_is_said(noise, landmarks):
    with warnings.catch_warnings(), pytest.raises(DocumentError, match="ridge: expected about"):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DocumentWarning)
        trained(noise, 0.0, landmarks)


def test_the_refusal_names_a_penalty_that_is_enough(tmp_path):
    with pytest.raises(DocumentError) as refusal:
        trained(1e-6, 1e-10)
    enough = float(str(refusal.value).split("about ")[1].split(" or more")[0])
    assert 1e-6 < enough <= 1e-4
    assert convert(json.dumps(trained(1e-6, enough)).encode(), tmp_path / "a.onnx").passed
