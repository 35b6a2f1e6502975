"""Decisions and outcomes, read back as the records that training and evaluation take."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .database import Database, Recorded
from .decisions import LEFT

# What a decision lacks that is no record.
NO_ANSWER, NO_QUALITY, NOT_STORED = "an answer", "an outcome", "anything of the prompt"
NO_CLIENT, OTHER_ENCODER = "a client that stayed", "an embedding of the newest encoder"


def records(database: Database, signal: str | None, skipped: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield a record for each decision of which it is known what came of it.

    Embeddings of an encoder that was replaced since are no records: those of two encoders say nothing of one another.
    A decision whose model failed is a record of quality 0 that did not succeed, whoever answered instead: what
    another backend answered was not drawn, and has no propensity.

    Parameters
    ----------
    database
        Of the gateway.
    signal
        Name of the outcome that is the quality; the mean of all where it is None.
    skipped
        Counts the others, by what they lack.

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
    }
    if success:
        record |= {"response_time": answer.seconds, "cost": answer.cost}
    if decision.embedding is not None:
        record["embedding"] = np.frombuffer(decision.embedding, "<f4").tolist()
    return {name: value for name, value in record.items() if value is not None}
