"""MLP: the model of the most probable class of a chain of dense layers."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, to_builtins
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from modelpick.runtime.schema import Output, Table

from ...formats.decoding import IgnoredSize, Name, Size, check_length, check_size, decode, decode_choice, refuse
from ...formats.distinct import Names, name_array
from ...formats.document import Document, Source
from ...formats.outcomes import Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.margins import needed_margin
from ..base import Matrix, checked_features
from ..choices import ChoiceSelector, describe_choices, expect_classifiers, hold_classifiers
from ..row import Probes, Row, Trial, fixed, via_document
from .layers import DenseLayer, Layer, ReluLayer, ScaleLayer, fold

# Chosen by cross-validation over queries; a validation split inside the fit would share queries with the rest.
STEPS, BATCH, DECAY = 150, 200, 1.0
# Widths of the hidden layer that tuning tries.
HIDDEN = (16, 32, 64, 128)
# What stands for the fields of batch normalisation that are absent or null.
_BATCH_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
EPSILON = 1e-5
# Softmax probabilities of values that differ by more differ in float64, too.
DISTINCT = 1e-12
# How far the output of a model that no query is labelled with stays below another's: e^-50 is no part of a softmax.
BELOW = 50.0


class _LayerForm(Protocol):
    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """Check the layer behind ``width`` values: return what it computes, if anything, and how many values."""


class _DenseForm(Struct, tag_field="type", tag="linear"):
    weight: list[list[float]]
    bias: list[float] | UnsetType | None = UNSET
    in_features: Size = UNSET
    out_features: Size = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        for index, row in enumerate(self.weight):
            check_length(row, width, f"{path}.weight[{index}]", "output of the layer before")
        if not self.weight:
            refuse(f"{path}.weight", "expected at least one row")
        check_size(self.in_features, width, f"{path}.in_features", "the columns of weight")
        check_size(self.out_features, len(self.weight), f"{path}.out_features", "the rows of weight")
        bias = [0.0] * len(self.weight) if self.bias is UNSET or self.bias is None else self.bias
        check_length(bias, len(self.weight), f"{path}.bias", "row of weight")
        layer = DenseLayer(np.array(self.weight, dtype=np.float64), np.array(bias, dtype=np.float64))
        return layer, len(bias)


class _ReluForm(Struct, tag_field="type", tag="relu"):
    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        return ReluLayer(), width


class _DropoutForm(Struct, tag_field="type", tag="dropout"):
    p: float | UnsetType = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        return None, width


class _BatchNormForm(Struct, tag_field="type", tag="batch_norm"):
    weight: list[float] | UnsetType | None = UNSET
    bias: list[float] | UnsetType | None = UNSET
    running_mean: list[float] | UnsetType | None = UNSET
    running_var: list[Annotated[float, Meta(ge=0)]] | UnsetType | None = UNSET
    eps: Annotated[float, Meta(gt=0)] | UnsetType | None = UNSET
    num_features: Size = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
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
        return ScaleLayer(scale, bias - mean * scale), width


_LAYERS: dict[str, type[_LayerForm]] = {
    "linear": _DenseForm,
    "relu": _ReluForm,
    "batch_norm": _BatchNormForm,
    "dropout": _DropoutForm,
}


class _LayerHeader(Struct):
    type: Raw


class MLPForm(Struct):
    """Layers, of which each says its type; ``dropout`` is what training used."""

    model_names: Annotated[list[Name], Meta(min_length=1)]
    feature_dim: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    layers: list[Raw]
    n_classes: IgnoredSize = UNSET
    hidden_sizes: IgnoredSize = UNSET
    dropout: float | UnsetType | None = UNSET


class MLPDocument(Document, frozen=True, eq=False):
    """A checked MLP model: dense layers with a ReLU between each two, and one output per language model."""

    model_names: tuple[str, ...]
    layers: tuple[DenseLayer, ...]


def _check(form: MLPForm, source: Source, reader: Reader) -> MLPDocument:
    forms = [_layer_form(layer, f"$.layers[{index}]") for index, layer in enumerate(form.layers)]
    source.fields["layers"] = to_builtins(forms)
    layers, width = [], form.feature_dim
    for index, layer_form in enumerate(forms):
        layer, width = layer_form.checked(f"$.layers[{index}]", width)
        if layer is not None:
            layers.append(layer)
    if not any(isinstance(layer, DenseLayer) for layer in layers):
        refuse("$.layers", "expected at least one linear layer")
    if width != len(form.model_names):
        refuse("$.layers", f"expected {len(form.model_names)} outputs, one per $.model_names, got {width}")
    reader.ignored_size(form.n_classes, width, "$.n_classes", "$.model_names")
    hidden = [len(layer.bias) for layer in layers if isinstance(layer, DenseLayer)][:-1]
    reader.ignored_size(form.hidden_sizes, hidden, "$.hidden_sizes", "the widths of $.layers")
    try:
        folded = fold(layers)
    except ValueError as error:
        refuse("$.layers", str(error))
    return MLPDocument(source, tuple(form.model_names), tuple(folded))


def _layer_form(layer: Raw, path: str) -> _LayerForm:
    kind = decode_choice(decode(layer, _LayerHeader, path).type, _LAYERS, f"{path}.type")
    return decode(layer, _LAYERS[kind], path)


class MLPModelSelector(ChoiceSelector, MLPClassifier):
    """Picks the model of the most probable class; each class is a choice. Of equal ones the last is picked.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray of float64
        Dense layers, with batch normalisation folded into them.
    """

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Softmax probabilities, shape (b, n_models)."""
        probabilities: Matrix = self._forward_pass_fast(checked_features(self, X), check_input=False)
        return probabilities

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        last = -1 - self.choice_scores(X)[:, ::-1].argmax(axis=1)
        names: Names = self.choice_models_[last]
        return names


def _build(document: MLPDocument) -> MLPModelSelector:
    layers = document.layers
    estimator = MLPModelSelector(hidden_layer_sizes=tuple(len(layer.bias) for layer in layers[:-1]))
    estimator.coefs_ = [layer.weights.T for layer in layers]
    estimator.intercepts_ = [layer.bias for layer in layers]
    estimator.n_layers_, estimator.n_outputs_ = len(layers) + 1, len(document.model_names)
    estimator.out_activation_ = "softmax"
    estimator.classes_ = name_array(document.model_names)
    estimator.n_features_in_ = layers[0].weights.shape[1]
    estimator.set_choices(document.model_names)
    estimator.semantics = document.source.semantics
    return estimator


OUTPUTS = {Output.SCORE: "double", Output.CLASSIFIER: "index", Output.ESTIMATE: "float"}


def _add_graph(graph: Graph, estimator: MLPModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write a chain of dense layers, in float32 where that decides, else in float64.

    ::

        features ─┬─ Cast f32 ─ Gemm ─ Relu ─ ... ─ Gemm ─ estimate (b, n_models)
        (b, d)    │
                  └─ If refine: Gemm ─ Relu ─ ... ─ Gemm ─ Softmax ─┬─ score (b, n_models)
                                                                    └─ ArgMax ─ classifier (b,)

    ``softmax(W_n relu(... relu(W_1 x + b_1) ...) + b_n)``: batch normalisation was folded into the layers when the
    estimator was built. ArgMax takes the last. The softmax keeps the order of what it is given, which is estimated in
    float32: what the margin of the best does not prove, see `modelpick.converter.graphs.margins`, is for the caller to
    refine.
    """
    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    stored = [graph.stored_exactly("layer", weights) for weights in estimator.coefs_]
    narrow = graph.node("Cast", features, to=FLOAT)
    for index, (name, (_, bias)) in enumerate(zip(stored, layers, strict=True)):
        parts = narrow, graph.node("Cast", name, to=FLOAT), graph.in_float32("search_bias", bias)
        if index + 1 < len(layers):
            narrow = graph.node("Relu", graph.node("Gemm", *parts))
        else:
            graph.output(outputs[Output.ESTIMATE], "Gemm", *parts)
    needed = needed_margin([(weights.T, bias) for weights, bias in layers])
    needed = needed._replace(constant=needed.constant + DISTINCT)
    graph.constant(Table.LEAD, np.array(needed))

    refined, values = graph.branch(), features
    for index, (name, (_, bias)) in enumerate(zip(stored, layers, strict=True)):
        if index:
            values = refined.node("Relu", values)
        values = refined.node("Gemm", values, refined.node("Cast", name, to=DOUBLE), refined.constant("bias", bias))
    scores = refined.node("Softmax", values, axis=1)
    classifier = refined.node("ArgMax", scores, axis=1, keepdims=0, select_last_index=1)
    graph.in_float64(outputs, OUTPUTS, refined, {Output.SCORE: scores, Output.CLASSIFIER: classifier})


def _describe(estimator: MLPModelSelector) -> dict[str, Any]:
    values = sum(len(bias) for bias in estimator.intercepts_) + estimator.n_features_in_
    return describe_choices(estimator, 0, "score, then the last model", values)


def _probes(estimator: MLPModelSelector) -> Probes:
    return Probes(estimator.coefs_[0].T, np.arange(estimator.coefs_[0].shape[1]))


def _train(format_version: int, training: Training) -> dict[str, Any]:
    examples, settings = training.examples(), training.settings
    present, labels = np.unique(examples.models, return_inverse=True)
    layers: list[tuple[Matrix, Matrix]] = [(np.zeros((training.features.shape[1], 1)), np.zeros(1))]
    if len(present) > 1:
        epochs = -(-STEPS * BATCH // len(labels))
        network = MLPClassifier(settings.hidden, alpha=DECAY, max_iter=epochs, random_state=settings.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it stops early on purpose
            network.fit(training.features[examples.queries], labels, examples.weights)
        layers = list(zip(network.coefs_, network.intercepts_, strict=True))
        if len(present) == 2:  # one output, of the second class: the softmax of 0 and z is its logistic function
            last, bias = layers[-1]
            layers[-1] = (np.hstack([np.zeros_like(last), last]), np.append(0.0, bias))
    # Models that are no labels are candidates nevertheless: each follows the first label's output, and never wins.
    names = training.benchmark.model_names
    last, bias = layers[-1]
    of_all, bias_of_all = np.repeat(last[:, :1], len(names), axis=1), np.full(len(names), bias[0] - BELOW)
    of_all[:, present], bias_of_all[present] = last, bias
    layers[-1] = (of_all, bias_of_all)
    written: list[dict[str, Any]] = []
    for weights, bias in layers:
        if written:
            written.append({"type": "relu"})
        shape = {"in_features": weights.shape[0], "out_features": weights.shape[1]}
        written.append({"type": "linear", **shape, "weight": weights.T.tolist(), "bias": bias.tolist()})
    return {
        **({} if format_version == 1 else {"format_version": format_version}),
        "model_names": names,
        "n_classes": len(names),
        "hidden_sizes": [len(bias) for _, bias in layers[:-1]],
        # None is used, but the original's first reader wants the field.
        "dropout": 0.0,
        "layers": written,
    }


def _grid(settings: Settings) -> list[Settings]:
    return [settings._replace(hidden=(width,)) for width in HIDDEN]


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    for settings in grid:
        fields = _train(1, training._replace(settings=settings))
        values = held_out
        for layer in fields["layers"]:
            if layer["type"] == "relu":
                values = np.maximum(values, 0.0)
            else:
                values = values @ np.array(layer["weight"]).T + np.array(layer["bias"])
        yield fixed(settings, values.argmax(axis=1))


ROWS = tuple(
    Row(
        algorithm="mlp",
        semantics=f"native/{version}",
        form=MLPForm,
        load=via_document(_check, _build),
        estimator=MLPModelSelector,
        outputs=OUTPUTS,
        graph=_add_graph,
        describe=_describe,
        # Layers are folded: they stand in `Source.fields` as they were.
        stored_rows=lambda estimator: [],
        probes=_probes,
        train=partial(_train, version),
        grid=_grid,
        shared_trials=_trials,
        settings=frozenset({"hidden", "quality_weight"}),
        expect=expect_classifiers,
        hold=hold_classifiers,
    )
    # Both generations pick alike.
    for version in (1, 2)
)
