"""Writes decisions off the path of requests, in batches. A limited number may wait; dropped rows are counted."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from threading import Event, Thread

from prometheus_client import Counter
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from modelpick.runtime.events import logger

from .config import Decisions
from .database import Database, reason
from .decisions import Decision, Row
from .processes import Process

ROWS = Counter(
    "modelpick_gateway_rows", "Decisions, answers and outcomes, by what became of them.", ["kind", "outcome"]
)
BATCH, RETRY_SECONDS, FORGET_SECONDS = 500, 1.0, 3_600.0
Finish = Callable[[], Row]
"""Makes a row, off the path of its request."""


class Recorder:
    """A thread that writes rows.

    While the database is down, a limited number of rows waits. Further rows, and rows that the database refuses, are
    dropped and counted. Decisions have numbers, so that a reader of the database knows how many are lost.
    """

    def __init__(self, database: Database, settings: Decisions) -> None:
        self._database, self._settings = database, settings
        self._process = Process(database, settings.counts)
        self._waiting: deque[tuple[str, Finish]] = deque()
        self._batch: list[tuple[str, Row]] = []
        self._stop = Event()
        self._said = False
        self._forgotten = 0.0
        self._thread = Thread(target=self._work, name="modelpick recorder", daemon=True)
        self._thread.start()

    def decide(self, decision: Decision, finish: Callable[[Decision], Row]) -> Decision:
        """Add a decision to the rows that wait, and return it with its id.

        Parameters
        ----------
        decision
            The decision, without an id.
        finish
            Makes the row, off the path of its request.
        """
        with self._process.numbering:
            decision = replace(decision, id=self._process.number())
            self.put("decision", partial(finish, decision))
        return decision

    def put(self, kind: str, finish: Finish) -> bool:
        """Add a row to those that wait; return whether there was room."""
        if len(self._waiting) >= self._settings.waiting:
            ROWS.labels(kind, "dropped").inc()
            return False
        self._waiting.append((kind, finish))
        return True

    def close(self, seconds: float) -> None:
        """Write the waiting rows for at most some seconds; count the remaining rows as dropped."""
        self._stop.set()
        self._thread.join(seconds)
        left = [kind for kind, _ in (*self._batch, *self._waiting)]
        self._dropped(left)
        if left:
            logger.error("%d rows were not written before the end", len(left))
        try:
            self._process.end()
        except SQLAlchemyError as error:
            logger.warning("the database is not told how many decisions were made: %s", reason(error))

    def _work(self) -> None:
        while not self._stop.wait(0 if len(self._waiting) > BATCH else self._settings.batch_seconds):
            self._step()
            if self._batch:
                self._stop.wait(RETRY_SECONDS)
        while self._waiting or self._batch:
            self._step()
            if self._batch:
                time.sleep(RETRY_SECONDS)

    def _step(self) -> None:
        try:
            self._batch = self._write(self._batch or self._taken())
            self._forget()
        except BaseException:  # whatever happens, the writing goes on
            logger.exception("decisions: %d rows are lost", len(self._batch))
            self._dropped(kind for kind, _ in self._batch)
            self._batch = []

    def _taken(self) -> list[tuple[str, Row]]:
        taken: list[tuple[str, Row]] = []
        while self._waiting and len(taken) < BATCH:
            kind, finish = self._waiting.popleft()
            try:
                taken.append((kind, finish()))
            except Exception:
                logger.exception("%s: cannot be finished", kind)
                self._dropped([kind])
        return taken

    def _write(self, rows: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
        """Write rows; return the rows that have to wait."""
        if not rows:
            return []
        try:
            self._process.begin()
            self._database.write([row for _, row in rows])
        except (OperationalError, InterfaceError) as error:
            if not self._said:
                logger.error("decisions wait, as the database does not take them: %s", reason(error))
            self._said = True
            return rows
        except SQLAlchemyError:  # one of them, or more: each for itself
            for kind, row in rows:
                try:
                    self._database.write([row])
                except SQLAlchemyError as error:
                    logger.error("%s: the database refuses it: %s", kind, reason(error))
                    self._dropped([kind])
                else:
                    ROWS.labels(kind, "written").inc()
            return []
        if self._said:
            logger.info("decisions are written again")
        self._said = False
        for kind, _ in rows:
            ROWS.labels(kind, "written").inc()
        return []

    def _forget(self) -> None:
        now = time.monotonic()
        if now - self._forgotten < FORGET_SECONDS and self._forgotten:
            return
        self._forgotten = now
        try:
            deleted = self._database.forget(self._settings.retention_days)
        except SQLAlchemyError as error:
            logger.warning("decisions: old ones are not deleted: %s", reason(error))
        else:
            if deleted:
                logger.info("%d decisions older than %g days are deleted", deleted, self._settings.retention_days)

    def _dropped(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            ROWS.labels(kind, "dropped").inc()
