"""The summary: what a reader is told first, in Markdown, for the summary of a workflow and for comments."""

import re
from collections.abc import Iterable, Iterator

from modelpick.runtime.errors import one_line

from .answers import Answer, answers
from .facts import Facts
from .sections import overview, subject, title
from .tables import Cell, Number, Table

# Characters that begin or end markup, in words and in cells.
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#|~!&@])")
# Characters by which GitHub recognises links, mentions and emoji in bare text; an invisible character breaks them up.
_BARE = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*:(?=[\\]?/)|\bwww\.|\bgh-(?=\d)|#(?=\d)|@(?=\w)|:(?=[\\\w+-]+:))")
# The character that begins mathematics, even behind a backslash.
_MATHEMATICS = {ord("$"): "&#36;"}
LINES = 40
"""Most lines of a summary."""
MOST_ROWS = 20
"""Most artifacts that it names."""


def to_markdown(facts: Facts) -> str:
    """Write what matters of a report, in at most `LINES` lines of Markdown."""
    told = answers(facts)
    lines = [f"### {escaped(title(facts))}", "", *([escaped(subject(facts)), ""] if subject(facts) else [])]
    if len(told) == 1:
        lines += _alone(told[0])
    else:
        found = overview(facts, told)
        for words in found.words:
            lines += [escaped(words), ""]
        for table in found.tables:
            lines += [*_table(table), ""]
    return "\n".join([*lines, f"Made by modelpick {escaped(facts.version)}; the page of the report has the rest.", ""])


def _alone(answer: Answer) -> Iterator[str]:
    for mark, text in answer.leads:
        yield from (f"{mark} **{escaped(text)}**" if mark else escaped(text), "")
    for words in answer.nature:
        yield from (escaped(words), "")
    if answer.numbers is not None:
        yield from (*_table(answer.numbers), "")
    if answer.look:
        yield from ("What to look at:", "", *(f"- {escaped(one)}" for one in answer.look), "")


def escaped(text: str) -> str:
    """Write text so that Markdown shows it as it is, on one line."""
    return _BARE.sub("\\1\u200b", _MARKUP.sub(r"\\\1", one_line(text))).translate(_MATHEMATICS)


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
