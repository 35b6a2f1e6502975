"""MLP models: what is refused, and that every chain of layers answers as its layers do one by one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpick.converter import load_estimator, to_artifact, to_json
from modelpick.runtime import DocumentError, Selector
from support import reference

NAMES = ["a", "b", "c"]


def linear(rng, width, outputs):
    return {
        "type": "linear",
        "weight": rng.normal(size=(outputs, width)).tolist(),
        "bias": rng.normal(size=outputs).tolist(),
    }


def batch_norm(rng, width):
    return {
        "type": "batch_norm",
        "weight": rng.normal(size=width).tolist(),
        "bias": rng.normal(size=width).tolist(),
        "running_mean": rng.normal(size=width).tolist(),
        "running_var": rng.uniform(0.1, 2, size=width).tolist(),
        "eps": 1e-5,
    }


def model(layers, width=4):
    return {"algorithm": "mlp", "trained": True, "model_names": NAMES, "feature_dim": width, "layers": layers}


@st.composite
def models(draw):
    """Blocks of dense layers, scales, relus and dropouts, in any order that a chain of dense layers can stand for."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    width, layers = 4, []
    if draw(st.booleans()):
        layers.append(batch_norm(rng, width))
    for _ in range(draw(st.integers(0, 3))):
        outputs = draw(st.integers(1, 5))
        layers.append(linear(rng, width, outputs))
        width = outputs
        for kind in draw(st.permutations(["relu", "batch_norm", "batch_norm", "dropout", None])):
            if kind == "batch_norm":
                layers.append(batch_norm(rng, width))
            elif kind:
                layers.append({"type": kind})
    layers.append(linear(rng, width, len(NAMES)))
    if draw(st.booleans()):
        layers.append(batch_norm(rng, len(NAMES)))
    return model(layers)


@settings(max_examples=30, deadline=None)
@given(models(), st.integers(0, 2**32))
def test_answers_as_its_layers_one_by_one_and_is_restored(document, seed):
    data = json.dumps(document).encode()
    estimator = load_estimator(data)
    artifact = to_artifact(estimator)
    queries = np.random.default_rng(seed).normal(size=(5, 4))
    with Selector.load(artifact) as selector:
        for query, probabilities in zip(queries, estimator.decision_function(queries), strict=True):
            expected = reference.mlp_probabilities(document, query)
            assert list(selector.scores(query).values()) == pytest.approx(expected, abs=1e-12)
            assert probabilities == pytest.approx(expected, abs=1e-12)
        assert selector.select_batch(queries) == [NAMES[row.argmax()] for row in estimator.decision_function(queries)]
    assert json.loads(to_json(artifact)) == document


RNG = np.random.default_rng(0)
DENSE = linear(RNG, 4, 3)
REFUSED = {
    "no layers": ([], "$.layers: expected at least one linear layer"),
    "no linear layer": ([{"type": "relu"}], "$.layers: expected at least one linear layer"),
    "unknown layer": (
        [{"type": "tanh"}],
        "$.layers[0].type: expected one of linear, relu, batch_norm, dropout, got 'tanh'",
    ),
    "does not chain": (
        [linear(RNG, 4, 5), linear(RNG, 4, 3)],
        "$.layers[1].weight[0]: expected 5 values, one per output of the layer before, got 4",
    ),
    "not as wide as the features": (
        [linear(RNG, 3, 3)],
        "$.layers[0].weight[0]: expected 4 values, one per output of the layer before, got 3",
    ),
    "ragged": (
        [{**DENSE, "weight": [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3]]}],
        "$.layers[0].weight[2]: expected 4 values, one per output of the layer before, got 3",
    ),
    "bias too short": (
        [{**DENSE, "bias": [1, 2]}],
        "$.layers[0].bias: expected 3 values, one per row of weight, got 2",
    ),
    "empty weight": ([{**DENSE, "weight": []}], "$.layers[0].weight: expected at least one row"),
    "scale too short": (
        [DENSE, batch_norm(RNG, 2)],
        "$.layers[1].weight: expected 3 values, one per output of the layer before, got 2",
    ),
    "negative variance": (
        [DENSE, {**batch_norm(RNG, 3), "running_var": [1, 1, -1]}],
        "$.layers[1].running_var[2]: expected `float` >= 0",
    ),
    "too many outputs": ([linear(RNG, 4, 4)], "$.layers: expected 3 outputs, one per $.model_names, got 4"),
    "relu first": ([{"type": "relu"}, DENSE], "$.layers: expected a linear layer before each relu"),
    "relu, scale, relu": (
        [DENSE, {"type": "relu"}, batch_norm(RNG, 3), {"type": "relu"}, linear(RNG, 3, 3)],
        "$.layers: expected a linear layer before each relu",
    ),
    "relu last": ([DENSE, {"type": "relu"}], "$.layers: expected a linear layer behind the last relu"),
    "overflow": (
        [{**DENSE, "weight": [[1e300] * 4] * 3}, linear(RNG, 3, 3) | {"weight": [[1e300] * 3] * 3}],
        "$.layers: expected layers whose products are finite",
    ),
}


@pytest.mark.parametrize(("layers", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_layers_that_do_not_make_a_model(layers, message):
    with pytest.raises(DocumentError) as refusal:
        load_estimator(json.dumps(model(layers)).encode())
    assert str(refusal.value) == f"<bytes>: {message}"
