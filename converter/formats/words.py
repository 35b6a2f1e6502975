"""Names in words."""

from collections.abc import Sequence

# Most models that are named; the others are counted.
MOST_MODELS = 12


def listed(names: Sequence[str], most: int | None = None) -> str:
    """Join names by commas and "and"; of more than ``most``, the others are counted: ``a, b and 3 more``."""
    if most is not None and len(names) > most:
        names = [*names[:most], f"{len(names) - most:,} more"]
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
