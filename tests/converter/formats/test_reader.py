"""Sizes and names that a file declares: what contradicts its numbers is refused, or else warned of."""

import copy
import json
import warnings

import numpy as np
import pytest

from modelpick.converter import load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from modelpick.runtime import DocumentError

WIDTH = 4
MODELS = ["a", "b", "c"]
RNG = np.random.default_rng(0)
RECORDS = b"\n".join(
    json.dumps(
        {"query": f"q{i}", "model_name": model, "performance": RNG.uniform(0.1, 0.9), "response_time": 1, "cost": 1}
        | {"embedding": [float(i % 5), float(i % 3), float(i % 7), 1.0]}
    ).encode()
    for i in range(30)
    for model in MODELS
)
RBF = {"model_name": "a", "alpha": [1.0], "support_vectors": [[1.0] * WIDTH], "rho": 0.1, "gamma": 1.0}
LINEAR = {"model_name": "b", "weights": [1.0] * WIDTH, "rho": 0.5}
ONE_AGAINST_REST = {
    "algorithm": "svm",
    "trained": True,
    "model_names": MODELS,
    "gamma": 1.0,
    "feature_dim": WIDTH,
    "n_classes": 3,
}
NORMALISED = {
    "algorithm": "mlp",
    "trained": True,
    "model_names": MODELS,
    "feature_dim": WIDTH,
    "n_classes": 3,
    "hidden_sizes": [2],
    "dropout": 0.1,
    "layers": [
        {"type": "linear", "in_features": WIDTH, "out_features": 2, "weight": [[1.0] * WIDTH] * 2, "bias": [0.0] * 2},
        {"type": "relu"},
        {"type": "batch_norm", "num_features": 2, "weight": [1.0] * 2, "bias": None},
        {"type": "dropout", "p": 0.1},
        {"type": "linear", "in_features": 2, "out_features": 3, "weight": [[1.0] * 2] * 3, "bias": None},
    ],
}
SAMPLES = {
    "algorithm": "knn",
    "trained": True,
    "k": 1,
    "samples": [{"feature_vector": [1.0] * WIDTH, "model_name": "a"}],
    "num_samples": 1,
    "feature_dim": WIDTH,
}
# Whole numbers that are not the sizes of the values next to them.
FREE = {"k", "seed", "n_init", "max_iter", "min_support", "requested_k", "train_queries", "C", "format_version"} | {
    *("response_latency_ns", "timestamp"),
}


def written():
    """Return a file of each form, with all that it may declare; and the rules by which it is read."""
    training = training_data(read_records(RECORDS), Settings(clusters=3, k=2), one_hot=False)
    trained = {
        f"{rules.algorithm} {rules.semantics}": (train(training, rules), rules.semantics)
        for rules in TABLE.values()
        if rules.fit
    }
    return trained | {
        "svm trainer/1": (trained["svm native/1"][0], "trainer/1"),
        "svm native/2 at top level": (trained["svm native/1"][0], "native/2"),
        "svm linear": (ONE_AGAINST_REST | {"kernel_type": "Linear", "linear_classifiers": [LINEAR]}, "native/1"),
        "svm rbf": (ONE_AGAINST_REST | {"kernel_type": "Rbf", "rbf_classifiers": [RBF]}, "native/1"),
        "mlp normalised": (NORMALISED, "native/1"),
        "knn samples": (SAMPLES, "native/1"),
    }


FILES = written()


def declared(value, path=()):
    """Yield the places of whole numbers that are fields of their own, and of lists of widths."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in FREE and (type(inner) is int or name == "hidden_sizes"):
                yield (*path, name)
            if name != "operating_points":  # what was measured in training
                yield from declared(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from declared(inner, (*path, place))


def noticed(model, semantics):
    """Whether a file is refused or warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            load_estimator(json.dumps(model).encode(), semantics=semantics)
        except DocumentError:
            return True
    return bool(caught)


PLACES = {
    f"{name}: {'.'.join(map(str, path))}": (name, path)
    for name, (model, _) in FILES.items()
    for path in declared(model)
}


def test_finds_what_is_declared():
    found = {path[-1] for _, path in PLACES.values()}
    assert found >= {"num_samples", "feature_dim", "n_clusters", "num_clusters", "effective_k", "dim", "n_classes"}
    assert found >= {"in_features", "out_features", "num_features", "hidden_sizes"}


@pytest.mark.parametrize("name", FILES)
def test_what_train_writes_declares_what_is_there(name):
    model, semantics = FILES[name]
    assert not noticed(model, semantics)


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("name", "path"), PLACES.values(), ids=PLACES)
def test_finds_another_size(name, path, by):
    model, semantics = copy.deepcopy(FILES[name][0]), FILES[name][1]
    place = model
    for step in path[:-1]:
        place = place[step]
    value = place[path[-1]]
    place[path[-1]] = value + by if isinstance(value, int) else [width + by for width in value]
    assert noticed(model, semantics)


REFUSED = {
    "unknown model, linear": (
        "svm linear",
        {"linear_classifiers": [LINEAR | {"model_name": "x"}]},
        "$.linear_classifiers[0].model_name: expected one of $.model_names, got 'x'",
    ),
    "unknown model, rbf": (
        "svm rbf",
        {"rbf_classifiers": [RBF | {"model_name": "x"}]},
        "$.rbf_classifiers[0].model_name: expected one of $.model_names, got 'x'",
    ),
    "flat kernel": (
        "svm rbf",
        {"rbf_classifiers": [RBF | {"gamma": 0}]},
        "$.rbf_classifiers[0].gamma: expected `float`",
    ),
    "width": ("svm rbf", {"feature_dim": 5}, "$.feature_dim: expected 4, the columns of $.rbf_classifiers[0].support_"),
    "empty bias": (
        "mlp normalised",
        {"layers": [NORMALISED["layers"][0] | {"bias": []}, *NORMALISED["layers"][1:]]},
        "$.layers[0].bias: expected 2 values, one per row of weight, got 0",
    ),
    "empty scale": (
        "mlp normalised",
        {"layers": [*NORMALISED["layers"][:2], {"type": "batch_norm", "weight": []}, *NORMALISED["layers"][3:]]},
        "$.layers[2].weight: expected 2 values, one per output of the layer before, got 0",
    ),
    "inputs": (
        "mlp normalised",
        {"layers": [NORMALISED["layers"][0] | {"in_features": 5}, *NORMALISED["layers"][1:]]},
        "$.layers[0].in_features: expected 4, the columns of weight, got 5",
    ),
    "scaled columns": (
        "mlp normalised",
        {"layers": [*NORMALISED["layers"][:2], {"type": "batch_norm", "num_features": 3}, *NORMALISED["layers"][3:]]},
        "$.layers[2].num_features: expected 2, one per output of the layer before, got 3",
    ),
    "kernel ridge": (
        "kernel_ridge native/2",
        {"feature_dim": 9},
        "$.feature_dim: expected 4, the columns of $.s",
    ),
}


@pytest.mark.parametrize(("name", "fields", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_contradicts_the_numbers(name, fields, message):
    model, semantics = FILES[name]
    with pytest.raises(DocumentError) as caught:
        load_estimator(json.dumps(model | fields).encode(), semantics=semantics)
    assert str(caught.value).startswith(f"<bytes>: {message}")
