"""How notebooks show an explanation."""

from collections.abc import Iterable
from html import escape
from typing import Any


class Explained(dict[str, Any]):
    """What `Selector.explain` returns: a dictionary that notebooks show as a table with a row for each candidate."""

    def _repr_html_(self) -> str:
        scores: dict[str, float] = self["scores"]
        outcomes: dict[str, dict[str, float]] = self.get("outcomes", {})
        kinds = list(dict.fromkeys(kind for found in outcomes.values() for kind in found))
        rows = [
            [model, f"{scores[model]:.4g}", *(_number(outcomes.get(model, {}).get(kind)) for kind in kinds)]
            for model in sorted(scores, key=lambda model: (model != self["model"], -scores[model]))
        ]
        reason = f"<p>{escape(self['reason'])}</p>" if "reason" in self else ""
        return (
            f"<table>{_row('th', ['model', 'score', *kinds])}{''.join(_row('td', row) for row in rows)}</table>{reason}"
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _row(cell: str, values: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(value)}</{cell}>' for value in values)}</tr>"
