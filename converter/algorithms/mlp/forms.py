"""The JSON of a neural network: layers, which are folded into dense layers with a ReLU between each two."""

from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any, Protocol

import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, to_builtins

from ...formats.decoding import IgnoredSize, Name, Size, Vector, check_length, check_size, decode, decode_choice, refuse
from ...formats.reader import Reader
from ...formats.source import Source
from ..base import Matrix
from .estimators import MLPModelSelector

# Defaults of the fields of batch normalisation that are absent or null.
_BATCH_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
EPSILON = 1e-5


class Scale(Struct, frozen=True, eq=False):
    """``scale * x + shift``, as trained batch normalisation computes."""

    scale: Vector
    """Float64, shape (in,)."""
    shift: Vector
    """Float64, shape (in,)."""


class Dense(Struct, frozen=True, eq=False):
    """``weights @ x + bias``."""

    weights: Matrix
    """Float64, shape (out, in)."""
    bias: Vector
    """Float64, shape (out,)."""


class Relu(Struct, frozen=True):
    """``max(x, 0)``."""


Affine = Scale | Dense
Layer = Affine | Relu


class LayerForm(Protocol):
    """A layer of the file."""

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """Check the layer, whose input has ``width`` values; return its function, if any, and its number of outputs."""


class DenseForm(Struct, tag_field="type", tag="linear"):
    """``weight @ x + bias``."""

    weight: list[list[float]]
    bias: list[float] | UnsetType | None = UNSET
    in_features: Size = UNSET
    out_features: Size = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """See `LayerForm`."""
        for index, row in enumerate(self.weight):
            check_length(row, width, f"{path}.weight[{index}]", "output of the layer before")
        if not self.weight:
            refuse(f"{path}.weight", "expected at least one row")
        check_size(self.in_features, width, f"{path}.in_features", "the columns of weight")
        check_size(self.out_features, len(self.weight), f"{path}.out_features", "the rows of weight")
        bias = [0.0] * len(self.weight) if self.bias is UNSET or self.bias is None else self.bias
        check_length(bias, len(self.weight), f"{path}.bias", "row of weight")
        return Dense(np.array(self.weight, dtype=np.float64), np.array(bias, dtype=np.float64)), len(bias)


class ReluForm(Struct, tag_field="type", tag="relu"):
    """``max(x, 0)``."""

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """See `LayerForm`."""
        return Relu(), width


class DropoutForm(Struct, tag_field="type", tag="dropout"):
    """No function after training."""

    p: float | UnsetType = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """See `LayerForm`."""
        return None, width


class BatchNormForm(Struct, tag_field="type", tag="batch_norm"):
    """``weight * (x - running_mean) / sqrt(running_var + eps) + bias``."""

    weight: list[float] | UnsetType | None = UNSET
    bias: list[float] | UnsetType | None = UNSET
    running_mean: list[float] | UnsetType | None = UNSET
    running_var: list[Annotated[float, Meta(ge=0)]] | UnsetType | None = UNSET
    eps: Annotated[float, Meta(gt=0)] | UnsetType | None = UNSET
    num_features: Size = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """See `LayerForm`."""
        check_size(self.num_features, width, f"{path}.num_features", "one per output of the layer before")
        given = {name: getattr(self, name) for name in _BATCH_NORM}
        vectors = {
            name: [_BATCH_NORM[name]] * width if values is UNSET or values is None else values
            for name, values in given.items()
        }
        for name, values in vectors.items():
            check_length(values, width, f"{path}.{name}", "output of the layer before")
        weight, bias, mean, variance = (np.array(values, dtype=np.float64) for values in vectors.values())
        scale = weight / np.sqrt(variance + (self.eps or EPSILON))
        return Scale(scale, bias - mean * scale), width


_LAYERS: dict[str, type[LayerForm]] = {
    "linear": DenseForm,
    "relu": ReluForm,
    "batch_norm": BatchNormForm,
    "dropout": DropoutForm,
}


class _LayerHeader(Struct):
    type: Raw


class MLPForm(Struct):
    """Layers, each with its type; ``dropout`` is the rate of training."""

    model_names: Annotated[list[Name], Meta(min_length=1)]
    feature_dim: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    layers: list[Raw]
    n_classes: IgnoredSize = UNSET
    hidden_sizes: IgnoredSize = UNSET
    dropout: float | UnsetType | None = UNSET


def load(form: MLPForm, source: Source, reader: Reader) -> MLPModelSelector:
    """Check the layers, and return their estimator."""
    forms = [_layer_form(layer, f"$.layers[{index}]") for index, layer in enumerate(form.layers)]
    source.fields["layers"] = to_builtins(forms)
    layers, width = [], form.feature_dim
    for index, layer_form in enumerate(forms):
        layer, width = layer_form.checked(f"$.layers[{index}]", width)
        if layer is not None:
            layers.append(layer)
    if not any(isinstance(layer, Dense) for layer in layers):
        refuse("$.layers", "expected at least one linear layer")
    if width != len(form.model_names):
        refuse("$.layers", f"expected {len(form.model_names)} outputs, one per $.model_names, got {width}")
    reader.ignored_size(form.n_classes, width, "$.n_classes", "$.model_names")
    hidden = [len(layer.bias) for layer in layers if isinstance(layer, Dense)][:-1]
    reader.ignored_size(form.hidden_sizes, hidden, "$.hidden_sizes", "the widths of $.layers")
    dense = _folded(layers)
    coefs, intercepts = [layer.weights.T for layer in dense], [layer.bias for layer in dense]
    return MLPModelSelector(source.semantics).fit(coefs, intercepts, form.model_names)


def _layer_form(layer: Raw, path: str) -> LayerForm:
    kind = decode_choice(decode(layer, _LayerHeader, path).type, _LAYERS, f"{path}.type")
    return decode(layer, _LAYERS[kind], path)


def _folded(layers: Sequence[Layer]) -> list[Dense]:
    """Fold the layers before, between and behind ReLUs into one dense layer each, exactly."""
    chains: list[list[Affine]] = [[]]
    for layer in layers:
        if isinstance(layer, Relu):
            chains.append([])
        else:
            chains[-1].append(layer)
    dense = []
    for place, chain in enumerate(chains, 1):
        with np.errstate(over="ignore", invalid="ignore"):
            folded = reduce(_composed, chain) if chain else None
        if not isinstance(folded, Dense):
            where = "before each relu" if place < len(chains) else "behind the last relu"
            refuse("$.layers", f"expected a linear layer {where}")
        dense.append(folded)
    if not all(np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all() for layer in dense):
        refuse("$.layers", "expected layers whose products are finite")
    return dense


def _composed(first: Affine, second: Affine) -> Affine:
    """Return one layer that computes what two do, ``second(first(x))``."""
    if isinstance(first, Scale):
        if isinstance(second, Scale):
            return Scale(second.scale * first.scale, second.scale * first.shift + second.shift)
        return Dense(second.weights * first.scale, second.bias + second.weights @ first.shift)
    if isinstance(second, Scale):
        return Dense(second.scale[:, None] * first.weights, second.scale * first.bias + second.shift)
    return Dense(second.weights @ first.weights, second.weights @ first.bias + second.bias)


def layer_fields(estimator: MLPModelSelector) -> list[dict[str, Any]]:
    """Return the ``layers`` of an `MLPForm`."""
    fields: list[dict[str, Any]] = []
    for coef, intercept in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        if fields:
            fields.append({"type": "relu"})
        shape = {"in_features": coef.shape[0], "out_features": coef.shape[1]}
        fields.append({"type": "linear", **shape, "weight": coef.T.tolist(), "bias": intercept.tolist()})
    return fields
