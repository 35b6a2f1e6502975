"""The grammar of query files, for every command that reads them.

A line of a file holds a query, or an array of queries; or the whole file is one array of queries over many lines. A
query is an array of numbers, its features; or an object with ``features``, or with ``embedding`` and ``category``.
Where an encoder reads texts, a query is a string, or an object with ``query`` or ``messages``, and perhaps
``category``. Other fields of objects are ignored.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
from msgspec import Struct

from modelpick.runtime import FeatureError

from .io import STDIN, open_bytes, reason
from .kinds import ARTIFACT, CSV, kind_of
from .text import LINE_BYTES, NOT_JSON, UNREADABLE, NotTextError, as_text, decode_json, numbered_lines

FEATURES = "features"
# A value over many lines is decoded as a whole if the file is no larger than this. Larger files are read line by line.
WHOLE_BYTES = 2**26
# Fields that hold a prompt: a text, or messages as OpenAI's clients send them.
PROMPTS = ("query", "messages")
TEXTS = "prompts are read with --encoder"
Prompt = str | list[Any]
Answer = TypeVar("Answer")


class Query(Struct, frozen=True):
    """Features; or an embedding or a prompt, with its category; or the reason why the query is invalid."""

    place: str
    """File, line and JSON path."""
    features: Any = None
    embedding: list[float] | None = None
    category: str | None = None
    prompt: Prompt | None = None
    """A text, or messages."""
    key: str | None = None
    """The key of a decision."""
    error: str | None = None

    def given_to(self, method: Callable[..., Answer]) -> Answer:
        """Call a method of a selector with this query.

        Raises
        ------
        FeatureError
            When the query has an error, or the method refuses it.
        """
        if self.error is not None:
            raise FeatureError(self.error)
        if self.embedding is not None:
            return method(embedding=self.embedding, category=self.category)
        if isinstance(self.prompt, str):
            return method(self.prompt, category=self.category)
        if self.prompt is not None:
            return method(messages=self.prompt, category=self.category)
        return method(self.features)


# Parses the value of a query, given its place.
Parse = Callable[[str, Any], Query]


def ask(method: Callable[..., Answer], query: Query) -> Answer:
    """Call a method of a selector with a query; a `FeatureError` names the query's place."""
    try:
        return query.given_to(method)
    except FeatureError as error:
        raise FeatureError(f"{query.place}: {error}") from None


def parse_query(place: str, value: Any, column: str = FEATURES) -> Query:
    """Parse the value of one query. Any value but an object is taken as features, which a selector checks.

    Parameters
    ----------
    place
        File, line and JSON path.
    column
        Name of the features in objects.
    """
    if isinstance(value, str):
        return Query(place, error=f"expected numbers, got a text: {TEXTS}")
    if not isinstance(value, dict):
        return Query(place, value)
    if value.get(column) is not None:
        return Query(place, value[column])
    if value.get("embedding") is None:
        texts = f", got a prompt: {TEXTS}" if any(value.get(key) is not None for key in PROMPTS) else ""
        return Query(place, error=f"expected an object with {column}, or with embedding and category{texts}")
    return _object(place, value, ("embedding", "category"), "an embedding of numbers, and a category that is a string")


def parse_prompt(place: str, value: Any) -> Query:
    """Parse the value of one query that is a prompt, see `parse_query`."""
    if isinstance(value, str):
        return Query(place, prompt=value)
    given = {} if not isinstance(value, dict) else {key: value[key] for key in PROMPTS if value.get(key) is not None}
    if not given:
        return Query(place, error=f"expected a text, or an object with {' or '.join(PROMPTS)}")
    if len(given) > 1:
        return Query(place, error=f"expected one of {' and '.join(PROMPTS)}")
    fields = {"prompt": next(iter(given.values())), "category": value.get("category")}
    return _object(place, fields, tuple(fields), "a text or messages, and a category that is a string")


def keyed(parse: Parse, field: str) -> Parse:
    """Return what parses a query as another function does, and its key: a text or a number of a field."""

    def parse_with_key(place: str, value: Any) -> Query:
        query, key = parse(place, value), value.get(field) if isinstance(value, dict) else None
        if query.error is None and (isinstance(key, (bool, float)) or not isinstance(key, (str, int))):
            return Query(place, error=f"{field}: expected a key, a text or a whole number")
        return msgspec.structs.replace(query, key=str(key))

    return parse_with_key


def _object(place: str, value: dict[str, Any], fields: Sequence[str], expected: str) -> Query:
    try:
        return msgspec.convert({**{field: value.get(field) for field in fields}, "place": place}, Query)
    except msgspec.ValidationError:
        return Query(place, error=f"expected {expected}")


def read_queries(path: Path | None, parse: Parse = parse_query) -> Iterator[Query]:
    """Read the queries of a file, of standard input if None.

    Parameters
    ----------
    parse
        Parses the value of a query: `parse_query`, or `parse_prompt`.

    Raises
    ------
    FeatureError
        When the file cannot be read, or has no queries.
    """
    name, file = open_bytes(STDIN if path is None else path, FeatureError)
    queries = parse_file(name, file, parse)
    first = next(queries, None)
    if first is None:
        raise FeatureError(f"{name}: expected at least one query")
    return chain([first], queries)


def parse_file(name: str, file: IO[bytes], parse: Parse = parse_query) -> Iterator[Query]:
    r"""Parse the queries of an open file; its lines end in "\n" or "\r\n", and blank ones are skipped.

    Parameters
    ----------
    name
        Name of the file, for the queries' places.
    parse
        See `read_queries`.

    Raises
    ------
    FeatureError
        When the file cannot be read, is not UTF-8 text, gzipped or not, or has a line of more than 64 MiB.
    """
    try:
        text = as_text(file)
        head = text.read(WHOLE_BYTES + 1)
        if (kind := kind_of(head)) in (ARTIFACT, CSV):
            raise NotTextError(f"expected queries, JSON or JSON lines, got {kind}")
        if len(head) <= WHOLE_BYTES:
            try:
                yield from _queries(name, msgspec.json.decode(head), parse)
                return
            except NOT_JSON:
                pass
        else:
            head += text.readline(LINE_BYTES)
        for number, line in numbered_lines(io.BytesIO(head), text):
            yield from _line(f"{name}:{number}", line, parse)
    except NotTextError as cause:
        raise FeatureError(f"{name}: {cause}") from None
    except UNREADABLE as cause:
        raise FeatureError(f"{name}: cannot be read: {reason(cause)}") from None


def _line(place: str, line: bytes, parse: Parse) -> Iterator[Query]:
    expected = "expected JSON, a prompt in double quotes" if parse is parse_prompt else "expected JSON"
    value, error = decode_json(line, expected)
    return iter([Query(place, error=error)]) if error else _queries(place, value, parse)


def _queries(place: str, value: Any, parse: Parse) -> Iterator[Query]:
    kinds = dict | str if parse is parse_prompt else dict | list
    if isinstance(value, list) and value and all(isinstance(query, kinds) for query in value):
        return (parse(f"{place}: $[{i}]", query) for i, query in enumerate(value))
    return iter([parse(place, value)])
