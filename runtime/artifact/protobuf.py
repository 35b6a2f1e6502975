"""Protocol buffers: messages are dataclasses, whose annotations say how they are read from bytes and written again.

The encoding is that of https://protobuf.dev/programming-guides/encoding/. It leaves readers room to disagree: about
fields that one of them does not know, fields that stand twice, numbers of more bits than a field has. All of these are
refused here, and whoever reads on gets bytes that were written here.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, get_args, get_origin, get_type_hints

Buffer = bytes | memoryview
_INTEGER, _BYTES, _FLOAT = 0, 2, 5
_FLOAT_SIZE = 4
# Fields of one file, each of which takes a microsecond and memory; encoders of 48 layers have some 30,000.
MOST_FIELDS = 2**17


class MalformedError(Exception):
    """The bytes are not what they should be; says why."""


class Float(bytes):
    """A number of 32 bits, as its bytes."""


class Message(Protocol):
    """A dataclass whose attributes are fields: ``name: Annotated[str | None, 8] = None`` is field 8, a string.

    An ``int`` has 64 bits, a `Float` and a ``memoryview`` are kept as they are, any other class is a message. A list
    stands for a field that may be there any number of times; all others may be there once, and are None where not.
    """

    SKIPPED: ClassVar[frozenset[int]]
    """Numbers of fields of bytes that mean nothing to whoever reads on: they are left out."""


class _Field(NamedTuple):
    name: str
    kind: Any
    many: bool


_M = TypeVar("_M", bound=Message)


def decode(kind: type[_M], data: memoryview) -> _M:
    """Read a message. The bytes in it are views of the data.

    Raises
    ------
    MalformedError
        When the bytes are cut, or have a field that is not the message's, or one twice that may be there once, or more
        than `MOST_FIELDS`.
    """
    try:
        return _decoded(kind, data, iter(range(MOST_FIELDS)))
    except RecursionError:
        raise MalformedError("its messages are nested too deep") from None


def _decoded(kind: type[_M], data: memoryview, left: Iterator[int]) -> _M:
    fields = _fields(kind)
    values: dict[str, Any] = {field.name: [] for field in fields.values() if field and field.many}
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        if key not in fields:
            raise MalformedError(f"its {kind.__name__} has field {key >> 3}, which none of modelpick has")
        if next(left, None) is None:
            raise MalformedError(f"it has more than {MOST_FIELDS:,} fields")
        wire, field = key & 7, fields[key]
        value: Any
        if wire == _INTEGER:
            value, position = _varint(data, position)
        else:
            size, position = (_FLOAT_SIZE, position) if wire == _FLOAT else _varint(data, position)
            value, position = data[position : position + size], position + size
            if position > end:
                raise MalformedError("it is cut")
        if field is None:
            continue
        if field.many:
            values[field.name].append(_read(field.kind, value, left))
        elif field.name in values:
            raise MalformedError(f"its {kind.__name__} has {field.name} twice")
        else:
            values[field.name] = _read(field.kind, value, left)
    return kind(**values)


def varints(data: memoryview, most: int) -> list[int]:
    """Read numbers that stand one behind the other, at most so many; raises `MalformedError`."""
    numbers: list[int] = []
    position = 0
    while position < len(data):
        if len(numbers) == most:
            raise MalformedError(f"it has more than {most:,} numbers that are not raw")
        value, position = _varint(data, position)
        numbers.append(_signed(value))
    return numbers


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _read(kind: Any, value: Any, left: Iterator[int]) -> Any:
    if kind is int:
        return _signed(value)
    if kind is str:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise MalformedError("its names or metadata are not UTF-8") from None
    return value if kind is memoryview or kind is Float else _decoded(kind, value, left)


def encode(message: Message) -> list[Buffer]:
    """Write a message in parts, field after field in the order of their numbers."""
    parts: list[Buffer] = []
    for key, field in _fields(type(message)).items():
        if field is None:
            continue
        value = getattr(message, field.name)
        for one in value if field.many else () if value is None else (value,):
            parts.append(_written(key))
            if field.kind is int:
                parts.append(_written(one % 2**64))
            elif field.kind is Float:
                parts.append(one)
            else:
                inner = [one] if field.kind is memoryview else [one.encode()] if field.kind is str else encode(one)
                parts += [_written(sum(map(len, inner))), *inner]
    return parts


@cache
def _fields(kind: type[Message]) -> Mapping[int, _Field | None]:
    """Return the fields of a message by their keys, in order: a number and how the value is encoded."""
    found: dict[int, _Field | None] = {number << 3 | _BYTES: None for number in kind.SKIPPED}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        declared, number = get_args(hint)
        value, *_ = get_args(declared) or (declared,)
        encoding = {int: _INTEGER, Float: _FLOAT}.get(value, _BYTES)
        found[number << 3 | encoding] = _Field(name, value, get_origin(declared) is list)
    return dict(sorted(found.items()))


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Read a base-128 number: the number, and the position behind it."""
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position
        shift += 7
    raise MalformedError("it is cut, or not a protocol buffer")


def _written(value: int) -> bytes:
    """Write a base-128 number."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
