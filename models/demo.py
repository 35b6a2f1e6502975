"""Converts and checks the sample models, then routes the sample queries and tells why; run by `make demo`."""

import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from modelpick.converter import convert
from modelpick.runtime import Selector

FOLDER = Path(__file__).parent


def reason(explained):
    """Tell in a few words why a model was picked."""
    if "neighbours" in explained:
        votes = [f"row {n['row']} {n['model']} {n['vote']:.2f}" for n in explained["neighbours"]]
        return "; ".join(votes)
    if "cluster" in explained:
        return f"cluster {explained['cluster']} at distance {explained['distance']:.3f}"
    best = sorted(explained["scores"].items(), key=lambda item: -item[1])
    return "; ".join(f"{model} {score:.3f}" for model, score in best)


def main():
    """Convert, check, route."""
    queries, questions = (
        [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]
        for name in ("queries.jsonl", "questions.jsonl")
    )
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(FOLDER.glob("*.json")):
            target = Path(folder) / f"{source.stem}.onnx"
            report = convert(source, target)
            table = Table("question", "picked", "why", title=source.name, title_justify="left")
            with Selector.load(target) as selector:
                for query, question in zip(queries, questions, strict=True):
                    explained = selector.explain(query)
                    table.add_row(question["query"], explained["model"], reason(explained))
            console.print(table)
            console.print(f"verified: {report.agreed} of {report.queries} made queries answered as scikit-learn does\n")


if __name__ == "__main__":
    main()
