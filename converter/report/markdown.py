"""The summary: the same sections in Markdown, for the summary of a workflow and for comments."""

import re
from collections.abc import Iterable, Iterator, Sequence

from modelpick.runtime.errors import one_line

from .layout import Section, walk
from .tables import Cell, Number, Table

# Characters that begin or end markup, in words and in cells.
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#|~!&@])")
# Characters by which GitHub recognises links, mentions and emoji in bare text; an invisible character breaks them up.
_BARE = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*:(?=[\\]?/)|\bwww\.|\bgh-(?=\d)|#(?=\d)|@(?=\w)|:(?=[\\\w+-]+:))")
# The character that begins mathematics, even behind a backslash.
_MATHEMATICS = {ord("$"): "&#36;"}
# GitHub shows at most a megabyte.
MOST_ROWS = 50


def to_markdown(sections: Sequence[Section], *, version: str) -> str:
    """Render a report as Markdown; tables of pictures are folded, and long ones are cut."""
    lines = ["# modelpick report", ""]
    for level, section in walk(sections):
        lines += [f"{'#' * level} {escaped(section.title)}", ""]
        for words in section.words:
            lines += [escaped(words), ""]
        for table in section.tables:
            lines += _folded(table) if table.is_long else [f"**{escaped(table.caption)}**", "", *_table(table), ""]
        for picture in section.pictures:
            lines += _folded(picture.table)
    lines += [f"Made by modelpick {escaped(version)}.", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Write text so that Markdown shows it as it is, on one line."""
    return _BARE.sub("\\1\u200b", _MARKUP.sub(r"\\\1", one_line(text))).translate(_MATHEMATICS)


def _folded(table: Table) -> list[str]:
    return ["<details>", f"<summary>{escaped(table.caption)}</summary>", "", *_table(table), "", "</details>", ""]


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    first: list[Cell] = table.rows[0] if table.rows else list(table.columns)
    yield _line("--:" if isinstance(cell, Number) else "---" for cell in first)
    for row in table.rows[:MOST_ROWS]:
        yield _row(cell.text if isinstance(cell, Number) else cell for cell in row)
    if len(table.rows) > MOST_ROWS:
        yield _row([f"and {len(table.rows) - MOST_ROWS:,} more", *[""] * (len(table.columns) - 1)])


def _row(cells: Iterable[str]) -> str:
    return _line(map(escaped, cells))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
