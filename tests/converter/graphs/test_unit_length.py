"""Scaling to unit length in a graph, by the steps of numpy."""

import numpy as np

from modelpick.converter.graphs.unit_length import add_directions
from modelpick.runtime.search.distances import directions
from support.exported import exported, run

X = np.vstack([np.random.default_rng(0).normal(size=(6, 4)), np.zeros(4), 1e200 * np.ones(4)])


def test_directions_are_those_of_numpy():
    def write(graph, features, outputs):
        graph.output(outputs["unit"], "Identity", add_directions(graph, features).product(graph))

    found = run(exported(write, {"unit": "double"}, 4), X)["unit"]
    np.testing.assert_allclose(found, directions(X), rtol=1e-15)
    assert not found[6].any()
