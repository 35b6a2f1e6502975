"""A network in float64, where float32 leaves its best score open."""

import numpy as np
import pytest

from modelpick.runtime import Selector
from modelpick.runtime.loading import read_contents
from modelpick.runtime.schema import Table
from modelpick.runtime.search.layers import Layers
from support.artifacts import converted

WIDTH, HIDDEN, MODELS = 6, 16, 4


def document(apart):
    """A network whose last two models differ by little, or not at all, and exceed the others."""
    rng = np.random.default_rng(0)
    shapes = ((HIDDEN, WIDTH), (MODELS, HIDDEN))
    layers = [(rng.normal(size=shape), rng.normal(size=shape[0])) for shape in shapes]
    weights, bias = layers[-1]
    weights[-2], bias[-2:] = weights[-1], 50.0
    weights[-2, 0] += apart
    steps = [{"type": "linear", "weight": one.tolist(), "bias": other.tolist()} for one, other in layers]
    steps.insert(1, {"type": "relu"})
    names = [f"m{model}" for model in range(MODELS)]
    fields = {"algorithm": "mlp", "trained": True, "model_names": names, "feature_dim": WIDTH, "layers": steps}
    return fields, layers


def scores(layers, query):
    (first, first_bias), (last, last_bias) = layers
    return last @ np.maximum(first @ query + first_bias, 0.0) + last_bias


@pytest.mark.parametrize("apart", [1e-7, -1e-7, 1e-3, 0.0])
def test_it_settles_what_differs_in_float64(apart):
    fields, layers = document(apart)
    data = converted(fields)
    exact = Layers.of(read_contents("test", data)[2])
    settled = 0
    with Selector.load(data) as selector:
        for query in np.random.default_rng(1).normal(size=(40, WIDTH)):
            wanted = scores(layers, query)
            first, second = np.sort(wanted)[-1:-3:-1]
            best = exact.best_one(query, 1e-3)
            assert best in (None, wanted.argmax())
            settled += best is not None
            if first - second > 1e-9:
                assert selector.select(query) == f"m{wanted.argmax()}"
            else:  # of equal scores the last counts
                assert selector.select(query) == f"m{MODELS - 1}"
    assert (settled > 0) == (apart != 0.0)


def test_layers_that_do_not_follow_one_another_are_left_to_the_graph():
    tables = read_contents("test", converted(document(0.0)[0]))[2]
    assert Layers.of(tables) is not None
    assert Layers.of({**tables, f"{Table.LAYER}1": tables[Table.LAYER]}) is None
    assert Layers.of({name: table for name, table in tables.items() if name != Table.BIAS}) is None
