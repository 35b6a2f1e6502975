"""The `modelpick` command run in this process, which takes a hundredth of the time of a new one; and for `attack`."""

import io
import os
import sys
import warnings
from contextlib import redirect_stdout
from typing import NamedTuple
from unittest import mock

import numpy as np

from modelpick.converter.cli.app import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def error(self):
        """The one line of an error; nothing else was printed."""
        assert self.stdout == ""
        assert self.stderr.endswith("\n")
        (line,) = self.stderr.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")


def modelpick(*arguments, stdin=b""):
    """Run the command; it prints to no terminal."""
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", write_through=True) for data in (stdin, b"", b"")]
    argv = ["modelpick", *map(str, arguments)]
    with (
        mock.patch.multiple(sys, argv=argv, stdin=streams[0], stdout=streams[1], stderr=streams[2]),
        warnings.catch_warnings(),
        np.errstate(),
    ):
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in streams[1:]))


def with_streams(folder, streams, *arguments):
    """Run the command in a process of its own, of which streams 0, 1 and 2 may be closed or another file: its code."""
    os.chdir(folder)
    opened = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if file := streams.get(name):
            os.dup2(os.open(file, os.O_RDWR), number)
        elif name in streams:
            os.close(number)
        # As Python does when it starts.
        opened.append(None if streams.get(name, number) is None else os.fdopen(number, "w" if number else "r"))
    sys.stdin, sys.stdout, sys.stderr = opened
    sys.argv = ["modelpick", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


def snippet(folder, code):
    """Run a Python program in a folder, in a process of its own: what it prints."""
    os.chdir(folder)
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "snippet", "exec"), {"__name__": "__main__"})
    return printed.getvalue()
