"""The sections of the page."""

from collections.abc import Sequence
from typing import NamedTuple

from .answers import Lead
from .pictures import Picture, Plot
from .tables import Table


class Section(NamedTuple):
    """A heading and its content; sections nest."""

    title: str
    leads: Sequence[Lead] = ()
    words: Sequence[str] = ()
    pictures: Sequence[Picture | Plot] = ()
    tables: Sequence[Table] = ()
    look: Sequence[str] = ()
    """What to look at."""
    parts: "Sequence[Section]" = ()
    is_folded: bool = False
    """Whether it is folded until a reader opens it."""


class Page(NamedTuple):
    """A report."""

    title: str
    subject: str
    """What was compared, on what, and when."""
    first: Section
    """What a reader sees first."""
    sections: Sequence[Section]
