"""A preference a request: in the name of the model, or in headers."""

import openai
import pytest

from modelpick.gateway.config import read
from modelpick.runtime.text import TextSelector
from support.gateways import CODE, POEM, ask, client_of, served, write_gateway


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def client(folder, backends):
    prices = {
        "large": "input_price = 10\noutput_price = 25\n",
        "medium": "input_price = 1\noutput_price = 5\n",
        "small": "input_price = 1\noutput_price = 1\n",
    }
    file = write_gateway(folder, backends, more=prices)
    with served(read(file)) as url, client_of(url) as client:
        yield client


# Predicted of code: large 0.9, medium 0.6, small 0.2; an answer costs 0.01, 0.002 and 0.0004.
@pytest.mark.parametrize(
    ("model", "headers", "best"),
    [
        ("auto", {}, "large"),
        ("auto", {"x-modelpick-cost-weight": "0"}, "large"),
        ("auto", {"x-modelpick-cost-weight": "60"}, "medium"),
        ("auto", {"x-modelpick-cost-weight": "1000"}, "small"),
        ("auto", {"x-modelpick-quality": "0.85"}, "large"),
        ("auto", {"x-modelpick-quality": "0.5"}, "medium"),
        ("auto", {"x-modelpick-quality": "0.1"}, "small"),
        ("auto", {"x-modelpick-quality": "2"}, "large"),
    ],
)
def test_the_pick_follows_it(client, model, headers, best):
    assert ask(client, CODE, model, extra_headers=headers)[1]["x-modelpick-model"] == best


def test_a_share_to_keep_stands_in_the_name_or_a_header(client, folder):
    costs = {"large": 0.01003, "medium": 0.002003, "small": 0.000403}  # 3 tokens, and 400
    with TextSelector.load(folder / "artifacts/router.onnx", folder / "encoder.onnx") as selector:
        expected = [selector.explain(messages=CODE, keep=share, costs=costs)["model"] for share in (1.3, 0.3)]
    assert len({*expected}) == 2
    for share, model in zip(("1.3", "0.3"), expected, strict=True):
        assert ask(client, CODE, f"auto:{share}")[1]["x-modelpick-model"] == model
        assert ask(client, CODE, extra_headers={"x-modelpick-keep": share})[1]["x-modelpick-model"] == model


@pytest.mark.parametrize(
    ("model", "headers", "param", "message"),
    [
        ("auto:", {}, "keep", "keep"),
        ("auto:much", {}, "keep", "keep"),
        ("auto:nan", {}, "keep", "keep"),
        ("auto:-1", {}, "messages", "keep: expected a positive number"),
        ("auto:9", {}, "messages", "keep: expected a share that an operating point promises"),
        ("auto:0.9", {"x-modelpick-quality": "0.5"}, None, "expected one of keep, weights, and quality"),
        ("auto", {"x-modelpick-cost-weight": "-1"}, "cost_weight", "cost_weight"),
        ("auto", {"x-modelpick-cost-weight": "inf"}, "cost_weight", "cost_weight"),
    ],
)
def test_what_cannot_be_preferred_is_a_400(client, model, headers, param, message):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, POEM, model, extra_headers=headers)
    assert refused.value.param == param
    assert message in refused.value.message


def test_autos_relatives_are_no_auto(client):
    with pytest.raises(openai.NotFoundError):
        ask(client, POEM, "automatic")
