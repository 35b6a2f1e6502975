"""What records or decisions hold and can support, and the join of decisions with their outcomes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.outcomes import OUTCOMES

from ..files.rows import Rows
from ..formats.outcomes import iso
from ..statistics.bootstrap import WANTED
from ..statistics.equals import equals
from .benchmark import contradicted
from .record import Record
from .records import Read

DECISION = "decision_id"


class Understood(Struct):
    """The content of a file, as it was understood."""

    form: str
    answers: int
    bad: int
    """Number of rows that cannot be read."""
    questions: int
    models: dict[str, int]
    """Number of answers of each model."""
    equal_models: dict[str, list[str]]
    """Model -> other models whose answers have the same outcomes on the same questions."""
    models_a_question: dict[int, int]
    """Number of models that answered a question -> number of such questions."""
    duplicates: int
    """Number of answers that repeat a question and model."""
    known: dict[str, int]
    """Kind of outcome -> number of answers of which it is known."""
    failed: int
    embedded: int
    """Number of questions with an embedding in the file."""
    propensities: int
    """Number of answers with a propensity."""
    least_propensity: float | None
    policies: dict[str, int]
    sessions: int
    first: str | None
    last: str | None
    """Times, as ISO 8601 writes them."""
    can: list[str]
    cannot: list[str]


def understand(read: Read) -> Understood:
    """Summarise records, and say what they can and cannot support."""
    records = [answer.record for answer in read.answers]
    pairs = Counter((record.query, record.model_name) for record in records)
    questions = Counter(query for query, _ in pairs)
    outcomes = [record.outcomes for record in records]
    propensities = [record.propensity for record in records if record.propensity is not None]
    times = [record.time for record in records if record.time is not None]
    models = dict(Counter(record.model_name for record in records))
    found = Understood(
        form=read.form.name,
        answers=len(records),
        bad=len(read.bad),
        questions=len(questions),
        models=models,
        equal_models=_equal(records, outcomes, models),
        models_a_question=dict(sorted(Counter(questions.values()).items())),
        duplicates=len(records) - len(pairs),
        known={kind: sum(of[place] is not None for of in outcomes) for place, kind in enumerate(OUTCOMES)},
        failed=sum(record.failed for record in records),
        embedded=len({record.query for record in records if record.embedding is not None}),
        propensities=len(propensities),
        least_propensity=min(propensities, default=None),
        policies=dict(Counter(record.policy for record in records if record.policy is not None)),
        sessions=len({record.session for record in records if record.session is not None}),
        first=iso(min(times)) if times else None,
        last=iso(max(times)) if times else None,
        can=[],
        cannot=[],
    )
    for supported, text in _support(found, records):
        (found.can if supported else found.cannot).append(text)
    return found


def _equal(
    records: Sequence[Record], outcomes: Sequence[Sequence[float | None]], models: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return models of equal records, of which there are `WANTED` or more."""
    sizes = Counter(models.values())
    answers: dict[str, list[tuple[str, ...]]] = {
        name: [] for name, count in models.items() if sizes[count] > 1 and count >= WANTED
    }
    for record, of in zip(records, outcomes, strict=True):
        if record.model_name in answers:
            answers[record.model_name].append((record.query, *map(repr, of)))
    return equals({name: tuple(sorted(of_model)) for name, of_model in answers.items()})


def _support(found: Understood, records: Sequence[Record]) -> Iterable[tuple[bool, str]]:
    """Yield claims, each with whether the records support it."""
    models = len(found.models)
    complete = found.models_a_question.get(models, 0)
    compared = found.questions - found.models_a_question.get(1, 0)
    if models == 1:
        yield False, "compare models: there is one"
    elif complete == found.questions:
        yield True, f"judge every policy: each question has answers of all {models} models"
    elif found.propensities == found.answers and (found.least_propensity or 1) < 1:
        yield True, "judge every policy that picks what the log picked with some probability, by its propensities"
    elif found.propensities == found.answers:
        yield False, "judge any policy but the one that wrote the log, which never explored: all propensities are 1"
    elif compared:
        yield (
            True,
            f"compare models on questions that have answers of more than one: {compared:,} of {found.questions:,}",
        )
    if models > 1 and complete < found.questions and found.propensities < found.answers:
        lacking = found.answers - found.propensities
        yield False, f"tell a model from the questions that it was given: {lacking:,} answers have no propensity"
    for kind, count in found.known.items():
        if count < found.answers:
            yield False, f"say the {kind} of {found.answers - count:,} of {found.answers:,} answers"
    if found.embedded < found.questions:
        lacking = found.questions - found.embedded
        yield False, f"embed {lacking:,} questions: --encoder, --embeddings or --embedder does"
    for model, picked, most in contradicted(records):
        yield False, f"believe the propensities of {model}: they stand for {picked:,.0f} answers of {most:,}"


class Joined(NamedTuple):
    """Decisions with their outcomes."""

    records: list[dict[str, Any]]
    without_outcome: int
    """Number of decisions that are left out."""
    without_decision: int
    """Number of outcomes that are left out."""


def join(decisions: Rows, outcomes: Rows) -> Joined:
    """Join rows by ``decision_id``; where both have a field, the outcome's value counts.

    Raises
    ------
    DocumentError
        When a row cannot be read or has no id, two rows of a file have the same id, or no outcome belongs to a
        decision.
    """
    made, later = _by_decision(decisions), _by_decision(outcomes)
    joined = [row | later[decision] for decision, row in made.items() if decision in later]
    if not joined:
        raise DocumentError(f"{outcomes.name}: expected outcomes of decisions of {decisions.name}, got none")
    return Joined(joined, len(made) - len(joined), len(later) - len(joined))


def _by_decision(file: Rows) -> dict[str, dict[str, Any]]:
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for row in file.rows:
        place = f"{file.name}:{row.number}"
        if row.error is not None:
            raise DocumentError(f"{place}: {row.error}")
        if DECISION not in row.fields:
            raise DocumentError(f"{place}: {DECISION}: expected one")
        decision = str(row.fields[DECISION])
        if decision in found:
            raise DocumentError(
                f"{place}: {DECISION}: {file.name}:{found[decision][0]} is of the same decision, {decision!r}"
            )
        found[decision] = row.number, row.fields
    return {decision: fields for decision, (_, fields) in found.items()}
