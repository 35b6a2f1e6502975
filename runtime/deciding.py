"""A decision: the model that `Selector.decide` picked for a query, with all that learning from its outcome needs."""

import os
from collections.abc import Mapping
from functools import partial
from itertools import count
from time import time_ns
from typing import Any, NamedTuple

# Decisions that one process counts before it begins again: ids have one length.
_COUNTED = 2**32


class Stamp(NamedTuple):
    """What an id is written of."""

    nanoseconds: int
    """Since 1970."""
    maker: str
    number: int

    def __str__(self) -> str:
        return f"{self.nanoseconds:016x}{self.maker}{self.number % _COUNTED:08x}"


class Ids:
    """Makes ids of 32 hexadecimal digits, no id twice: the time, a random number of this maker, and a count from 0.

    Ids sort by their times. The count shows a reader of a maker's ids which ones are missing. Any number of threads may
    call it.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take another random number, as a forked process must."""
        self.maker = os.urandom(4).hex()
        self._count = count()

    def stamp(self) -> Stamp:
        """Make what an id is written of, in a third of the time."""
        return Stamp(time_ns(), self.maker, next(self._count))

    def __call__(self) -> str:
        """Make an id."""
        return str(self.stamp())


class Exploring(NamedTuple):
    """How the rows of a file or a dataset are decided on, see `modelpick.runtime.Selector.decide`."""

    explore: float = 0.0
    margin: float | None = None
    key: str | None = None
    """Name of the field or column that holds the key of each row."""


class Predicted(NamedTuple):
    """Predictions for a query."""

    outcomes: Mapping[str, Mapping[str, float]]
    """Model -> kind of outcome -> prediction; empty where the algorithm predicts none."""
    utility: Mapping[str, float]
    """Candidate -> predicted utility by the objective; empty where the algorithm predicts no outcomes."""


class Prediction(partial[Predicted]):
    """Predictions that are computed when they are first asked for: a function and its arguments.

    A subclass of `partial` is made without a call of Python, in the least time.
    """

    known: Predicted

    def __call__(self, *_: object, **__: object) -> Predicted:
        """Return the predictions."""
        if "known" not in self.__dict__:
            self.known = super().__call__()
        return self.known

    def __eq__(self, other: object) -> bool:
        return self() == other() if isinstance(other, Prediction) else NotImplemented

    def __hash__(self) -> int:
        return hash(type(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Prediction, (Predicted, *self())


class Decision(NamedTuple):
    """A model that was picked for a query, or drawn among the candidates.

    Outcomes and utilities are computed when they are first asked for, in about the time of `Selector.explain`. The
    decision holds a copy of the query for them.
    """

    model: str
    """The model to ask."""
    default: str
    """The pick without exploring."""
    propensity: float
    """Probability, over keys, with which the model is drawn; 1 without exploring."""
    stamp: Stamp
    """When it was made, and by whom."""
    key: str | None
    """The caller's key."""
    artifact: str
    """SHA-256 of the JSON model that the artifact was converted from."""
    prediction: Prediction
    """Computes the outcomes and utilities."""

    @property
    def decision_id(self) -> str:
        """32 hexadecimal digits, unique; ids sort by time."""
        return str(self.stamp)

    @property
    def timestamp(self) -> float:
        """Seconds since 1970."""
        return self.stamp.nanoseconds / 1e9

    @property
    def outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """Model -> kind of outcome -> prediction; empty where the algorithm predicts none."""
        return self.prediction().outcomes

    @property
    def utility(self) -> Mapping[str, float]:
        """Candidate -> predicted utility by the objective; empty where the algorithm predicts no outcomes."""
        return self.prediction().utility

    @property
    def explored(self) -> bool:
        """Whether another model than the default was drawn."""
        return self.model != self.default

    def as_record(self) -> dict[str, Any]:
        """Return the fields of a benchmark record that are known of a decision: the query and outcomes are missing."""
        record = {
            "decision_id": self.decision_id,
            "timestamp": self.timestamp,
            "model_name": self.model,
            "default": self.default,
            "propensity": self.propensity,
            "policy": self.artifact,
        }
        return record if self.key is None else record | {"session": self.key}

    def as_dict(self) -> dict[str, Any]:
        """Return `as_record` and the predictions, which can be written as JSON."""
        return self.as_record() | self.prediction()._asdict()


new_id = Ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=new_id.renew)
