"""The `modelpick` command run in this process, which takes a hundredth of the time of a new one."""

import io
import sys
import warnings
from typing import NamedTuple
from unittest import mock

import numpy as np

from modelpick.converter.cli.app import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


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
