"""The margin by which the best choice must exceed the second to be proven, by scores of dense layers in float32.

A chain of dense layers with a ReLU between each two maps a query q to a score for each choice; centroids and linear
classifiers are a single layer. Let h be the input of a layer. In float32 the error of a sum of products and a bias, in
any order, is at most ``gamma (|w| |h| + |b|)``, see `modelpick.converter.graphs.exact_search`. The length of the error
of the layer's whole output is at most ``gamma (F |h| + |b|)``, F being the Frobenius norm of its weights. An error e of
the input adds at most ``N e`` to the output, N being the spectral norm; a ReLU does not lengthen differences. As
``|h|`` is at most ``N |h'| + |b|``, h' being the input of the layer before, all of these bounds are straight lines of
``|q|``. Two scores have the order of the true scores if they differ by more than ``|w_i - w_j| e`` plus twice the last
layer's own error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from .rows import roundings

Matrix = npt.NDArray[np.float64]
# Sums of products up to this value do not overflow float32.
LARGEST = 1e37
# Bounds are raised by this share, far above the rounding in their own computation, and above the rounding of the same
# layers in float64, which are the reference.
SLACK = 1e-6


class Line(NamedTuple):
    """``slope * |q| + constant``."""

    slope: float
    constant: float

    def plus(self, other: "Line") -> "Line":
        """Add another line."""
        return Line(self.slope + other.slope, self.constant + other.constant)

    def times(self, factor: float) -> "Line":
        """Multiply by a factor, 0 or more."""
        return Line(self.slope * factor, self.constant * factor)


class Margin(NamedTuple):
    """The best choice is proven where it exceeds the second by more than ``slope * |q| + constant``."""

    slope: float
    constant: float
    shortest: float
    """Nothing is proven for queries of this length or shorter."""
    longest: float
    """Nothing is proven for queries of this length or longer."""


def needed_margin(layers: Sequence[tuple[Matrix, Matrix]]) -> Margin:
    """Return the largest difference of two float32 scores whose true scores may be in the other order.

    Parameters
    ----------
    layers
        Weights, (out, in), and bias, (out,), of each layer. Where float32 cannot hold them, nothing is proven.
    """
    values, error, longest = Line(1.0, 0.0), Line(0.0, 0.0), LARGEST
    with np.errstate(over="ignore", invalid="ignore"):
        for weights, bias in layers:
            given = values.plus(error)
            rows, biases = np.linalg.norm(weights, axis=1), np.abs(bias)
            reach = _reach(given.times(float(rows.max())), float(biases.max()))
            longest = float(np.minimum(longest, reach))  # NaN where norms overflow: nothing is below it
            relative, absolute = roundings(weights.shape[1])
            own = _own(given, relative, absolute, float(rows.max()), float(biases.max()), 1.0)
            apart = float(pdist(weights).max(initial=0.0))
            between = error.times(apart).plus(own.times(2.0))
            frobenius, length = float(np.linalg.norm(rows)), float(np.linalg.norm(bias))
            spectral = float(np.linalg.norm(weights, 2)) if frobenius < LARGEST else frobenius
            whole = _own(given, relative, absolute, frobenius, length, len(rows) ** 0.5)
            error = error.times(spectral).plus(whole)
            values = values.times(spectral).plus(Line(0.0, length))
    return Margin(_moved(between.slope, SLACK), _moved(between.constant, SLACK), -1.0, _moved(longest, -SLACK))


def _moved(bound: float, share: float) -> float:
    """Raise a bound by a share, and round it to few digits: processors and threads add up in different orders."""
    return float(f"{bound * (1.0 + share):.7e}") * (1.0 + share)


def _own(given: Line, relative: float, absolute: float, weights: float, bias: float, outputs: float) -> Line:
    """Return a bound on the error of a layer's own sums, given the norms of its weights and bias, see `roundings`."""
    constant = Line(0.0, relative * bias + absolute * outputs * (1.0 + weights))
    return given.times(relative * weights + absolute * outputs).plus(constant)


def _reach(products: Line, bias: float) -> float:
    """Return the length of inputs up to which the layer's sums stay below `LARGEST`."""
    room = LARGEST - bias - products.constant
    return room / products.slope if products.slope > 0.0 else LARGEST * (room > 0.0)
