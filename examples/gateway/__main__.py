"""Starts the gateway: python -m gateway gateway.toml."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import uvicorn

from modelpick.runtime import ModelpickError

from .config import read


def main() -> None:
    """Check the file, and serve until stopped: requests in flight finish."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--log-level", default="info", help="as uvicorn's; info has a line for each request")
    arguments = parser.parse_args()
    try:
        limits = read(arguments.config).limits
    except ModelpickError as error:
        sys.exit(f"error: {error}")
    with tempfile.TemporaryDirectory() as shared:
        os.environ["MODELPICK_GATEWAY"] = str(arguments.config)
        if arguments.workers > 1:
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", shared)
        uvicorn.run(
            "gateway.app:from_environment",
            factory=True,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            log_level=arguments.log_level,
            timeout_graceful_shutdown=limits.stop_seconds,
        )


if __name__ == "__main__":
    main()
