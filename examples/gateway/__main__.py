"""Starts the gateway: python -m gateway gateway.toml."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import uvicorn

from modelpick.runtime import ModelpickError

from .config import read
from .connections import limited

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def main() -> None:
    """Check the file, and serve until stopped: requests in flight finish."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, help="info has a line for each request")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as shared:
        os.environ["MODELPICK_GATEWAY"] = str(arguments.config)
        if arguments.workers > 1:
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", shared)
        from .app import loaded  # metrics look at the environment when they are imported

        try:
            config = read(arguments.config)
            with loaded(config):  # once here: a line, instead of a traceback from each worker
                pass
        except ModelpickError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        uvicorn.run(
            "gateway.app:from_environment",
            factory=True,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            http=limited(config.limits),
            log_level=arguments.log_level,
            timeout_graceful_shutdown=config.limits.stop_seconds,
        )


if __name__ == "__main__":
    main()
