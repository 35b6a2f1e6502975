"""The sections that the page and the summary share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .pictures import Picture, Plot
from .tables import Table


class Section(NamedTuple):
    """A heading and its content; sections nest."""

    title: str
    words: Sequence[str] = ()
    pictures: Sequence[Picture | Plot] = ()
    tables: Sequence[Table] = ()
    parts: "Sequence[Section]" = ()


def walk(found: Sequence[Section], level: int = 2) -> Iterator[tuple[int, Section]]:
    """Yield sections with the level of their heading, outer before inner."""
    for section in found:
        yield level, section
        yield from walk(section.parts, level + 1)
