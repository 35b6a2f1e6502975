"""Decisions and outcomes, read back as the records that training and evaluation take."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .database import Database, Recorded
from .decisions import LEFT

# Why a decision is not a record: what it lacks.
NO_ANSWER, NO_QUALITY, NOT_STORED = "an answer", "an outcome", "anything of the prompt"
NO_CLIENT, OTHER_ENCODER = "a client that stayed", "an embedding of the newest encoder"


def records(database: Database, signal: str | None, skipped: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield a record for each decision whose outcome is known.

    Decisions with embeddings of an encoder that has been replaced are not records: embeddings of two encoders cannot be
    compared. A decision whose model failed is a record of quality 0 without success, even if another backend answered:
    the policy did not pick that backend, so that its answer has no propensity.

    Parameters
    ----------
    database
        Database of the gateway.
    signal
        Name of the signal that is the quality; None for the mean of all signals.
    skipped
        Counts the other decisions, by what they lack.

    Raises
    ------
    ConfigError
        When the database cannot be read.
    """
    encoder = database.newest_encoder()
    for recorded in database.records():
        record = _record(recorded, signal, encoder)
        if isinstance(record, str):
            skipped[record] += 1
        else:
            yield record


def _record(recorded: Recorded, signal: str | None, encoder: str | None) -> dict[str, Any] | str:
    decision, answer = recorded.decision, recorded.answer
    if answer is None:
        return NO_ANSWER
    if answer.status == LEFT:
        return NO_CLIENT
    if decision.embedding is None and decision.text is None:
        return NOT_STORED
    if decision.embedding is not None and decision.encoder != encoder:
        return OTHER_ENCODER
    success = answer.model == decision.model and answer.success
    said = [quality for name, quality in recorded.outcomes.items() if signal in (None, name)]
    if success and not said:
        return NO_QUALITY
    record = {
        "query": decision.text if decision.text is not None else decision.id,
        "model_name": decision.model,
        "performance": sum(said) / len(said) if success else 0.0,
        "success": success,
        "propensity": decision.propensity,
        "category": decision.category,
        "decision_id": decision.id,
        "timestamp": decision.at,
        "policy": decision.artifact,
        "session": decision.conversation,
    }
    if success:
        record |= {"response_time": answer.seconds, "cost": answer.cost}
    if decision.embedding is not None:
        record["embedding"] = np.frombuffer(decision.embedding, "<f4").tolist()
    return {name: value for name, value in record.items() if value is not None}
