"""Conversations: their names, and the model that each had last."""

import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from threading import Lock
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from modelpick.runtime.events import logger

from .config import Conversations as Settings
from .database import Database, Turn, reason

# Roles of messages that answer a call of the model.
TOOLS = ("tool", "function")
# Seconds for which a database is not asked after a failure.
PAUSE = 5.0


def key_of(named: str | None, messages: Sequence[Mapping[str, Any]], client: str) -> str:
    """Return the digest that names a conversation, of 32 hexadecimal digits.

    Parameters
    ----------
    named
        The value of the conversation's header, if it has one.
    messages
        Without the header, the messages up to the first message of a user name the conversation.
    client
        Digest of the client's key, where clients have keys.
    """
    if named is None:
        first = next((place for place, one in enumerate(messages) if one.get("role") == "user"), len(messages))
        named = json.dumps(messages[: first + 1], sort_keys=True)
    return sha256(f"{client}\0{named}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_begun(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a model has answered in the conversation before."""
    return any(one.get("role") == "assistant" for one in messages)


def is_tool_loop(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the last message of the conversation answers a model's call of a tool."""
    return bool(messages) and messages[-1].get("role") in TOOLS


class Conversations:
    """The last turn of each conversation, in this process and in all processes that share its database.

    Any number of threads may use it.
    """

    def __init__(self, settings: Settings, database: Database | None) -> None:
        self._settings, self._database = settings, database
        self._turns: OrderedDict[str, Turn] = OrderedDict()
        self._lock = Lock()
        self._asked_again = 0.0

    def last(self, key: str) -> Turn | None:
        """Return the last turn of a conversation that is not expired."""
        since = time.time() - self._settings.expire_seconds
        with self._lock:
            here = self._turns.get(key)
        turns = [turn for turn in (here, self._shared(key, since)) if turn is not None and turn.at >= since]
        return max(turns, key=lambda turn: turn.at, default=None)

    def remember(self, key: str, turn: Turn) -> None:
        """Remember the last turn of a conversation, and forget the least recently used one where there are too many."""
        with self._lock:
            self._turns[key] = turn
            self._turns.move_to_end(key)
            if len(self._turns) > self._settings.remembered:
                self._turns.popitem(last=False)

    def _shared(self, key: str, since: float) -> Turn | None:
        if self._database is None or time.monotonic() < self._asked_again:
            return None
        try:
            return self._database.last_turn(key, since)
        except SQLAlchemyError as error:
            self._asked_again = time.monotonic() + PAUSE
            logger.warning("conversations: the database does not tell: %s", reason(error))
            return None
