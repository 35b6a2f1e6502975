"""Tables and progress, on wide and narrow terminals, in logs and pipes."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.table import Table

from modelpick.converter.cli import console
from modelpick.converter.cli.console import progress, rate, say, show
from support.command import modelpick

MODELS = Path(__file__).parents[3] / "models"
LONG_NAME = "a-model-whose-name-is-long-" * 4
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Older ones show the outer of two steps alone.
SHOWS_INNER = int(version("rich").partition(".")[0]) >= 15
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|9[0-7])(?:;[0-9;]*)?m")


def printed(capsys, monkeypatch, table, width):
    monkeypatch.setenv("COLUMNS", str(width))
    show(table)
    return capsys.readouterr().out


def cells(out):
    """Return what stands in the columns of a table, one block below the other, folded cells put together."""
    blocks = [block for block in re.split(r"┏.*\n", out) if "┃" in block]
    for block in blocks:
        header, body = ("".join(part) for part in re.split(r"┡.*\n", block))
        rows = [re.split("[┃│]", line)[1:-1] for line in (header + body).splitlines() if line[0] in "┃│"]
        yield [" ".join(cell.strip() for cell in column).split() for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_columns_that_do_not_fit_go_below(capsys, monkeypatch, width):
    names = [f"model-{number}" for number in range(40)]
    table = Table("policy", *names, title="share of selections")
    table.add_row("oracle", *(f"{number}.5%" for number in range(40)))
    table.add_row("random", *(f"{number}.25%" for number in range(40)), style="bold")
    out = printed(capsys, monkeypatch, table, width)
    assert max(map(len, out.splitlines())) <= width
    assert out.count("share of selections") == 1
    shown = [column for block in cells(out) for column in block]
    assert [column for column in shown if column[0] != "policy"] == [
        [name, f"{number}.5%", f"{number}.25%"] for number, name in enumerate(names)
    ]
    assert [column for column in shown if column[0] == "policy"] == [["policy", "oracle", "random"]] * len(
        [*cells(out)]
    )


def test_columns_that_tell_rows_apart_are_repeated(capsys, monkeypatch):
    table = Table("artifact", "answers", *(f"measure-{number}" for number in range(8)))
    for row in (("knn", "all"), ("knn", "math"), ("svm", "all")):
        table.add_row(*row, *"12345678")
    blocks = [*cells(printed(capsys, monkeypatch, table, 60))]
    assert len(blocks) > 1
    assert {(tuple(first), tuple(second)) for first, second, *_ in blocks} == {
        (("artifact", "knn", "knn", "svm"), ("answers", "all", "math", "all"))
    }


def test_a_table_that_fits_stays_whole(capsys, monkeypatch):
    table = Table("a", "b", "c")
    table.add_row("1", "2", "3")
    assert [*cells(printed(capsys, monkeypatch, table, 13))] == [[["a", "1"], ["b", "2"], ["c", "3"]]]
    assert len([*cells(printed(capsys, monkeypatch, table, 12))]) == 2


@pytest.mark.parametrize("width", [40, 80])
def test_long_names_fold_and_lose_nothing(capsys, monkeypatch, width):
    table = Table("entry", "value", "[red]markup[/]")
    table.add_row(LONG_NAME, LONG_NAME[::-1], "[bold]x[/]")
    out = printed(capsys, monkeypatch, table, width)
    assert max(map(len, out.splitlines())) <= width
    shown = ["".join(column) for block in cells(out) for column in block]
    assert {f"entry{LONG_NAME}", f"value{LONG_NAME[::-1]}", "[red]markup[/][bold]x[/]"} <= set(shown)


def test_a_table_in_a_log_is_wide(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("name")
    table.add_row("x" * 150)
    show(table)
    assert "x" * 150 in capsys.readouterr().out


def test_numbers_are_aligned_at_their_right(capsys, monkeypatch):
    table = Table("name", "share")
    for name, share in (("a", "9.5 %"), ("b", "100.0 % [1, 2]"), ("c", "—"), ("d", "+1 MB")):
        table.add_row(name, share)
    out = printed(capsys, monkeypatch, table, 80)
    assert all(line.endswith((" % │", "] │", "— │", "MB │")) for line in out.splitlines()[3:-1])


def test_lines_are_wrapped_on_narrow_terminals_alone(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    say(f"✓ {'word ' * 9}[red]")
    wrapped = capsys.readouterr().out.splitlines()
    assert wrapped == ["✓ word word word", "  word word word", "  word word word", "  [red]"]
    monkeypatch.delenv("COLUMNS")
    say("word " * 90)
    assert capsys.readouterr().out == "word " * 90 + "\n"


def test_a_title_wider_than_its_table_is_a_line_above_it(capsys, monkeypatch):
    table = Table("a", "b", title="what this table of two columns shows")
    table.add_row("1", "2")
    assert printed(capsys, monkeypatch, table, 80).splitlines()[0] == "what this table of two columns shows"


def test_a_number_and_its_percent_sign_stay_on_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    say("a model (30.6 %), another (26.2 %)")
    assert capsys.readouterr().out.splitlines() == ["a model (30.6 %),", "another (26.2 %)"]
    monkeypatch.setenv("COLUMNS", "15")
    say("a model (30.6 %)")
    assert capsys.readouterr().out.splitlines() == ["a model", "(30.6 %)"]


def test_a_long_step_gets_one_line_in_a_log(capsys, monkeypatch):
    monkeypatch.setattr(console, "LONG", 0.0)
    with progress("Embedding", "queries") as done:
        for number in range(1, 1_235):
            done(number, 1_234)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"Embedding: 1,234 queries in 0\.\d s, [\d,]+/s\n", err)


def test_a_short_step_and_a_failed_one_get_none(capsys, monkeypatch):
    with progress("Picking", "rows") as done:
        done(10, None)
    monkeypatch.setattr(console, "LONG", 0.0)
    with pytest.raises(ValueError, match="wrong"), progress("Picking", "rows") as done:
        raise ValueError("wrong")
    assert capsys.readouterr() == ("", "")


def test_rates():
    assert [rate(speed) for speed in (0.0, 12_345.6, 12.34, 2.34, 0.25)] == [
        "0/s", "12,346/s", "12/s", "2.3/s", "4.0 s each",
    ]  # fmt: skip


STEPS = """
import sys, time
from modelpick.converter.cli.console import progress
with progress("Converting", "files") as converted:
    for file in (1, 2):
        with progress(f"Verifying model-{file}.json", "queries") as done:
            for number in range(1, 7):
                time.sleep(0.1)
                done(number, 6)
            print("warning: odd", file=sys.stderr)
        print(f"converted {file}")
        converted(file, 2)
"""
MARKED = """
from modelpick.converter.cli.console import plain, say, show
table = plain("")
table.add_row("✗ no")
show(table)
say("✓ yes")
"""


WIDTHS = [30, 60, 100]
# Each: a width, and variables.
TERMINALS = {
    **{width: (width, {}) for width in WIDTHS},
    "no colours": (80, {"NO_COLOR": "1"}),
    "no cursor": (80, {"TERM": "dumb"}),
}


@pytest.fixture(scope="module")
def on_terminals():
    """Run steps with standard error on terminals, and standard output in pipes, all at once: what both got of each."""
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    running = {}
    for name, (width, variables) in TERMINALS.items():
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        environment = {**known, "TERM": "xterm-256color", **variables}
        streams = {"stdin": end, "stdout": subprocess.PIPE, "stderr": end}
        running[name] = subprocess.Popen([sys.executable, "-c", STEPS], **streams, env=environment), terminal
        os.close(end)
    with ThreadPoolExecutor(len(running)) as pool:
        return dict(zip(running, pool.map(lambda pair: ended(*pair), running.values()), strict=True))


def ended(process, terminal):
    """Wait for a process: what it printed, and what its terminal got."""
    seen = b""
    with suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as file:  # its other end is closed
        while part := file.read(65_536):
            seen += part
    out = process.stdout.read().decode()
    assert process.wait(timeout=600) == 0
    return out, seen.decode()


@pytest.mark.parametrize("width", WIDTHS)
def test_progress_on_a_terminal(on_terminals, width):
    out, err = on_terminals[width]
    assert out == "converted 1\nconverted 2\n"
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", ESCAPES.sub("", err))]
    assert max(map(len, lines)) <= width
    assert lines.count("warning: odd") == 2
    if width >= 60:
        assert any("Converting" in line and "1/2 files" in line for line in lines)
        inner = re.compile(r"Verifying model-2.json .* \d/6 queries \d\S*/s 0:00:0\d left$")
        assert any(inner.search(line) for line in lines) == SHOWS_INNER
    assert COLOUR.search(err)


def test_progress_without_colours(on_terminals):
    _, err = on_terminals["no colours"]
    assert "Converting" in err
    assert ("Verifying model-1.json" in err) == SHOWS_INNER
    assert COLOUR.search(err) is None


def test_marks_have_colours_on_a_terminal_unless_they_are_unwanted():
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    running = []
    for variables in ({}, {"NO_COLOR": "1"}):
        terminal, end = pty.openpty()
        streams = {"stdout": end, "stderr": subprocess.PIPE}
        variables = {**environment, "TERM": "xterm-256color", **variables}
        running.append((subprocess.Popen([sys.executable, "-c", MARKED], **streams, env=variables), terminal))
        os.close(end)
    for (process, terminal), colours in zip(running, (2, 0), strict=True):
        seen = b""
        with suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as file:
            while part := file.read(65_536):
                seen += part
        process.communicate(timeout=600)
        assert len(COLOUR.findall(seen.decode())) == colours
        shown = [line.strip() for line in ESCAPES.sub("", seen.decode()).splitlines()]
        assert [line for line in shown if line] == ["✗ no", "✓ yes"]


def test_a_terminal_that_cannot_move_its_cursor_is_a_log(on_terminals):
    assert on_terminals["no cursor"][1].split("\r\n") == ["warning: odd", "warning: odd", ""]


def test_the_tables_of_the_command_fit_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    commands = [
        ["convert", MODELS / "kmeans.json", "-o", "."],
        ["inspect", "kmeans.onnx"],
        ["evaluate", "kmeans.onnx", "--data", MODELS / "benchmark.jsonl"],
    ]
    for command in commands:
        done = modelpick(*command)
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "…" not in done.stdout
