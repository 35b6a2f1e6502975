"""Forms of benchmark records, also of other routers' tools, each a row of a table.

A form is recognised only by the columns of a file. Its function makes the fields of records from a row.
"""

import ast
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, NamedTuple

from modelpick.runtime import DocumentError

from ..formats.decoding import refuse

Fields = dict[str, Any]

# Most characters of a wrong value that are shown.
MOST_SHOWN = 200
COST = "|total_cost"
RESPONSE = "_response"
# The name of the column of row numbers that pandas writes by default.
_INDEX = re.compile(r"(Unnamed: \d+)?")
_BOOLEANS = {"true": 1.0, "false": 0.0}
# LLMRouter counts tokens by these names until its last step renames them.
_TOKENS = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}


def _no_models(columns: Collection[str]) -> list[str]:
    return []


class Form(NamedTuple):
    """A form, how it is recognised, and how it is read."""

    name: str
    needs: frozenset[str]
    """Columns that a file of this form has."""
    answers: Callable[[Fields, Sequence[str]], Iterator[Fields]]
    """A row and the columns of models -> the fields of a record each."""
    models: Callable[[Collection[str]], list[str]] = _no_models
    """All columns -> the columns that hold a model's scores."""
    by_models: str = ""
    """Description of these columns, where the form needs one."""
    is_of_a_task: bool = False
    """Whether a file is of one task, which names it."""

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a file with these columns is of this form."""
        return self.needs <= set(columns) and bool(not self.by_models or self.models(columns))

    @property
    def recognised_by(self) -> str:
        """The columns by which the form is recognised, in words."""
        return ", ".join([*sorted(self.needs), *filter(None, [self.by_models])])


def recognise(name: str, columns: Collection[str]) -> Form:
    """Return the form of a file. Of two that fit, the one that needs all columns of the other is meant.

    Raises
    ------
    DocumentError
        When none fits, or several do.
    """
    fitting = [form for form in FORMS if form.fits(columns)]
    found = [form for form in fitting if not any(form.needs < other.needs for other in fitting)]
    if not found:
        known = "; ".join(f"{form.name} ({form.recognised_by})" for form in FORMS[1:])
        raise DocumentError(
            f"{name}: expected the columns query, model_name and performance, or those of another form: {known}; "
            f"got {', '.join(columns)}"
        )
    if len(found) > 1:
        both = " or ".join(f"{form.name} ({form.recognised_by})" for form in found)
        raise DocumentError(f"{name}: expected the columns of one form, got columns of {both}")
    return found[0]


def _as_it_is(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    yield row


def _with_tokens(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    yield {_TOKENS.get(column, column): value for column, value in row.items()}


def _by_scores(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    """Make a record of each score of an object of scores."""
    scores = row.get("model_scores")
    if not isinstance(scores, dict) or not scores:
        refuse("model_scores", "expected an object, a score for each model")
    shared = row | ({"task_name": row["query_type"]} if "query_type" in row else {})
    for model, score in scores.items():
        if score is not None:
            yield shared | {"model_name": model, "performance": _number(f"model_scores.{model}", score)}


def _by_columns(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    """Make a record of each column of scores."""
    shared = {"query": _prompt(row)} | {column: row[column] for column in ("category", "task_name") if column in row}
    if not any(model in row for model in models):
        refuse(models[0], "expected a score of this model or another")
    for model in models:
        if model in row:
            yield shared | {"model_name": model, "performance": _number(model, row[model])}


def _by_columns_and_costs(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    task = {"task_name": row["eval_name"]} if "eval_name" in row else {}
    for fields in _by_columns(row | task, models):
        cost = f"{fields['model_name']}{COST}"
        yield fields | ({"cost": _number(cost, row[cost])} if cost in row else {})


def _raw(row: Fields, models: Sequence[str]) -> Iterator[Fields]:
    task = {"task_name": row["eval_name"]} if "eval_name" in row else {}
    yield row | task | {"query": _prompt(row)}


def _prompt(row: Fields) -> str:
    """Return a prompt. RouterBench's prompts may be lists of texts, or the text that Python writes for a list."""
    prompt = row.get("prompt")
    texts: Any = prompt
    if isinstance(prompt, str) and prompt.startswith("[") and prompt.endswith("]"):
        with warnings.catch_warnings(action="ignore"), suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            texts = ast.literal_eval(prompt)
    if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
        return "\n".join(texts)
    if not isinstance(prompt, str):
        refuse("prompt", "expected text")
    return prompt


def _number(column: str, value: Any) -> float:
    number = _BOOLEANS.get(value.strip().lower(), value) if isinstance(value, str) else value
    with suppress(ValueError, TypeError, OverflowError):
        if isfinite(float(number)):
            return float(number)
    return refuse(column, f"expected True, False or a number, got {value!r}"[:MOST_SHOWN])


def _scored(columns: Collection[str]) -> list[str]:
    """Return the columns of models: all except prompt and category; none where a column belongs to another form."""
    others = [column for column in columns if column not in ("prompt", "category") and not _INDEX.fullmatch(column)]
    if any(column in OTHERS or "|" in column for column in others):
        return []
    return [column for column in others if column.removesuffix(RESPONSE) not in set(others) - {column}]


def _priced(columns: Collection[str]) -> list[str]:
    models = [column.removesuffix(COST) for column in columns if column.endswith(COST)]
    return [model for model in models if model in set(columns)]


# Columns that are not a model's. A table with a prompt and one of them does not have a column for each model.
OTHERS = frozenset({"query", "model_name", "performance", "model_scores", "task_name", "eval_name", "sample_id"})

FORMS = (
    Form("records", frozenset({"query", "model_name"}), _as_it_is),
    Form("LLMRouter's routing data", frozenset({"query", "model_name", "task_name"}), _with_tokens),
    Form("wide records", frozenset({"query", "model_scores"}), _by_scores),
    Form("RouteLLM's table", frozenset({"prompt"}), _by_columns, _scored, "a column for each model", True),
    Form(
        "RouterBench's frame",
        frozenset({"prompt", "eval_name"}),
        _by_columns_and_costs,
        _priced,
        f"two columns for each model, NAME and NAME{COST}",
    ),
    Form("RouterBench's raw frame", frozenset({"prompt", "eval_name", "model_name", "performance"}), _raw),
)
