"""Replicas that share a database of PostgreSQL; skipped where Debian's package is missing."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest

from modelpick.gateway.config import Conversations as Settings
from modelpick.gateway.config import Decisions
from modelpick.gateway.conversations import Conversations
from modelpick.gateway.database import Database
from modelpick.gateway.decisions import Answered, Outcome
from modelpick.gateway.recorder import Recorder
from modelpick.runtime.deciding import new_id
from support.gateways import made
from support.waiting import until

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
AS = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not PROGRAMS or not (not AS or shutil.which("setpriv")):
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgresql")
    if AS:
        shutil.chown(folder, "postgres", "postgres")
        for parent in list(folder.parents)[:3]:
            if parent != Path("/tmp"):
                parent.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(command, *arguments):
        call = [*AS, PROGRAMS[-1] / command, *arguments]
        subprocess.run(call, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)

    def control(*arguments):
        run("pg_ctl", "-D", folder / "data", "-w", *arguments)

    run("initdb", "-D", folder / "data", "-U", "modelpick", "-A", "trust", "-N")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    start = lambda: control("-l", folder / "log", "-o", options, "start")  # noqa: E731
    start()
    yield f"postgresql://modelpick@127.0.0.1:{port}/postgres", start, lambda: control("-m", "fast", "stop")
    control("-m", "fast", "stop")


def test_replicas_write_each_row_once_and_share_conversations(server):
    url = server[0]
    databases = []
    threads = [Thread(target=lambda: databases.append(Database(url))) for _ in range(4)]  # which all make the tables
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [made(id=new_id(), conversation="shared", at=time.time() + number) for number in range(300)]
    answers = [Answered(row.id, "m", 200, True, 0.1, 0.2) for row in rows]
    for database in databases:
        database.write([*rows, *answers, Outcome(rows[0].id, "quality", 0.5, 0.0)])
    databases[0].write([Outcome(rows[0].id, "quality", 0.25, 1.0), Outcome(rows[0].id, "quality", 0.75, 2.0)])
    read = list(Database(url, reads=True).records())
    assert [one.decision.id for one in read] == [row.id for row in rows]
    assert read[0].outcomes == {"quality": 0.75}
    assert all(one.answer is not None for one in read)
    assert Conversations(Settings(), databases[1]).last("shared").model == "m"


def test_rows_wait_while_it_is_down(server, tmp_path):
    url, start, stop = server
    recorder, ids = (
        Recorder(Database(url), Decisions(batch_seconds=0.01, counts=tmp_path)),
        [new_id() for _ in range(50)],
    )
    recorder.put("decision", lambda: made(id=ids[0]))
    until(lambda: ids[0] in {one.decision.id for one in Database(url, reads=True).records()})
    stop()
    try:
        for one in ids[1:]:
            assert recorder.put("decision", lambda one=one: made(id=one))
        assert Conversations(Settings(), Database(url)).last("c") is None  # and a gateway that starts now does
    finally:
        start()
    until(lambda: {*ids} <= {one.decision.id for one in Database(url, reads=True).records()})
    recorder.close(5)
