"""What a request needs of a model, and why a backend cannot serve it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from modelpick.runtime.text import Encoder
from modelpick.runtime.text.messages import texts_of

from .config import Backend, Kind

# Characters of a piece of a prompt whose tokens are counted; the tokens of a longer prompt are estimated from pieces.
PIECE, PIECES = 64, 16
# Tokens that one picture, sound or file counts as.
ATTACHMENT_TOKENS = 1_000
# Margin on an estimate, since each model has another tokenizer.
MARGIN = 1.15
ANSWER_LIMITS = ("max_completion_tokens", "max_tokens")
_PARTS: Mapping[str, Kind] = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "file": "file",
    "input_file": "file",
}


def _has_tools(body: Mapping[str, Any]) -> bool:
    return bool(body.get("tools") or body.get("functions"))


def _has_schema(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") == "json_schema"


# Keys of a body that show a need.
_FIELDS: Mapping[Kind, Callable[[Mapping[str, Any]], bool]] = {"tools": _has_tools, "json_schema": _has_schema}
ORDER = get_args(Kind)


class Needs(NamedTuple):
    """What a request needs."""

    kinds: frozenset[Kind]
    """Contents other than text."""
    prompt_tokens: int
    """Estimated tokens of the prompt, without margin."""
    answer_limit: int | None
    """Most tokens of the answer, if the request limits them."""

    def answer_tokens(self, backend: Backend) -> int:
        """Return the tokens of a usual answer."""
        return min(backend.answer_tokens, self.answer_limit if self.answer_limit is not None else backend.answer_tokens)

    def refusal(self, backend: Backend) -> str | None:
        """Return why a backend cannot serve the request; None where it can."""
        if backend.accepts is not None and (lacking := self.kinds.difference(backend.accepts)):
            return f"takes no {', '.join(sorted(lacking, key=ORDER.index))}"
        most, context = backend.max_output_tokens, backend.context_tokens
        if self.answer_limit is not None and most is not None and self.answer_limit > most:
            return f"answers {most} tokens at most, {self.answer_limit} are asked for"
        needed = int(self.prompt_tokens * MARGIN) + (self.answer_limit or 0)
        if context is not None and needed > context:
            return f"holds {context} tokens, about {needed} are needed"
        return None


def needs_of(body: Mapping[str, Any], encoder: Encoder) -> Needs:
    """Return what a chat completion needs.

    Raises
    ------
    FeatureError
        When the messages do not have OpenAI's layout.
    """
    messages: Any = body.get("messages")
    texts = texts_of(messages)
    kinds = {kind for kind, shows in _FIELDS.items() if shows(body)}
    attached = [_PARTS[part["type"]] for message in messages for part in _parts(message) if part["type"] in _PARTS]
    for field in ("tools", "functions", "response_format"):
        if body.get(field):
            texts = [*texts, json.dumps(body[field])]
    limits = [body[name] for name in ANSWER_LIMITS if _is_count(body.get(name))]
    tokens = estimated(texts, encoder) + ATTACHMENT_TOKENS * len(attached)
    return Needs(frozenset(kinds.union(attached)), tokens, min(limits, default=None))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else ()


def estimated(texts: Sequence[str], encoder: Encoder) -> int:
    """Estimate the tokens of texts by an encoder's tokenizer, on evenly spread pieces of the texts."""
    pieces = [text[place : place + PIECE] for text in texts for place in range(0, len(text), PIECE)]
    if not pieces:
        return 0
    counted = pieces if len(pieces) <= PIECES else [pieces[len(pieces) * place // PIECES] for place in range(PIECES)]
    added = encoder.tokens("").count
    tokens = sum(encoder.tokens(piece).count - added for piece in counted)
    return round(tokens * sum(map(len, pieces)) / sum(map(len, counted)))
