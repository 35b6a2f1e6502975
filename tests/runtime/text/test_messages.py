"""Conversations: which of their messages are the prompt."""

import pytest

from modelpick.runtime import FeatureError
from modelpick.runtime.text import TextSelector
from modelpick.runtime.text.messages import prompt_of
from support.prompts import CONVERSATION, IMAGE, KNOWN, MATH

PROMPTS = {
    "last_user": "Write a Python\nfunction",
    "user": f"{MATH}\nWrite a Python\nfunction",
    "all": f"You are kind.\n{MATH}\n42\nWrite a Python\nfunction",
}


@pytest.fixture
def selector(files):
    with TextSelector.load(files.selector, files.encoder) as loaded:
        yield loaded


@pytest.mark.parametrize("which", PROMPTS)
def test_the_messages_that_count_are_chosen(files, which):
    assert prompt_of(CONVERSATION, which) == PROMPTS[which]
    with TextSelector.load(files.selector, files.encoder, message=which) as selector:
        assert selector.scores(messages=CONVERSATION) == selector.scores(PROMPTS[which])
        assert selector.select_batch([CONVERSATION, MATH]) == [selector.select(PROMPTS[which]), KNOWN[MATH]]


def test_the_last_message_with_text_counts():
    assert prompt_of([{"role": "user", "content": "a"}, {"role": "user", "content": [IMAGE]}]) == "a"
    assert prompt_of([{"role": "user", "content": "a"}, {"role": "user", "content": "  "}]) == "a"
    assert prompt_of([{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]) == "a"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "expected text in a message of a user"),
        ([{"role": "system", "content": "a"}], "expected text in a message of a user"),
        ([{"role": "user", "content": [IMAGE]}], "expected text in a message of a user"),
        ("text", "messages: expected a list, got str"),
        ({"role": "user"}, "messages: expected a list, got dict"),
        (["text"], r"messages\[0\]: expected an object with role and content"),
        ([{"content": "a"}], r"messages\[0\]: expected an object with role"),
        ([{"role": "user", "content": 3}], r"messages\[0\].content: expected a string or a list of parts, got int"),
        ([{"role": "user", "content": ["a"]}], r"messages\[0\].content\[0\]: expected an object with type"),
        ([{"role": "user", "content": [{"type": "text"}]}], r"messages\[0\].content\[0\].text: expected a string"),
    ],
)
def test_refuses_messages_that_are_laid_out_otherwise(selector, messages, reason):
    with pytest.raises(FeatureError, match=reason):
        selector.select(messages=messages)
