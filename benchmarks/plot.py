"""The plot of the KNN measurements."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot


def plot_knn(results: dict[str, Any], path: Path) -> None:
    """Write microseconds against rows as an SVG: a panel for each data set and the first two batch sizes."""
    matplotlib.use("svg")
    kinds = list(dict.fromkeys(row["kind"] for row in results["knn"]))
    batches = results["plan"]["batches"][:2]
    figure, panels = pyplot.subplots(len(batches), len(kinds), figsize=(11, 8), sharex=True, squeeze=False)
    for line, batch in zip(panels, batches, strict=True):
        for panel, kind in zip(line, kinds, strict=True):
            rows = [row for row in results["knn"] if row["kind"] == kind]
            for peer in rows[0]["microseconds"][batch]:
                points = [(row["rows"], row["microseconds"][batch][peer]) for row in rows]
                known = [(x, y) for x, y in points if y is not None]
                panel.loglog(
                    *zip(*known, strict=True), marker="o", label=peer, linewidth=3 if peer == "modelpick" else 1
                )
            panel.set_title(f"{kind}, batch {batch}")
            panel.set_ylabel("microseconds per query")
            panel.set_xlabel("rows")
    panels[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
