"""Requests that a model cannot serve go to one that can."""

import json

import openai
import pytest

from modelpick.gateway.config import Backend, read
from modelpick.gateway.needs import MARGIN, estimated, needs_of
from modelpick.runtime.text import Encoder
from support.gateways import CODE, ask, client_of, make_pair, served, write_gateway

SIZES = {
    "large": "context_tokens = 500\nmax_output_tokens = 100\naccepts = []\n",
    "medium": 'context_tokens = 1000\nmax_output_tokens = 200\naccepts = ["tools", "json_schema"]\n',
    "small": 'context_tokens = 4000\naccepts = ["image", "tools"]\n',
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://h/x.png"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory, backends):
    file = write_gateway(tmp_path_factory.mktemp("gateway"), backends, more=SIZES)
    with served(read(file)) as url, client_of(url) as client:
        yield client


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load(make_pair(8)[1])


def said(text, *parts):
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


@pytest.mark.parametrize(
    ("messages", "more", "best"),
    [
        (CODE, {}, "large"),
        (CODE, {"max_tokens": 100}, "large"),
        (CODE, {"max_tokens": 101}, "medium"),
        (CODE, {"max_completion_tokens": 201}, "small"),
        (CODE, {"tools": [TOOL]}, "medium"),
        (CODE, {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "medium"),
        (CODE, {"response_format": {"type": "json_object"}}, "large"),
        (said("code", PICTURE), {}, "small"),
        (said("code " * 380), {}, "large"),
        (said("code " * 450), {}, "medium"),
        (said("code " * 300) * 3, {}, "small"),  # of all messages, not of the prompt alone
        ([{"role": "system", "content": "code " * 900}, *CODE], {}, "small"),
    ],
    ids=lambda it: str(it)[:40],
)
def test_the_best_of_those_that_can_serve_is_picked(client, messages, more, best):
    assert ask(client, messages, **more)[1]["x-modelpick-model"] == best


@pytest.mark.parametrize(
    ("messages", "more", "code", "words"),
    [
        (said("code " * 4000), {}, "context_length_exceeded", "small holds 4000 tokens, about"),
        (said("code", PICTURE), {"max_tokens": 4000}, "no_model_can_serve", "medium, large: takes no image"),
        (
            said("code", {"type": "input_audio", "input_audio": {}}),
            {},
            "no_model_can_serve",
            "small, medium, large: takes no audio",
        ),
    ],
)
def test_where_none_can_a_400_says_why(client, backends, messages, more, code, words):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, messages, **more)
    assert (refused.value.code, refused.value.param) == (code, "messages")
    assert words in refused.value.message
    assert not any(backend.seen for backend in backends.values())


def test_a_named_backend_is_asked_in_any_case(client, backends):
    ask(client, said("code " * 4000, PICTURE), "large")
    assert json.loads(backends["large"].seen[0][1])["model"] == "large"


def test_what_is_not_known_is_no_reason(encoder):
    backend = Backend(name="m", base_url="http://h")
    body = {"messages": said("code " * 9000, PICTURE), "max_tokens": 10**6, "tools": [TOOL]}
    assert needs_of(body, encoder).refusal(backend) is None


@pytest.mark.parametrize("words", [0, 1, 7, 100, 5_000])
def test_tokens_are_estimated_within_the_margin(encoder, words):
    texts = ["please " * words, "code poem " * words]
    true = 3 * words
    assert true <= estimated(texts, encoder) * MARGIN + 1
    assert estimated(texts, encoder) <= true * 1.2 + 1
