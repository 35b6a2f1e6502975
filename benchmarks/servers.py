"""Servers that the scripts of the gateway start: processes of Python, and PostgreSQL by Debian's package."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def started(*command: str | Path, port: int, cwd: Path = ROOT) -> Iterator[None]:
    """Hold a server that listens on a port."""
    process = subprocess.Popen([sys.executable, *command], cwd=cwd)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Postgres:
    """A server of PostgreSQL in a folder of its own; it refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port, self._bin = folder, free_port(), POSTGRES[-1]
        self._as: list[str] = (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        )
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
            folder.parent.chmod(0o755)
        self._run("initdb", "-D", folder / "data", "-U", "modelpick", "-A", "trust")

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql://modelpick@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c max_connections=50"
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as far as its clients are concerned."""
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "fast", "-w", "stop")

    def _run(self, command: str, *arguments: str | Path) -> None:
        call: list[str] = [*self._as, str(self._bin / command), *map(str, arguments)]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, timeout=60)
