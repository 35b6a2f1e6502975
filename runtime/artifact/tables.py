"""Checks of the tables that the runtime reads from an artifact: their shapes agree, and their indices are in range.

Lengths have names. The metadata give some of the lengths; the first table of a length gives the others.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .onnx_reader import Tensor
from .protobuf import MalformedError

FLOATS, SINGLES, DOUBLES, INTEGERS = ("<f4", "<f8"), ("<f4",), ("<f8",), ("<i8",)


class Spec(NamedTuple):
    """The expected type, shape and range of a table."""

    types: tuple[str, ...]
    shape: tuple[str | int, ...]
    least: float | None = None
    below: str | None = None
    """Name of the length that all values must be less than."""
    needed: bool = True
    check: Callable[[Tensor, Mapping[str, int]], None] | None = None
    """Raises `MalformedError` for values that are not allowed; takes the lengths known so far."""


# Name of a tensor -> its specification.
Specs = Mapping[str, Spec]


def optional(specs: Specs) -> dict[str, Spec]:
    """Return specifications of tables that an artifact may lack."""
    return {name: spec._replace(needed=False) for name, spec in specs.items()}


def check_tables(specs: Specs, known: Mapping[str, int], tables: Mapping[str, Tensor]) -> None:
    """Check the tables of an artifact.

    Parameters
    ----------
    specs
        Their specifications.
    known
        The lengths in the metadata: ``rows``, ``features``, ``models``, ``kinds`` of outcomes, ``choices``, and ``k``,
        the neighbours.
    tables
        Name -> array.

    Raises
    ------
    MalformedError
        When a table is missing, has another type or shape, or holds an index that is out of range.
    """
    lengths = dict(known)
    for name, spec in specs.items():
        if name not in tables:
            if spec.needed:
                raise MalformedError(f"expected the tensor {name}")
            continue
        table = tables[name]
        wanted = [lengths.get(length) if isinstance(length, str) else length for length in spec.shape]
        pairs = list(zip(wanted, table.shape, strict=False))
        if table.ndim != len(wanted) or not all(length in (None, got) for length, got in pairs):
            expected = ", ".join(str(length or name) for length, name in zip(wanted, spec.shape, strict=True))
            raise MalformedError(f"its tensor {name}: expected the shape ({expected}), got {table.shape}")
        if not table.size or table.dtype.str not in spec.types:
            raise MalformedError(f"its tensor {name}: expected values of type {spec.types[-1]}, got {table.dtype.str}")
        lengths |= {length: got for length, got in zip(spec.shape, table.shape, strict=True) if isinstance(length, str)}
        most = None if spec.below is None else lengths[spec.below] - 1
        if not (spec.least is None or table.min() >= spec.least) or not (most is None or table.max() <= most):
            raise MalformedError(f"its tensor {name}: expected values from {spec.least} to {most}")
        if spec.check is not None:
            spec.check(table, lengths)
