"""Protocol buffers: messages are dataclasses, whose annotations say how they are read from bytes and written again.

The encoding is that of https://protobuf.dev/programming-guides/encoding/. It leaves readers room to disagree: about
fields that one of them does not know, fields that stand twice, numbers of more bits than a field has. All of these are
refused here, and whoever reads on gets bytes that were written here.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, get_args, get_origin, get_type_hints

Buffer = bytes | memoryview
_INTEGER, _BYTES, _FLOAT = 0, 2, 5
_FLOAT_SIZE = 4
_DIGITS = [bytes([digit]) for digit in range(0x80)]
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


class _Layout(NamedTuple):
    fields: Mapping[int, _Field | None]
    """By their keys, in order: the number, and how the value is encoded; None for those that are skipped."""
    written: Sequence[tuple[bytes, _Field]]
    """Those that are not skipped, each behind its key as it is written."""
    lists: tuple[str, ...]
    """Names of those that may be there any number of times."""


_M = TypeVar("_M", bound=Message)


def decode(kind: type[_M], data: bytes) -> _M:
    """Read a message. The bytes in it are views of the data.

    Raises
    ------
    MalformedError
        When the bytes are cut, or have a field that is not the message's, or one twice that may be there once, or more
        than `MOST_FIELDS`.
    """
    try:
        return _decoded(kind, data, 0, len(data), iter(range(MOST_FIELDS)))
    except RecursionError:
        raise MalformedError("its messages are nested too deep") from None
    except IndexError:
        raise MalformedError("it is cut") from None


def _decoded(kind: type[_M], data: bytes, position: int, end: int, left: Iterator[int]) -> _M:
    """Read the message at some place; a loop that calls nothing for most fields, of which a file has thousands."""
    fields, _, lists = _layout(kind)
    values: dict[str, Any] = {name: [] for name in lists}
    while position < end:
        key, position = data[position], position + 1
        if key >= 0x80:
            key, position = _varint(data, position - 1)
        if key not in fields:
            raise MalformedError(f"its {kind.__name__} has field {key >> 3}, which none of modelpick has")
        if next(left, None) is None:
            raise MalformedError(f"it has more than {MOST_FIELDS:,} fields")
        field, start = fields[key], position
        if key & 7 == _FLOAT:
            number = _FLOAT_SIZE
        else:
            number, position = data[position], position + 1
            if number >= 0x80:
                number, position = _varint(data, position - 1)
            start = position
        if key & 7 != _INTEGER:
            position += number
        if position > end:
            raise MalformedError("it is cut")
        if field is None:
            continue
        name, of, many = field
        value: Any
        if of is str:
            try:
                value = data[start:position].decode()
            except UnicodeDecodeError:
                raise MalformedError("its names or metadata are not UTF-8") from None
        elif of is int:
            value = _signed(number)
        elif of is memoryview or of is Float:
            value = memoryview(data)[start:position]
        else:
            value = _decoded(of, data, start, position, left)
        if many:
            values[name].append(value)
        elif name in values:
            raise MalformedError(f"its {kind.__name__} has {name} twice")
        else:
            values[name] = value
    return kind(**values)


def varints(data: bytes, most: int) -> list[int]:
    """Read numbers that stand one behind the other, ``most`` of them at most; raises `MalformedError`."""
    numbers: list[int] = []
    position = 0
    while position < len(data):
        if len(numbers) == most:
            raise MalformedError(f"it has more than {most:,} numbers that are not raw")
        try:
            value, position = _varint(data, position)
        except IndexError:
            raise MalformedError("it is cut") from None
        numbers.append(_signed(value))
    return numbers


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a base-128 number of 64 bits: the number, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 2**64:
            return value, position
        if byte < 0x80:
            break
    raise MalformedError("it is no protocol buffer")


def encode(message: Message) -> list[Buffer]:
    """Write a message in parts, field after field in the order of their numbers."""
    parts: list[Buffer] = []
    for key, (name, kind, many) in _layout(type(message)).written:
        value = getattr(message, name)
        if value is None:
            continue
        for one in value if many else (value,):
            parts.append(key)
            if kind is int:
                parts.append(_written(one % 2**64))
            elif kind is Float:
                parts.append(one)
            elif kind is str:
                text = one.encode()
                parts += (_written(len(text)), text)
            elif kind is memoryview:
                parts += (_written(len(one)), one)
            else:
                inner = encode(one)
                parts.append(_written(sum(map(len, inner))))
                parts += inner
    return parts


@cache
def _layout(kind: type[Message]) -> _Layout:
    found: dict[int, _Field | None] = {number << 3 | _BYTES: None for number in kind.SKIPPED}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        declared, number = get_args(hint)
        value, *_ = get_args(declared) or (declared,)
        encoding = {int: _INTEGER, Float: _FLOAT}.get(value, _BYTES)
        found[number << 3 | encoding] = _Field(name, value, get_origin(declared) is list)
    fields = dict(sorted(found.items()))
    written = [(_written(key), field) for key, field in fields.items() if field]
    return _Layout(fields, written, tuple(field.name for _, field in written if field.many))


def _written(value: int) -> bytes:
    """Write a base-128 number."""
    if value < 0x80:
        return _DIGITS[value]
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
