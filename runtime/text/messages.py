"""Which part of a conversation, in the format of OpenAI's clients, is the prompt."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ..errors import FeatureError

Messages = Iterable[Mapping[str, Any]]
Which = Literal["last_user", "user", "all"]
_TEXT_PARTS = {"text", "input_text", "output_text"}


class _Said(NamedTuple):
    role: str
    text: str


_CHOICES: Mapping[str, Callable[[list[_Said]], list[_Said]]] = {
    "last_user": lambda said: [one for one in said if one.role == "user"][-1:],
    "user": lambda said: [one for one in said if one.role == "user"],
    "all": lambda said: said,
}
WHICH = tuple(_CHOICES)


def prompt_of(messages: Messages, which: Which = "last_user") -> str:
    """Return the text of the messages that count, joined by newlines.

    Parameters
    ----------
    messages
        A list, or an array or a series of objects, as data frames hold them. Each object has ``role`` and ``content``:
        a string, or a list of parts. Only parts of text count (``text``, ``input_text``, ``output_text``), not images,
        sounds and files. Messages without text, such as calls of tools, are skipped.
    which
        "last_user": the last message of a user; "user": all messages of users; "all": all messages, including the
        system's and tools'. Their order stays.

    Raises
    ------
    FeatureError
        When messages have another layout, or no message that counts has text.
    """
    said = _all_said(messages)
    chosen = _CHOICES[which]([one for one in said if one.text.strip()])
    if not chosen:
        raise FeatureError(f"messages: expected text in a message {'' if which == 'all' else 'of a user '}among them")
    return "\n".join(one.text for one in chosen)


def text_of(prompt: str | Messages, which: Which = "last_user") -> str:
    """Return the text of a prompt, which is a text or messages; see `prompt_of`."""
    return prompt if isinstance(prompt, str) else prompt_of(prompt, which)


def texts_of(messages: Messages) -> list[str]:
    """Return the text of each message, empty where it has none; raises `FeatureError` as `prompt_of` does."""
    return [one.text for one in _all_said(messages)]


def _all_said(messages: Messages) -> list[_Said]:
    listed = _listed(messages)
    if listed is None:
        raise FeatureError(f"messages: expected a list, got {type(messages).__name__}")
    return [_said(message, f"messages[{place}]") for place, message in enumerate(listed)]


def _listed(values: object) -> list[Any] | None:
    """Return a sequence as a list, or None for anything else; pandas reads the lists of a Parquet file as arrays."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        return None
    try:
        return list(values)
    except TypeError:  # an array without dimensions
        return None


def _said(message: object, place: str) -> _Said:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise FeatureError(f"{place}: expected an object with role and content")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return _Said(message["role"], content or "")
    parts = _listed(content)
    if parts is None:
        raise FeatureError(f"{place}.content: expected a string or a list of parts, got {type(content).__name__}")
    texts = [_part(part, f"{place}.content[{number}]") for number, part in enumerate(parts)]
    return _Said(message["role"], "\n".join(filter(None, texts)))


def _part(part: object, place: str) -> str:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise FeatureError(f"{place}: expected an object with type")
    if part["type"] not in _TEXT_PARTS:
        return ""
    if not isinstance(part.get("text"), str):
        raise FeatureError(f"{place}.text: expected a string")
    text: str = part["text"]
    return text
