"""The table of what picks by encoders are worth."""

from collections.abc import Sequence

from rich.table import Table

from ..encoders.verify import EncoderWorth
from ..statistics.bootstrap import percent, signed, written


def worth_table(found: Sequence[EncoderWorth]) -> Table:
    """Return the table; the recommended encoder is bold."""
    kept = [f"saved at {share}" for share in found[0].saved]
    table = Table("encoder", "quality", "over the best single model", "over the best encoder", *kept, "ms", "MB")
    for one in found:
        numbers = [written(one.quality, ".4f"), signed(one.over_single), signed(one.over_best)]
        table.add_row(
            one.file,
            *numbers,
            *map(percent, one.saved.values()),
            f"{one.milliseconds:.2f}",
            f"{one.megabytes:,.1f}",
            style="bold" if one.is_recommended else None,
        )
    return table
