"""The layers of an MLP, and folding them into dense ones."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


class DenseLayer(Struct, frozen=True, eq=False):
    """``weights @ x + bias``."""

    weights: Matrix
    """Float64, shape (out, in)."""
    bias: Vector
    """Float64, shape (out,)."""


class ReluLayer(Struct, frozen=True, eq=False):
    """``max(x, 0)``."""


class ScaleLayer(Struct, frozen=True, eq=False):
    """``scale * x + shift``, what trained batch normalisation computes."""

    scale: Vector
    """Float64, shape (in,)."""
    shift: Vector
    """Float64, shape (in,)."""


Layer = DenseLayer | ReluLayer | ScaleLayer


def fold(layers: Sequence[Layer]) -> list[DenseLayer]:
    """Fold layers into dense ones with a ReLU between each two, exactly.

    A scale goes into the dense layer behind it, or into the one before where no ReLU stands between:
    ``W (s x + t) + b = (W s) x + (W t + b)``.

    Raises
    ------
    ValueError
        When a ReLU stands where a chain of dense layers has none, or products overflow.
    """
    dense: list[DenseLayer] = []
    relu = False  # behind the last dense layer
    scale: ScaleLayer | None = None  # behind that
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in layers:
            if isinstance(layer, ScaleLayer):
                scale = layer if scale is None else _scaled_twice(scale, layer)
            elif isinstance(layer, ReluLayer):
                if not dense or (relu and scale is not None):
                    raise ValueError("expected a linear layer before each relu")
                dense[-1], scale, relu = _scaled(dense[-1], scale), None, True
            else:
                if scale is not None:
                    layer = DenseLayer(layer.weights * scale.scale, layer.bias + layer.weights @ scale.shift)
                if dense and not relu:
                    before = dense.pop()
                    layer = DenseLayer(layer.weights @ before.weights, layer.weights @ before.bias + layer.bias)
                dense.append(layer)
                scale, relu = None, False
        if relu:
            raise ValueError("expected a linear layer behind the last relu")
        dense[-1] = _scaled(dense[-1], scale)
    if not all(np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all() for layer in dense):
        raise ValueError("expected layers whose products are finite")
    return dense


def _scaled_twice(first: ScaleLayer, second: ScaleLayer) -> ScaleLayer:
    return ScaleLayer(second.scale * first.scale, second.scale * first.shift + second.shift)


def _scaled(layer: DenseLayer, scale: ScaleLayer | None) -> DenseLayer:
    if scale is None:
        return layer
    return DenseLayer(scale.scale[:, None] * layer.weights, scale.scale * layer.bias + scale.shift)
