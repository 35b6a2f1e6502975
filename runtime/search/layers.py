"""The best score of a network's dense layers in float64, where float32 leaves it open.

A graph in float64 converts the weights anew in each run, and takes four times as long.
"""

from collections.abc import Mapping
from itertools import count
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..schema import Table

# Weights of more numbers are not held in float64 as well: the graph takes their place.
MOST_NUMBERS: Final = 2**20
# Scores in float64 have this share of the margin that scores in float32 need: 2^-29, and to spare.
SHARE: Final = 2.0**-26
# Scores that differ by less may have equal softmax probabilities, between which the graph decides.
ALIKE: Final = 1e-11


class Layers:
    """Dense layers in float64, with a ReLU between each two.

    Parameters
    ----------
    layers
        Weights, (outputs, inputs), and bias, (outputs,), of each layer.
    """

    def __init__(self, layers: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]) -> None:
        self._layers = layers

    @classmethod
    def of(cls, tables: Mapping[str, Tensor]) -> Self | None:
        """Take the layers of an artifact; None where it has none that follow one another, or too many weights."""
        layers: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
        for number in count():
            place = str(number or "")
            weights, bias = tables.get(Table.LAYER + place), tables.get(Table.BIAS + place)
            if weights is None or bias is None:
                break
            if weights.ndim != 2 or bias.shape != weights.shape[1:] or (layers and len(layers[-1][1]) != len(weights)):
                return None
            layers.append((np.ascontiguousarray(weights.T, np.float64), bias.astype(np.float64)))
        return cls(layers) if 0 < sum(weights.size for weights, _ in layers) <= MOST_NUMBERS else None

    def best_one(self, vector: npt.NDArray[np.floating], needed: float) -> int | None:
        """Return the best of a query's scores, or None where float64 leaves it open.

        Parameters
        ----------
        vector
            The query, shape (d,).
        needed
            The margin that proves the best score in float32.
        """
        values = vector.astype(np.float64, copy=False)
        for place, (weights, bias) in enumerate(self._layers):
            if place:
                np.maximum(values, 0.0, out=values)
            values = weights.dot(values)
            values += bias
        best = int(values.argmax())
        highest = values.item(best)
        values[best] = -np.inf
        return best if highest - float(values.max()) > needed * SHARE + ALIKE else None
