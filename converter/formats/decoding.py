"""From JSON to values: a failure names its place, and what was expected there.

msgspec decodes and checks types. Where it fails, the type and the JSON are walked together to the first place that is
invalid by itself, and the message describes what was expected there.
"""

import re
from collections.abc import Iterable, Iterator, Sized
from functools import cache
from itertools import product
from math import isinf
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from modelpick.runtime.errors import CONTROLS

from ..files.io import Contents

Vector = npt.NDArray[np.float64]
INT64 = (-(2**63), 2**63 - 1)
# Names are printed on lines of their own, and pass through C strings: no control characters, no ends of lines.
Name = Annotated[str, Meta(pattern=rf"\A[^{CONTROLS}]+\Z")]
Count = Annotated[int, Meta(ge=1, le=INT64[1])]
Nanoseconds = Annotated[int, Meta(ge=INT64[0], le=INT64[1])]
# A size that a file declares: refused, or reported by a warning, where the numbers contradict it.
Size = int | UnsetType | None
# A size that the original does not read may have any type.
IgnoredSize = Any
_T = TypeVar("_T")
_NUMBER = re.compile(r"-?\d+(?P<fraction>[.eE].*)?")
# The first character of a JSON value tells its type; only integers and floats differ in their further characters.
_JSON_TYPES = {"{": "object", "[": "array", '"': "str", "t": "bool", "f": "bool", "n": "null"}
_PYTHON_TYPES = {list: "array", dict: "object", NoneType: "null", Literal: "str"}
_CONSTRAINTS = {
    "ge": ">= {}",
    "gt": "> {}",
    "le": "<= {}",
    "pattern": "matching regex {!r}",
    "min_length": "of length >= {}",
    "max_length": "of length <= {}",
}
# An object, or an array that starts with one.
_OBJECTS = re.compile(rb"\s*(?:\[\s*)?\{")


class DocumentWarning(UserWarning):
    """A JSON model is accepted although part of it is odd."""


class Refusal(Exception):  # noqa: N818
    """A place in a document that is invalid, and what was expected there: `load_estimator` adds the file's name."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")


def refuse(path: str, message: str) -> NoReturn:
    """Raise a `Refusal`."""
    raise Refusal(path, message)


def decode(data: Raw | Contents, kind: type[_T], path: str = "$", *, strict: bool = True) -> _T:
    """Decode JSON found at a path of a document; unless ``strict``, strings of numbers count as numbers.

    Raises
    ------
    Refusal
        When the JSON is of another type.
    msgspec.DecodeError, RecursionError
        When the bytes are not JSON.
    """
    try:
        decoded: _T = _decoder(kind, strict).decode(data)  # type: ignore[arg-type]
    except msgspec.ValidationError:
        raise _refusal(Raw(memoryview(data)), kind, path, strict) from None
    return decoded


def decode_choice(value: Raw, choices: Iterable[str], path: str) -> str:
    """Decode a string that must be one of the choices, such as the type of an object."""
    if not _text(value).startswith('"'):
        refuse(path, "expected `str`")
    found = decode(value, str, path)
    if found not in choices:
        refuse(path, f"expected one of {', '.join(choices)}, got '{found}'")
    return found


def vector(value: Raw, path: str) -> Vector:
    """Decode a non-empty array of numbers, float64, shape (d,)."""
    values = decode(value, list[float], path)
    if not values:
        refuse(path, "expected at least one number")
    return np.array(values, dtype=np.float64)


def check_length(values: Sized, length: int, path: str, of: str) -> None:
    """Refuse values unless there is one for each ``of``, of which there are ``length``."""
    if len(values) != length:
        refuse(path, f"expected {length} values, one per {of}, got {len(values)}")


def check_size(declared: Size, counted: int, path: str, of: str) -> None:
    """Refuse a declared size that differs from the counted one; an undeclared size is None."""
    if declared is not UNSET and declared is not None and declared != counted:
        refuse(path, f"expected {counted}, {of}, got {declared}")


class _FieldName:
    """A field's name, hashed by identity: a dict keeps every occurrence."""

    def __init__(self, name: str) -> None:
        self.name = name


_FIELDS = msgspec.json.Decoder(dict[_FieldName, Raw], dec_hook=lambda kind, name: kind(name))
_ITEMS = msgspec.json.Decoder(list[Raw])


def check_fields_once(value: Raw | Contents, path: str = "$") -> None:
    """Refuse an object that names a field twice: parsers differ on which of the two counts."""
    found = _OBJECTS.match(memoryview(value))
    if not found:
        return
    if b"[" in found[0]:
        for index, inner in enumerate(_ITEMS.decode(value)):
            check_fields_once(inner, f"{path}[{index}]")
        return
    seen = set()
    for field, inner in _FIELDS.decode(value).items():
        if field.name in seen:
            refuse(f"{path}.{field.name}", "expected once, found again")
        seen.add(field.name)
        check_fields_once(inner, f"{path}.{field.name}")


@cache
def _decoder(kind: Any, strict: bool = True) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=strict)


def _refusal(value: Raw, kind: Any, path: str, strict: bool) -> Refusal:
    """Return the refusal of the first part of an invalid value that is invalid by itself, else of the whole value."""
    for step, part, part_kind in _parts(value, kind):
        try:
            _decoder(part_kind, strict).decode(part)
        except msgspec.ValidationError:
            return _refusal(part, part_kind, path + step, strict)
    return Refusal(path, _expectation(value, kind))


def _parts(value: Raw, kind: Any) -> Iterator[tuple[str, Raw, Any]]:
    """Yield the parts of a value: the step to each part, the part, and its type."""
    opening = _text(value)[:1]
    for option, _ in _options(kind):
        if opening == "{" and isinstance(option, type) and issubclass(option, Struct):
            kinds = {field.encode_name: field.type for field in structs.fields(option)}
            for field, part in _decoder(dict[str, Raw]).decode(value).items():
                if field in kinds:
                    yield f".{field}", part, kinds[field]
        elif opening == "{" and get_origin(option) is dict:
            for field, part in _decoder(dict[str, Raw]).decode(value).items():
                yield f".{field}", part, get_args(option)[1]
        elif opening == "[" and get_origin(option) is list:
            for index, part in enumerate(_ITEMS.decode(value)):
                yield f"[{index}]", part, get_args(option)[0]


def _expectation(value: Raw, kind: Any) -> str:
    """Describe what was expected of a value whose parts, if any, are valid."""
    text = _text(value)
    number = _NUMBER.fullmatch(text)
    options = list(_options(kind))
    is_integer = number and not number["fraction"] and any(option is int for option, _ in options)
    if number and not is_integer and isinf(float(text)):
        return "expected a finite number"
    for option, metas in options:
        if get_origin(option) is Literal and text.startswith('"'):
            return f"expected {' or '.join(get_args(option))}, got '{_decoder(str).decode(value)}'"
        # Integers that are too long for int() are beyond these bounds as well.
        if is_integer and option is int and float(text) >= 2.0**63:
            return f"expected `int` <= {next((meta.le for meta in metas if meta.le is not None), INT64[1])}"
        if is_integer and option is int and float(text) < -(2.0**63):
            return f"expected `int` >= {next((meta.ge for meta in metas if meta.ge is not None), INT64[0])}"
    got = _JSON_TYPES.get(text[0]) or ("int" if is_integer or not (number and number["fraction"]) else "float")
    named = {_json_type(option): (option, metas) for option, metas in options if option is not UnsetType}
    found = named.get(got) or (named.get("float") if got == "int" else None)
    if found is None:
        return f"expected `{' | '.join(sorted(named, key='null'.__eq__))}`, got `{got}`"
    option, metas = found
    if isinstance(option, type) and issubclass(option, Struct):
        given = _decoder(dict[str, Raw]).decode(value)
        lacking = [field.encode_name for field in structs.fields(option) if field.required]
        return f"object missing required field `{next(field for field in lacking if field not in given)}`"
    for meta, (constraint, words) in product(metas, _CONSTRAINTS.items()):
        bound = getattr(meta, constraint)
        if bound is not None and not _holds(value, Annotated[option, Meta(**{constraint: bound})]):
            return f"expected `{_json_type(option)}` {words.format(bound)}"
    raise AssertionError("only an invalid value is described")


def _json_type(option: Any) -> str:
    """Return the name of JSON's type for a type of Python."""
    kind = get_origin(option) or option
    if isinstance(kind, type) and issubclass(kind, Struct):
        return "object"
    return _PYTHON_TYPES.get(kind) or str(kind.__name__)


def _holds(value: Raw, kind: Any) -> bool:
    try:
        _decoder(kind).decode(value)
    except msgspec.ValidationError:
        return False
    return True


def _options(kind: Any) -> Iterator[tuple[Any, tuple[Meta, ...]]]:
    """List the types of a union, or the single type, each with its constraints."""
    if get_origin(kind) in (Union, UnionType):
        for option in get_args(kind):
            yield from _options(option)
    elif get_origin(kind) is Annotated:
        option, *metas = get_args(kind)
        yield option, tuple(meta for meta in metas if isinstance(meta, Meta))
    else:
        yield kind, ()


def _text(value: Raw) -> str:
    return bytes(value).decode().strip()
