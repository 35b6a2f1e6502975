"""The tables of decisions and outcomes, in SQLAlchemy: an SQLite file, or a PostgreSQL that several replicas share."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import JSON, Column, Double, Index, Integer, LargeBinary, MetaData, String, Table, Text, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from .config import ConfigError
from .decisions import Answered, Decision, Outcome, Row

TABLES = MetaData()
DECISIONS = Table(
    "modelpick_decisions",
    TABLES,
    Column("id", String(32), primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("artifact", String, nullable=False),
    Column("encoder", String, nullable=False),
    Column("conversation", String(32), nullable=False),
    Column("reason", String, nullable=False),
    Column("model", String, nullable=False),
    Column("default", String, nullable=False),
    Column("propensity", Double, nullable=False),
    Column("candidates", JSON, nullable=False),
    Column("excluded", JSON, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("category", String),
    Column("shadow", String),
    Column("embedding", LargeBinary),
    Column("text", Text),
    Index("modelpick_conversations", "conversation", "at"),
)
ANSWERS = Table(
    "modelpick_answers",
    TABLES,
    Column("decision_id", String(32), primary_key=True),
    Column("model", String),
    Column("status", Integer, nullable=False),
    Column("success", sqlalchemy.Boolean, nullable=False),
    Column("first_byte_seconds", Double),
    Column("seconds", Double, nullable=False),
    Column("prompt_tokens", sqlalchemy.BigInteger),
    Column("completion_tokens", sqlalchemy.BigInteger),
    Column("cached_tokens", sqlalchemy.BigInteger),
    Column("estimated", sqlalchemy.Boolean, nullable=False),
    Column("cost", Double),
    Column("failures", JSON, nullable=False),
)
OUTCOMES = Table(
    "modelpick_outcomes",
    TABLES,
    Column("decision_id", String(32), primary_key=True),
    Column("signal", String(64), primary_key=True),
    Column("quality", Double, nullable=False),
    Column("at", Double, nullable=False),
)
# Processes of the gateway, by the part of their decisions' ids that names them.
PROCESSES = Table(
    "modelpick_processes",
    TABLES,
    Column("process", String(8), primary_key=True),
    Column("decided", sqlalchemy.BigInteger),
    Column("ended", Double),
    Column("forgotten", sqlalchemy.BigInteger, nullable=False),
)
# The parts of a decision's id.
_PROCESS, _COUNT = sqlalchemy.func.substr(DECISIONS.c.id, 17, 8), sqlalchemy.func.substr(DECISIONS.c.id, 25, 8)
_TABLE_OF = {Decision: DECISIONS, Answered: ANSWERS, Outcome: OUTCOMES}
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
DAY = 86_400.0
# Rows that are read at a time.
READ = 1_000


class Turn(NamedTuple):
    """The last turn of a conversation."""

    model: str
    at: float
    prompt_tokens: int


class Recorded(NamedTuple):
    """A decision, its answer and its outcomes."""

    decision: Any
    answer: Any | None
    outcomes: dict[str, float]
    """Signal -> quality."""


class Database:
    """Writes rows, each once, and reads them; any number of threads may use it.

    Parameters
    ----------
    url
        URL as SQLAlchemy takes it.
    reads
        Whether the database is only read; the tables must exist then.

    Raises
    ------
    ConfigError
        When the URL is malformed, its driver is missing, or an SQLite file cannot be written. A server may be down: its
        tables are made once it answers.
    """

    def __init__(self, url: str, reads: bool = False) -> None:
        try:
            parsed = sqlalchemy.make_url(url)
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            if parsed.get_backend_name() not in _INSERT:
                raise ConfigError(f"decisions: expected a URL of sqlite or postgresql, got {parsed.get_backend_name()}")
            self.is_file = parsed.get_backend_name() == "sqlite"
            options: dict[str, Any] = {"pool_pre_ping": False}
            if not self.is_file:
                options |= {"connect_args": {"connect_timeout": 2}, "pool_timeout": 2}
            self._engine = sqlalchemy.create_engine(parsed, **options)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"decisions: {reason(error)}") from None
        if self.is_file:
            event.listen(self._engine, "connect", _prepare_file)
        self._insert = _INSERT[self._engine.dialect.name]
        self._is_made = reads
        try:
            self._make()
        except SQLAlchemyError as error:
            if self.is_file:
                raise ConfigError(f"decisions: {parsed.database}: cannot be written: {reason(error)}") from None

    def _make(self) -> None:
        if not self._is_made:
            with self._engine.begin() as connection:
                if not self.is_file:  # replicas that start at once would make them twice
                    connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(6180339)"))
                for table in TABLES.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
            self._is_made = True

    def write(self, rows: Sequence[Row]) -> None:
        """Write all rows or none. Rows that were written before stay as they are, except outcomes: the last one counts.

        Raises
        ------
        SQLAlchemyError
            When the rows could not be written.
        """
        self._make()
        with self._engine.begin() as connection:
            for kind, table in _TABLE_OF.items():
                values = [asdict(row) for row in rows if isinstance(row, kind)]
                if kind is Outcome:  # one statement cannot write a row twice
                    values = [*{(one["decision_id"], one["signal"]): one for one in values}.values()]
                if not values:
                    continue
                statement = self._insert(table)
                if kind is Outcome:
                    changed = {name: statement.excluded[name] for name in ("quality", "at")}
                    statement = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
                else:
                    statement = statement.on_conflict_do_nothing(index_elements=list(table.primary_key))
                connection.execute(statement, values)

    def last_turn(self, conversation: str, since: float) -> Turn | None:
        """Return the last turn of a conversation since a time, in seconds since 1970."""
        served = sqlalchemy.case(
            (DECISIONS.c.model == DECISIONS.c.default, sqlalchemy.func.coalesce(ANSWERS.c.model, DECISIONS.c.model)),
            else_=DECISIONS.c.default,
        )
        query = (
            select(served, DECISIONS.c.at, DECISIONS.c.prompt_tokens)
            .join(ANSWERS, ANSWERS.c.decision_id == DECISIONS.c.id, isouter=True)
            .where(DECISIONS.c.conversation == conversation, DECISIONS.c.at >= since)
            .order_by(DECISIONS.c.at.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else Turn(*found)

    def begin(self, process: str) -> None:
        """Write that a process writes decisions: from then on those that it loses are counted."""
        self._make()
        with self._engine.begin() as connection:
            statement = self._insert(PROCESSES).on_conflict_do_nothing()
            connection.execute(statement, {"process": process, "forgotten": 0})

    def end(self, process: str, decided: int) -> int:
        """Write how many decisions a process made that has ended; return how many of them are lost."""
        self._make()
        with self._engine.begin() as connection:
            values = {"decided": decided, "ended": time.time()}
            statement = self._insert(PROCESSES).on_conflict_do_update(index_elements=["process"], set_=values)
            connection.execute(statement, {"process": process, "forgotten": 0, **values})
            return _lost(connection).get(process, 0)

    def lost(self) -> dict[str, int]:
        """Return the number of decisions that each process made and that were never written, without zeros.

        Of a process that has not ended, or of which nobody knows how many it made, these are the gaps between those
        that were written.

        Raises
        ------
        ConfigError
            When the database cannot be read.
        """
        try:
            with self._engine.connect() as connection:
                return _lost(connection)
        except SQLAlchemyError as error:
            raise ConfigError(f"decisions: cannot be read: {reason(error)}") from None

    def forget(self, days: float) -> int:
        """Delete decisions older than some days, with their answers and outcomes; return the number of decisions."""
        since = time.time() - days * DAY
        old = select(DECISIONS.c.id).where(DECISIONS.c.at < since)
        last = select(_PROCESS, sqlalchemy.func.max(_COUNT)).where(DECISIONS.c.at < since).group_by(_PROCESS)
        with self._engine.begin() as connection:
            connection.execute(PROCESSES.delete().where(PROCESSES.c.ended < since))
            for process, count in connection.execute(last).all():
                known = PROCESSES.update().where(PROCESSES.c.process == process)
                connection.execute(known.values(forgotten=int(count, 16) + 1))
            for table in (ANSWERS, OUTCOMES):
                connection.execute(table.delete().where(table.c.decision_id.in_(old)))
            return connection.execute(DECISIONS.delete().where(DECISIONS.c.id.in_(old))).rowcount

    def newest_encoder(self) -> str | None:
        """Return the digest of the encoder of the last decision; None where there is none.

        Raises
        ------
        ConfigError
            When the database cannot be read.
        """
        try:
            with self._engine.connect() as connection:
                found: str | None = connection.execute(
                    select(DECISIONS.c.encoder).order_by(DECISIONS.c.id.desc()).limit(1)
                ).scalar()
        except SQLAlchemyError as error:
            raise ConfigError(f"decisions: cannot be read: {reason(error)}") from None
        return found

    def records(self) -> Iterator[Recorded]:
        """Yield all decisions, the oldest first, with their answers and outcomes.

        Raises
        ------
        ConfigError
            When the database cannot be read.
        """
        last = ""
        try:
            with self._engine.connect() as connection:
                while True:
                    page = select(DECISIONS).where(DECISIONS.c.id > last).order_by(DECISIONS.c.id).limit(READ)
                    decisions = connection.execute(page).all()
                    if not decisions:
                        return
                    ids = [one.id for one in decisions]
                    last = ids[-1]
                    answers = {one.decision_id: one for one in connection.execute(_those(ANSWERS, ids))}
                    outcomes: dict[str, dict[str, float]] = {}
                    for one in connection.execute(_those(OUTCOMES, ids)):
                        outcomes.setdefault(one.decision_id, {})[one.signal] = one.quality
                    for decision in decisions:
                        yield Recorded(decision, answers.get(decision.id), outcomes.get(decision.id, {}))
        except SQLAlchemyError as error:
            raise ConfigError(f"decisions: cannot be read: {reason(error)}") from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _lost(connection: sqlalchemy.Connection) -> dict[str, int]:
    counted = select(_PROCESS, sqlalchemy.func.count(), sqlalchemy.func.max(_COUNT)).group_by(_PROCESS)
    written = {process: (count, int(last, 16) + 1) for process, count, last in connection.execute(counted)}
    lost = {}
    for one in connection.execute(select(PROCESSES)).all():
        count, last = written.get(one.process, (0, one.forgotten))
        lost[one.process] = (last if one.decided is None else one.decided) - one.forgotten - count
    return {process: count for process, count in lost.items() if count > 0}


def _those(table: Table, ids: Sequence[str]) -> Any:
    return select(table).where(table.c.decision_id.in_(ids))


def _prepare_file(connection: Any, _: object) -> None:
    """Let readers and a writer of several processes use an SQLite file at once."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=5000")


def reason(error: BaseException) -> str:
    """Return the message of a database's error, in one line."""
    text = str(getattr(error, "orig", None) or error)
    return text.strip().partition("\n")[0] or type(error).__name__
