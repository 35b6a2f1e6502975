"""The public functions of modelpick.converter: typed throughout, and each takes what the one before returns."""

import inspect
import json
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import modelpick.converter
from modelpick.converter import (
    Settings,
    best_settings,
    choose,
    compare,
    convert,
    evaluate,
    read_records,
    train,
    training_data,
    tune,
)
from modelpick.converter.algorithms.row import Row
from modelpick.converter.training.train import check_settings, trainer
from modelpick.runtime import DocumentError, ModelpickError, Objective, Selector
from support.recorded import DATA, routed

# `verify` takes what a selector does, which is anything that numpy can read.
FUNCTIONS = [name for name in modelpick.converter.__all__ if name.islower() and name != "verify"]


def holds_any(annotation):
    """Whether a caller is left without a type; the types of a row are its algorithm's own."""
    return annotation is Any or (get_origin(annotation) is not Row and any(map(holds_any, get_args(annotation))))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_typed_throughout(name):
    function = getattr(modelpick.converter, name)
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    assert set(hints) == {*parameters, "return"}
    assert [part for part, hint in hints.items() if holds_any(hint)] == []


def test_each_step_takes_what_the_one_before_returns(tmp_path):
    training = training_data(read_records(routed(60)), Settings(seed=1))
    (compared,) = compare(training, ["kmeans"])
    settings = best_settings(tune(training, compared.row))
    model = train(training._replace(settings=settings), compared.row, digests=False)
    assert model["algorithm"] == "kmeans"
    target = tmp_path / "kmeans.onnx"
    assert convert(json.dumps(model).encode(), target, samples=20).passed
    found = evaluate([target], read_records(routed(60)))
    assert [policy.label for policy in found.policies] == ["kmeans"]
    assert found.all_pay == found.verdicts[0].pays
    with Selector.load(target) as selector:
        assert {pick.pick for pick in found.picks()} <= set(selector.model_names)


def test_names_and_settings_that_nothing_knows_are_refused():
    training = training_data(read_records(DATA), Settings(seed=1))
    with pytest.raises(DocumentError, match=r"algorithm: expected one of knn, .* got 'knm'"):
        train(training, "knm")
    with pytest.raises(ModelpickError, match=r"^--hidden: expected an algorithm that takes it"):
        check_settings(Settings(hidden=(3,)), [trainer("knn")], tuned=False)
    with pytest.raises(DocumentError, match="expected records with the cost"):
        choose(training_data(read_records(DATA), Settings(objective=Objective(cost_weight=1.0))))
