"""The rows of support vector machines.

``native/1`` picks by one classifier for each model, as the original did. ``native/2``, as the original does now, and
``trainer/1``, as its training code predicts, compare each pair of models by an SVC; the model with the most won
comparisons is picked. The two read different fields, and count comparisons among candidates differently.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import Output

from ...formats.outcomes import Settings, Training
from ..base import Matrix
from ..choices import describe_choices, expect_classifiers, hold_classifiers
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Probes, Row, WholeGraph, explained_scores
from .estimators import OneVsOneModelSelector, OneVsRestModelSelector
from .forms import (
    KERNELS,
    OneVsOneForm,
    OneVsRestForm,
    TrainerForm,
    classifiers,
    load_one_vs_one,
    load_one_vs_rest,
    load_trainer,
    one_vs_rest_instead,
    svc_parameters,
)
from .graph import (
    ONE_VS_ONE,
    add_one_vs_one,
    add_one_vs_rest,
    expands_machines,
    expands_pairs,
    one_vs_rest_outputs,
    shared_support_vectors,
)
from .training import fit_one_vs_one, fit_one_vs_rest, of_all_models, trained_pairs

# Penalties, and widths of the kernel, that tuning tries.
PENALTIES, GAMMAS = (0.25, 1.0, 4.0), (0.5, 1.0, 2.0)


def _describe_one_vs_rest(estimator: OneVsRestModelSelector) -> dict[str, Any]:
    vectors = sum(len(machine.support_vectors) for machine in estimator.machines_)
    widths = 1 if not vectors or expands_machines(estimator) else vectors
    values = estimator.n_features_in_ * widths + vectors
    return describe_choices(estimator, vectors, "score, then classifier", values)


def _stored_rows(estimator: OneVsRestModelSelector) -> list[int]:
    linear, places = len(estimator.coef_), shared_support_vectors(estimator.machines_).places
    return [*range(linear), *(linear + row for place in places for row in place)]


def _probes_one_vs_rest(estimator: OneVsRestModelSelector) -> Probes:
    matrices = [*estimator.coef_[:, None], *(machine.support_vectors for machine in estimator.machines_)]
    return Probes(np.vstack(matrices), np.repeat(estimator.choice_models_, [len(vectors) for vectors in matrices]))


def _describe_one_vs_one(estimator: OneVsOneModelSelector) -> dict[str, Any]:
    count, width = estimator.vectors_.shape
    widths = 1 if estimator.kernel == "linear" or expands_pairs(estimator) else count
    vectors = len(estimator.support_vectors_)
    return describe_choices(estimator, vectors, "comparisons won, then model", width * widths + count)


def _probes_one_vs_one(estimator: OneVsOneModelSelector) -> Probes:
    return Probes(estimator.support_vectors_, np.repeat(np.arange(len(estimator.n_support_)), estimator.n_support_))


def _expect(estimator: OneVsOneModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    """Yield the expectations; a comparison in which rounding decides may go either way."""
    nothing, choices = np.empty(0), estimator.choice_models_
    first, second = (choices[models] for models in estimator.pairs)
    expected_pairs = estimator.pair_scores(queries)
    undecided_pairs = np.abs(expected_pairs) <= _roundings(estimator, queries)
    for why, pairs, close in zip(explained, expected_pairs, undecided_pairs, strict=True):
        scores = estimator.wins(pairs[None])[0]
        models = {choices[scores.argmax()]}
        if close.any():
            models = set(choices[_may_win(estimator, pairs, close)])
            won = np.array([classifier["score"] for classifier in why["classifiers"]])
            undecided = np.array([close[(first == model) | (second == model)].sum() for model in choices])
            scores = np.where(np.abs(won - scores) <= undecided, won, scores)
        answer = Answer(explained_scores(why, estimator.classes_), nothing)
        expected = Answer(estimator.best_per_model(scores[None])[0], nothing)
        yield Expected(answer, expected, models, bool(close.any()))


def _hold(estimator: OneVsOneModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    """Compare the comparisons with the estimator's, and the counts with the comparisons."""
    found, scores, chosen = ask((Output.PAIR, Output.SCORE, Output.CLASSIFIER), queries)
    pairs = estimator.pair_scores(queries)
    if found.shape == pairs.shape:
        pairs = np.where(np.abs(found - pairs) <= _roundings(estimator, queries), found, pairs)
    yield Held(Output.PAIR, found, pairs)
    won = estimator.wins(pairs)
    yield Held(Output.SCORE, scores, won)
    yield Held(Output.CLASSIFIER, chosen, won.argmax(axis=1))


def _roundings(estimator: OneVsOneModelSelector, queries: Matrix) -> Matrix:
    """Return the possible error of comparisons, (b, n_pairs): a share of the magnitudes that they add up."""
    largest = np.ones(len(queries))
    if estimator.kernel == "linear":
        largest = np.abs(queries @ estimator.vectors_.T).max(axis=1)
    added_up: Matrix = np.maximum(1.0, np.abs(estimator.pair_coef_).sum(axis=1) * largest[:, None])
    return TOLERANCE * added_up


def _may_win(estimator: OneVsOneModelSelector, pairs: Matrix, close: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which models may win if close comparisons can go either way: bool, (n_models,)."""
    first, second = estimator.pairs
    models = np.arange(len(estimator.choice_models_))[:, None]
    surely = (((pairs > 0) & ~close & (first == models)) | ((pairs <= 0) & ~close & (second == models))).sum(axis=1)
    perhaps = surely + (close & ((first == models) | (second == models))).sum(axis=1)
    may: npt.NDArray[np.bool_] = perhaps >= surely.max()
    return may


def _write_one_vs_rest(estimator: OneVsRestModelSelector, training: Training) -> dict[str, Any]:
    """Return the fields of a file of version 1: the classifiers, and an SVC, which other readers use."""
    settings, names = training.settings, training.benchmark.model_names
    fields: dict[str, Any] = {
        "model_names": names,
        "kernel_type": _kernel_type(settings),
        "gamma": settings.gamma,
        **classifiers(estimator),
        "kernel": settings.kernel,
        "C": settings.C,
        "n_classes": len(names),
    }
    pairs = trained_pairs(training)
    if len(pairs.labels) < 2:
        return fields
    fields |= svc_parameters(pairs) | {"classes": pairs.labels.tolist()}
    if len(pairs.labels) < len(names):
        # Today's router expects all models, and prefers these parameters to the others.
        fields["svc"] = svc_parameters(of_all_models(training, pairs))
    return fields


def _write_one_vs_one(estimator: OneVsOneModelSelector, training: Training) -> dict[str, Any]:
    """Return the fields of a file of version 2.

    Raises
    ------
    DocumentError
        When all records are of one model, so that there is nothing to compare.
    """
    settings, names = training.settings, training.benchmark.model_names
    if len(names) < 2:
        raise DocumentError(f"svm: expected records of two models or more, got {names[0]!r} alone")
    return {
        "format_version": 2,
        "model_names": names,
        "kernel_type": _kernel_type(settings),
        "gamma": settings.gamma,
        "input_normalization": "none",
        "svc": svc_parameters(estimator),
        "C": settings.C,
    }


def _kernel_type(settings: Settings) -> str:
    """Name the user's kernel as files do."""
    return next(name for name, kernel in KERNELS.items() if kernel == settings.kernel)


def _grid(settings: Settings) -> list[Settings]:
    """Return settings with other penalties, and other widths of a Gaussian kernel."""
    gammas = GAMMAS if settings.kernel == "rbf" else (settings.gamma,)
    return [settings._replace(C=C, gamma=gamma) for C in PENALTIES for gamma in gammas]


# Settings that training reads.
SETTINGS = frozenset({"C", "gamma", "kernel", "quality_weight"})
_one_vs_one = partial(
    Row,
    algorithm="svm",
    estimator=OneVsOneModelSelector,
    outputs=ONE_VS_ONE,
    graph=add_one_vs_one,
    describe=_describe_one_vs_one,
    stored_rows=lambda estimator: estimator.row_groups_.tolist(),
    probes=_probes_one_vs_one,
    expect=_expect,
    hold=_hold,
)
ROWS = (
    Row(
        algorithm="svm",
        semantics="native/1",
        form=OneVsRestForm,
        load=load_one_vs_rest,
        estimator=OneVsRestModelSelector,
        outputs=one_vs_rest_outputs,
        graph=add_one_vs_rest,
        describe=_describe_one_vs_rest,
        stored_rows=_stored_rows,
        probes=_probes_one_vs_rest,
        expect=expect_classifiers,
        hold=hold_classifiers,
        fit=fit_one_vs_rest,
        write=_write_one_vs_rest,
        grid=_grid,
        settings=SETTINGS,
        by_direction=True,
    ),
    _one_vs_one(
        semantics="native/2",
        form=OneVsOneForm,
        load=load_one_vs_one,
        instead=one_vs_rest_instead,
        fit=fit_one_vs_one,
        write=_write_one_vs_one,
        grid=_grid,
        settings=SETTINGS,
    ),
    _one_vs_one(semantics="trainer/1", form=TrainerForm, load=load_trainer),
)
