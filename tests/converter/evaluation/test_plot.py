"""The drawing of the frontier: what it names, and in which inks."""

import re
from functools import cache
from xml.etree import ElementTree

import pytest

from modelpick.converter.evaluation.evaluate import MANY, evaluate_policies
from modelpick.converter.evaluation.plot import PAGE, PHONE, TOGETHER, drawn, has_prices, plot
from modelpick.runtime import ModelpickError
from support.policies import policy, recorded

BENCHMARK = recorded([[0.0, 0.5, 1.0], [0.2, 0.4, 0.9]] * 4, [[1, 2, 9]] * 8)


@cache
def evaluated(*names):
    return evaluate_policies([policy("aaaacccc", BENCHMARK, name) for name in names], BENCHMARK)


def texts(image):
    return ["".join(one.itertext()) for one in ElementTree.fromstring(image).iter() if one.tag.endswith("}text")]


@pytest.mark.parametrize("inches", [PAGE, PHONE])
def test_every_policy_is_named_also_where_several_lie_at_one_place(inches):
    evaluation = evaluated("one", "two")
    named = texts(drawn(evaluation, inches=inches))
    assert {"one", "two", "a", "b", "c", "random", "oracle"} <= set(named)


def test_of_many_policies_at_one_place_some_are_named_and_the_others_counted():
    named = texts(drawn(evaluated(*map(str, range(TOGETHER + 3)))))
    assert {"0", "1", "2", "3", "and 3 more"} <= set(named)


@pytest.mark.filterwarnings("error")
def test_a_name_is_text_and_no_formula_or_line():
    evaluation = evaluated("$x^2$ <b>\n模型")
    assert r"$x^2$ <b>\u000a模型" in texts(drawn(evaluation))


def test_wide_prices_have_round_numbers_on_a_logarithmic_axis():
    numbers = texts(drawn(evaluated("one")))
    assert {"1", "2", "5"} <= set(numbers)


def test_is_the_same_each_time_and_of_another_ink_in_the_dark():
    evaluation = evaluated("one")
    assert drawn(evaluation) == drawn(evaluation)
    inks = [
        re.search(r"<text style=[^>]*?fill: (#\w+)", drawn(evaluation, dark=dark).decode()) for dark in (True, False)
    ]
    assert [ink and ink[1] for ink in inks] == ["#ffffff", None]


def test_without_prices_there_is_nothing_to_draw():
    unpriced = BENCHMARK._replace(recorded=BENCHMARK.recorded * [[[1.0], [float("nan")], [float("nan")]]])
    assert not has_prices(evaluate_policies([policy("aaaacccc", unpriced)], unpriced))
    assert has_prices(evaluated("one"))


@pytest.mark.parametrize(("suffix", "head"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_is_of_the_kind_that_its_name_says(suffix, head, tmp_path):
    plot(evaluated("one"), tmp_path / f"plot.{suffix}")
    assert (tmp_path / f"plot.{suffix}").read_bytes().startswith(head)


def test_refuses_other_kinds(tmp_path):
    with pytest.raises(ModelpickError, match=r"expected a name that ends in \.svg or \.png"):
        plot(evaluated("one"), tmp_path / "plot.gif")


def test_of_many_models_those_that_are_called_are_named():
    many = [f"model-{place}" for place in range(MANY + 8)]
    benchmark = recorded(
        [[place / 20 for place in range(len(many))]] * 8, [[1 + place for place in range(len(many))]] * 8, names=many
    )
    named = texts(drawn(evaluate_policies([policy(["model-7"] * 8, benchmark)], benchmark)))
    assert {"p", "oracle", "random", "model-0", "model-7"} <= set(named)
    assert len([name for name in named if name.startswith("model-")]) == 3
