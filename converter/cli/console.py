"""Tables on a terminal, or in a log."""

import sys

from rich.console import Console
from rich.table import Table

WIDE = 200


def show(table: Table) -> None:
    """Print a table; cut to the width of a terminal, but not of a log file."""
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
