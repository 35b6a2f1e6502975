"""The figures of the pages, drawn from measurements: `python benchmarks/plot.py` draws those of logs anew."""

import json
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

RESULTS = Path(__file__).parent / "results"


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


def plot_bias(results: dict[str, Any], path: Path) -> None:
    """Write what logs say on average of the best single model and of the selector, and the truth, as an SVG."""
    figure, panels = _panels(1, 2, (10, 3.2))
    lines = range(len(results["logs"]))
    shown = (
        ("best_single", "quality of the best single model", results["truth"]["best_single"][0]),
        ("gain", "gain of the selector over it", results["truth"]["policies"]["selector"]["gain"][0]),
    )
    for panel, (kind, title, truth) in zip(panels[0], shown, strict=True):
        ways: dict[str, list[list[float]]] = {"plain means": [], "modelpick": []}
        for found in results["logs"].values():
            ways["plain means"].append([run["plain"][kind] for run in found["runs"]])
            ways["modelpick"].append([_told(run, kind)[0] for run in found["runs"]])
        panel.axvline(truth, color="black", linewidth=1, label="truth")
        for (way, values), marker in zip(ways.items(), "xo", strict=True):
            panel.plot([sum(of) / len(of) for of in values], lines, marker, label=way, markersize=8)
        panel.set_title(title)
        panel.set_yticks(lines, results["logs"])
        panel.invert_yaxis()
    panels[0][1].set_yticklabels([])
    panels[0][0].legend(fontsize=8)
    _save(figure, path)


def plot_intervals(results: dict[str, Any], path: Path) -> None:
    """Write the interval of the selector's gain from each log, and the truth, as an SVG: a panel for each policy."""
    figure, panels = _panels(2, len(results["logs"]) // 2, (12, 8))
    truth = results["truth"]["policies"]["selector"]["gain"][0]
    for panel, (name, found) in zip(panels.flat, results["logs"].items(), strict=True):
        for number, run in enumerate(found["runs"]):
            value, low, high = _told(run, "gain")
            color = "tab:blue" if low <= truth <= high else "tab:red"
            panel.plot([low, high], [number, number], color=color)
            panel.plot([value], [number], "o", color=color, markersize=3)
        panel.axvline(truth, color="black", linewidth=1)
        panel.set_title(name.replace(" to ", "\nto ").replace(", ", ",\n"), fontsize=9)
        panel.set_yticks([])
    _save(figure, path)


def _told(run: dict[str, Any], kind: str) -> list[float]:
    found: list[float] = run[kind] if kind in run else run["policies"]["selector"][kind]
    return found


def _panels(rows: int, columns: int, size: tuple[float, float]) -> Any:
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "modelpick"  # equal measurements give equal files
    return pyplot.subplots(rows, columns, figsize=size, sharex=columns > 2, squeeze=False)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Draw the figures of logs."""
    results = json.loads((RESULTS / "logs.json").read_text())
    plot_bias(results, RESULTS / "logs-bias.svg")
    plot_intervals(results, RESULTS / "logs-intervals.svg")


if __name__ == "__main__":
    main()
