"""The rows of neural networks, and how a network is trained."""

import warnings
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from ...formats.outcomes import Settings, Training
from ..choices import describe_choices, expect_classifiers, hold_classifiers
from ..row import Probes, Row
from .estimators import MLPModelSelector
from .forms import MLPForm, layer_fields, load
from .graph import OUTPUTS, add_graph

# Chosen by cross-validation over queries: a validation split inside the fit would share queries with the training part.
STEPS, BATCH, DECAY = 150, 200, 1.0
# Widths of the hidden layer that tuning tries.
HIDDEN = (16, 32, 64, 128)
# How far the output of a model that labels no query is below another's: e^-50 does not change a softmax.
BELOW = 50.0
# Semantics -> version-specific fields of files; both generations pick alike.
_VERSIONS: dict[str, dict[str, Any]] = {"native/1": {}, "native/2": {"format_version": 2}}


def _describe(estimator: MLPModelSelector) -> dict[str, Any]:
    values = sum(len(intercept) for intercept in estimator.intercepts_) + estimator.n_features_in_
    return describe_choices(estimator, 0, "score, then the last model", values)


def _probes(estimator: MLPModelSelector) -> Probes:
    return Probes(estimator.coefs_[0].T, np.arange(estimator.coefs_[0].shape[1]))


def _fit(semantics: str, training: Training) -> MLPModelSelector:
    """Train a network that labels queries with models.

    Models that label no query are candidates too: their outputs follow the output of the first label, and never win.
    """
    examples, settings, names = training.examples(), training.settings, training.benchmark.model_names
    present, labels = np.unique(examples.models, return_inverse=True)
    coefs, intercepts = [np.zeros((training.features.shape[1], 1))], [np.zeros(1)]
    if len(present) > 1:
        epochs = -(-STEPS * BATCH // len(labels))
        network = MLPClassifier(settings.hidden, alpha=DECAY, max_iter=epochs, random_state=settings.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it stops early on purpose
            network.fit(training.features[examples.queries], labels, examples.weights)
        coefs, intercepts = list(network.coefs_), list(network.intercepts_)
    coef, intercept = coefs[-1], intercepts[-1]
    if len(present) == 2:  # one output, of the second class: the softmax of 0 and z is its logistic function
        coef, intercept = np.hstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)
    coefs[-1], intercepts[-1] = np.repeat(coef[:, :1], len(names), axis=1), np.full(len(names), intercept[0] - BELOW)
    coefs[-1][:, present], intercepts[-1][present] = coef, intercept
    return MLPModelSelector(semantics).fit(coefs, intercepts, names)


def _write(estimator: MLPModelSelector, training: Training) -> dict[str, Any]:
    return {
        **_VERSIONS[estimator.semantics],
        "model_names": training.benchmark.model_names,
        "n_classes": len(training.benchmark.model_names),
        "hidden_sizes": [len(intercept) for intercept in estimator.intercepts_[:-1]],
        # None is used, but the original's first reader wants the field.
        "dropout": 0.0,
        "layers": layer_fields(estimator),
    }


def _grid(settings: Settings) -> list[Settings]:
    return [settings._replace(hidden=(width,)) for width in HIDDEN]


ROWS = tuple(
    Row(
        algorithm="mlp",
        semantics=semantics,
        form=MLPForm,
        load=load,
        estimator=MLPModelSelector,
        outputs=OUTPUTS,
        graph=add_graph,
        describe=_describe,
        # Layers are folded: they stand in `Source.fields` as they were.
        stored_rows=lambda estimator: [],
        probes=_probes,
        fit=partial(_fit, semantics),
        write=_write,
        grid=_grid,
        settings=frozenset({"hidden", "quality_weight"}),
        expect=expect_classifiers,
        hold=hold_classifiers,
    )
    for semantics in _VERSIONS
)
