"""What holds for the whole command: usage, help, version, one line of an error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelpick import __version__
from modelpick.converter.cli.app import COMMANDS
from support import command
from support.artifacts import contents, encoded
from support.narrow import KNN

COMMAND = Path(sys.executable).with_name("modelpick")


def real(*arguments, **options):
    """Run the command as a user does."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, timeout=600, **options)
    return command.Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_command_ends_with_one_line(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"")
    done = real("restore", "bad.onnx", "-o", "out", cwd=tmp_path)
    assert (done.returncode, done.error) == (2, "bad.onnx: expected an artifact sealed by modelpick: it is empty")
    assert list(contents(tmp_path)) == ["bad.onnx"]


def test_forced_colours_leave_one_line(modelpick, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    Path("bad.json").write_bytes(encoded(KNN | {"k": 0}))
    assert modelpick("convert", "bad.json", "-o", "out").error == "bad.json: $.k: expected `int` >= 1"


USAGE = {
    "unknown command": ["transmogrify"],
    "unknown option": ["convert", "knn.json", "-o", "out", "--bogus"],
    "no arguments": ["convert"],
    "no output": ["convert", "knn.json"],
    "no samples": ["convert", "knn.json", "-o", "out", "--samples", "0"],
    "samples of another type": ["convert", "knn.json", "-o", "out", "--samples", "many"],
    "unknown search": ["convert", "knn.json", "-o", "out", "--exact-search", "fast"],
    "nothing to verify against": ["verify", "knn.onnx"],
    "no artifact": ["select"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_refuses_usage(small, arguments):
    before = contents()
    done = small(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "modelpick" in done.stderr
    assert contents() == before


@pytest.mark.parametrize("command", [[], ["convert"], ["verify"], ["restore"], ["select"], ["inspect"]])
def test_helps(modelpick, command):
    done = modelpick(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(["modelpick", *command]) in done.stdout


def test_usage_names_arguments_in_capitals_without_braces(modelpick):
    assert "modelpick evaluate [OPTIONS] ARTIFACTS" in modelpick("evaluate", "--help").stdout
    assert "modelpick select [OPTIONS] ARTIFACT [QUERIES]" in modelpick("select", "--help").stdout


def test_names_its_version(modelpick):
    assert modelpick("--version") == (0, f"modelpick {__version__}\n", "")
    assert modelpick("-h") == modelpick("--help")
    for module in ("modelpick", "modelpick.converter"):
        done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, timeout=600, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"modelpick {__version__}\n", "")


def test_the_help_of_a_command_is_not_cut_at_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printed = command.modelpick("--help").stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].*[^.]\.$", printed, re.MULTILINE), name
