"""By how much the best of some choices must exceed the second, by scores of dense layers in float32, to be proven.

A chain of dense layers with a ReLU between each two maps a query q to a score for each choice; of centroids or linear
classifiers it is a single layer. In float32 a sum of products and a bias, in whatever order it is taken, is off by at
most ``gamma (|w| |h| + |b|)``, see `modelpick.converter.graphs.exact_search`, where h is what the layer is given. For
the layer's whole output that is ``gamma (F |h| + |b|)`` in length, F being the Frobenius norm of its weights. What the
layer is given is itself off, by e, which the layer passes on as ``N e`` at most, N being its spectral norm; a ReLU
makes no difference of two vectors longer. As ``|h|`` is at most ``N |h'| + |b|``, h' being what the layer before was
given, all of these are bounded by straight lines of ``|q|``. Two scores that differ by more than they may be off by,
``|w_i - w_j| e`` and twice the last layer's own error, are in the order of the true ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from .rows import roundings

Matrix = npt.NDArray[np.float64]
# Sums of products up to this do not overflow float32.
LARGEST = 1e37
# Bounds are raised by this share, far above the roundings in their own computation, and above those of the same layers
# in float64, which decide what is right.
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
    """The best of some choices is proven where it exceeds the second by more than ``slope * |q| + constant``."""

    slope: float
    constant: float
    shortest: float
    """Nothing is proven for queries of this length or shorter."""
    longest: float
    """Nothing is proven for queries of this length or longer."""


def needed_margin(layers: Sequence[tuple[Matrix, Matrix]]) -> Margin:
    """Bound how far float32 scores of two choices can be apart while their true scores are in the other order.

    Parameters
    ----------
    layers
        Weights, (out, in), and bias, (out,), of each layer. Where float32 cannot hold them, nothing is ever proven.
    """
    values, error, longest = Line(1.0, 0.0), Line(0.0, 0.0), LARGEST
    with np.errstate(over="ignore", invalid="ignore"):
        for weights, bias in layers:
            given = values.plus(error)
            rows, biases = np.linalg.norm(weights, axis=1), np.abs(bias)
            reach = _reach(given.times(float(rows.max())), float(biases.max()))
            longest = float(np.minimum(longest, reach))  # NaN where these overflow: nothing is below it
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
    """Move a bound by a share, to a number of few digits: processors and threads add up in other orders."""
    return float(f"{bound * (1.0 + share):.7e}") * (1.0 + share)


def _own(given: Line, relative: float, absolute: float, weights: float, bias: float, outputs: float) -> Line:
    """Bound the error of a layer's own sums, of weights and a bias of such norms, see `roundings`."""
    constant = Line(0.0, relative * bias + absolute * outputs * (1.0 + weights))
    return given.times(relative * weights + absolute * outputs).plus(constant)


def _reach(products: Line, bias: float) -> float:
    """Return the length up to which sums of such products and a bias stay below `LARGEST`."""
    room = LARGEST - bias - products.constant
    return room / products.slope if products.slope > 0.0 else LARGEST * (room > 0.0)
