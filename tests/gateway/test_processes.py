"""Decisions that are lost: of each process a reader knows how many, also of one that was killed."""

import json
import signal
import subprocess
import sys
import time

import pytest

from modelpick.gateway.config import Decisions
from modelpick.gateway.database import Database
from modelpick.gateway.decisions import Answered, Outcome
from modelpick.gateway.processes import Process
from modelpick.gateway.recorder import Recorder
from support.command import modelpick
from support.gateways import made
from support.waiting import until

KILLED = """
import sys, time
from pathlib import Path
from modelpick.gateway.database import Database
from modelpick.gateway.decisions import Decision
from modelpick.gateway.processes import Process

database = Database(sys.argv[1])
process = Process(database, Path(sys.argv[2]))
process.begin()
ids = [process.number() for _ in range(9)]
one = {"artifact": "a", "encoder": "e", "conversation": "c", "reason": "picked", "model": "m", "default": "m"}
one |= {"propensity": 1.0, "candidates": {}, "excluded": {}, "prompt_tokens": 7, "at": time.time()}
database.write([Decision(id=written, **one) for written in ids[:5]])
print(ids[-1], flush=True)
time.sleep(1_000)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/decisions.sqlite"


@pytest.fixture
def settings(tmp_path):
    return Decisions(batch_seconds=0.01, counts=tmp_path / "counts")


def decided(recorder, number):
    return [recorder.decide(made(), lambda decision: decision) for _ in range(number)]


def test_what_a_killed_process_had_not_written_is_counted_by_the_next(url, settings, tmp_path, caplog):
    command = [sys.executable, "-c", KILLED, url, str(settings.counts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        last = process.stdout.readline().decode().strip()
        process.send_signal(signal.SIGKILL)
    database = Database(url)
    assert database.lost() == {}  # nobody has told yet
    recorder = Recorder(database, settings)
    (own,) = decided(recorder, 1)
    until(lambda: database.lost())
    recorder.close(5)
    assert database.lost() == {last[16:24]: 4}
    assert f"process {last[16:24]} was killed: 4 of its 9 decisions are lost" in caplog.text
    assert list(settings.counts.iterdir()) == []

    for one in list(database.records()):
        answered = Answered(one.decision.id, "m", 200, True, 0.1, 0.2)
        database.write([answered, Outcome(one.decision.id, "quality", 1.0, 0.0)])
    with database._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE modelpick_decisions SET text = 'prompt'")
    done = modelpick("records", url, "-o", str(tmp_path / "records.jsonl"))
    assert f"process {last[16:24]} of the gateway lost 4 decisions" in done.stderr
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert len(records) == 6
    assert own.id in {record["decision_id"] for record in records}


def test_a_process_that_lives_is_not_taken_for_a_dead_one(url, settings):
    database = Database(url)
    first, second = Recorder(database, settings), Recorder(database, settings)
    decided(first, 2)
    decided(second, 2)
    until(lambda: len(list(database.records())) == 4)
    assert len(list(settings.counts.iterdir())) == 2
    first.close(5)
    second.close(5)
    assert database.lost() == {}


def test_what_is_dropped_is_counted_at_the_end(url, settings):
    database = Database(url)
    recorder = Recorder(database, settings.model_copy(update={"waiting": 2, "batch_seconds": 1_000}))
    decisions = decided(recorder, 5)
    recorder.close(5)
    assert [one.decision.id for one in database.records()] == [one.id for one in decisions[:2]]
    assert database.lost() == {decisions[0].id[16:24]: 3}


def test_a_gap_is_seen_while_the_process_lives_and_what_was_forgotten_is_none(url, settings):
    database, day = Database(url), 86_400
    process = Process(database, settings.counts)
    process.begin()
    ids = [process.number() for _ in range(10)]
    at = [time.time() - (10 * day if place < 4 else 0) for place in range(10)]
    database.write([made(id=one, at=then) for one, then in zip(ids, at, strict=True) if one != ids[6]])
    assert database.lost() == {ids[0][16:24]: 1}
    assert database.forget(days=9) == 4
    assert database.lost() == {ids[0][16:24]: 1}
    process.end()
    assert database.lost() == {ids[0][16:24]: 1}
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE modelpick_processes SET ended = {time.time() - 10 * day}")
    database.forget(days=9)
    assert database.lost() == {}


def test_a_folder_that_cannot_be_written_is_a_warning(url, settings, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    recorder = Recorder(Database(url), settings.model_copy(update={"counts": tmp_path / "file"}))
    decided(recorder, 2)
    recorder.close(5)
    assert "cannot be written, so what a killed process loses is not known" in caplog.text
    assert len(list(Database(url).records())) == 2
