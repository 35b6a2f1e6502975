"""Runs two replicas of the gateway under full load on one PostgreSQL while things fail around them; see README.md.

Clients are OpenAI's own. On the way one replica is killed and started again, the database is stopped and started, and
artifacts are swapped. What is counted: requests that failed though a backend could have served them, decisions that
were written twice, or lost without being counted, and what replicas take of memory and descriptors.
"""

import argparse
import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import openai
import sqlalchemy
from overhead import BACKEND, make_pair
from servers import POSTGRES, Postgres, free_port, started

from modelpick.gateway.database import Database

CLIENTS, BACKENDS = 64, 4
# Decisions that a process holds for this long at most before it writes them are lost where it is killed.
BATCH_SECONDS = 0.2
# The part of a decision's id that names its process.
PROCESS = slice(16, 24)


class Replica:
    """A process of the gateway."""

    def __init__(self, file: Path) -> None:
        self._file, self.port = file, free_port()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command: list[str | Path] = [
            "-m",
            "modelpick.gateway",
            self._file,
            "--port",
            str(self.port),
            "--log-level",
            "warning",
        ]
        self.process = subprocess.Popen([sys.executable, *command])
        while True:
            try:
                urlopen(f"http://127.0.0.1:{self.port}/readyz").close()
                return
            except OSError:
                time.sleep(0.1)

    def taken(self) -> dict[str, int]:
        """Return its memory, MB, and its open descriptors."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return {"MB": int(found[1]) // 1024, "descriptors": len([*Path(f"/proc/{self.process.pid}/fd").iterdir()])}

    def rows(self) -> dict[str, float]:
        """Return what it counts of rows."""
        text = urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        pattern = r'modelpick_gateway_rows_total\{kind="(\w+)",outcome="(\w+)"\} (\S+)'
        return {f"{kind} {outcome}": float(count) for kind, outcome, count in re.findall(pattern, text)}


async def client(number: int, urls: list[str], end: float, seen: dict[str, Any]) -> None:
    """Ask again and again, as a client does that knows both replicas: the other one where one refuses."""
    async with openai.AsyncOpenAI(base_url=urls[number % 2], api_key="-", max_retries=0, timeout=60) as one:
        while time.monotonic() < end:
            messages = [{"role": "user", "content": f"Question {random.randrange(10**9)} of {number}: sort a list."}]
            start = time.perf_counter()
            for attempt in range(6):
                base = urls[(number + attempt) % 2]
                try:
                    raw = await one.with_options(base_url=base).chat.completions.with_raw_response.create(
                        model="auto",
                        messages=messages,  # type: ignore[arg-type]
                    )
                except openai.APIConnectionError:  # the replica is gone, and with it what it was about to answer
                    seen["broken"][base] += 1
                    await asyncio.sleep(0.05 * attempt)
                    continue
                except openai.APIStatusError as error:
                    seen["failed"].append(f"{error.status_code} {error.message[:200]}")
                    break
                seen["decisions"].append(raw.headers["x-modelpick-decision"])
                seen["seconds"].append(time.perf_counter() - start)
                break
            else:
                seen["failed"].append("no replica")


async def load(urls: list[str], seconds: float, seen: dict[str, Any]) -> None:
    """Hold all clients."""
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(number, urls, end, seen) for number in range(CLIENTS)))


@contextmanager
def backends(folder: Path) -> Iterator[list[int]]:
    """Hold two stub backends."""
    (folder / "backend.py").write_text(BACKEND)
    first, second = free_port(), free_port()
    with (
        started(folder / "backend.py", str(first), port=first),
        started(folder / "backend.py", str(second), port=second),
    ):
        yield [first, second]


def disturb(replicas: list[Replica], database: Postgres, folder: Path, seconds: float, log: list[str]) -> None:
    """Do what goes wrong, at fixed shares of the time."""
    begin = time.monotonic()
    artifact = (folder / "artifacts/router.onnx").read_bytes()

    def at(share: float, what: str) -> None:
        time.sleep(max(0.0, begin + share * seconds - time.monotonic()))
        taken = [replica.taken() for replica in replicas if replica.process.poll() is None]
        log.append(f"{time.monotonic() - begin:.0f} s: {what}; taken {taken}")

    at(0.2, "one replica is killed")
    replicas[1].process.send_signal(signal.SIGKILL)
    replicas[1].process.wait()
    at(0.3, "it is started again")
    replicas[1].start()
    at(0.45, "the database is stopped")
    database.stop()
    at(0.6, "the database is started")
    database.start()
    at(0.75, "the artifact is swapped")
    (folder / "artifacts/new").write_bytes(artifact)
    (folder / "artifacts/new").rename(folder / "artifacts/router.onnx")
    at(0.95, "nearly done")


def main() -> None:
    """Run, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    seconds = parser.parse_args().seconds
    if not POSTGRES:
        sys.exit("needs PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = make_pair(folder)
        (folder / "postgres").mkdir()
        database = Postgres(folder / "postgres")
        database.start()
        try:
            with backends(folder) as ports:
                file = 'artifacts = "artifacts"\nselector = "router"\nencoder = "encoder.onnx"\n'
                file += f'[decisions]\nurl = "{database.url}"\nbatch_seconds = {BATCH_SECONDS}\nwaiting = 100_000\n'
                for number, model in enumerate(models):
                    url = f"http://127.0.0.1:{ports[number % 2]}/v1"
                    file += f'[[backends]]\nname = "{model}"\nbase_url = "{url}"\n'
                (folder / "gateway.toml").write_text(file)
                replicas = [Replica(folder / "gateway.toml") for _ in range(2)]
                for replica in replicas:
                    replica.start()
                print(json.dumps(measure(replicas, database, folder, seconds), indent=1))
        finally:
            database.stop()


def measure(replicas: list[Replica], database: Postgres, folder: Path, seconds: float) -> dict[str, Any]:
    """Hold the load while things fail; return what was counted."""
    seen: dict[str, Any] = {"decisions": [], "failed": [], "broken": Counter(), "seconds": []}
    log: list[str] = []
    urls = [f"http://127.0.0.1:{replica.port}/v1" for replica in replicas]

    async def both() -> None:
        disturbing = asyncio.to_thread(disturb, replicas, database, folder, seconds, log)
        await asyncio.gather(load(urls, seconds, seen), disturbing)

    asyncio.run(both())
    time.sleep(3)
    counted = [replica.rows() for replica in replicas]
    taken = [replica.taken() for replica in replicas]
    for replica in replicas:
        replica.process.terminate()
        replica.process.wait(60)
    engine = sqlalchemy.create_engine(database.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        written = [row[0] for row in connection.execute(sqlalchemy.text("SELECT id FROM modelpick_decisions"))]
        answered = connection.execute(sqlalchemy.text("SELECT count(*) FROM modelpick_answers")).scalar()
    missing = [one for one in seen["decisions"] if one not in {*written}]
    lost = Database(database.url, reads=True).lost()
    uncounted = Counter(one[PROCESS] for one in missing) - Counter(lost)
    times = sorted(seen["seconds"])
    return {
        "seconds": seconds,
        "requests served": len(times),
        "requests failed": seen["failed"],
        "connections that broke, and were made to the other replica": dict(seen["broken"]),
        "p50, p99 ms": [round(times[len(times) * share // 100] * 1e3, 1) for share in (50, 99)],
        "decisions written": len(written),
        "written twice": len(written) - len({*written}),
        "answers written": answered,
        "served, and not written": len(missing),
        "lost, by process, as the database counts": lost,
        "served, not written, and not counted as lost": uncounted.total(),
        "counted by the replicas that ended": counted,
        "taken at the end": taken,
        "log": log,
    }


if __name__ == "__main__":
    main()
