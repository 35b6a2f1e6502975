"""The commands ``modelpick serve`` and ``python -m modelpick.gateway``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from uvicorn.config import LOGGING_CONFIG as LOG_CONFIG

from modelpick.runtime import ModelpickError
from modelpick.runtime.events import logger

from .config import read
from .connections import limited

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
HOST, PORT, LOG_LEVEL = "127.0.0.1", 8000, "info"


def serve(file: Path, *, host: str = HOST, port: int = PORT, workers: int = 1, log_level: str = LOG_LEVEL) -> None:
    """Check a gateway's file, and serve until stopped: requests in flight finish.

    Raises
    ------
    ModelpickError
        When the configuration, or a file that it names, is refused; nothing is served then.
    """
    with tempfile.TemporaryDirectory() as shared:
        os.environ["MODELPICK_GATEWAY"] = str(file)
        if workers > 1:
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", shared)
        from .state import loaded  # metrics look at the environment when they are imported

        config = read(file)
        logger.disabled = True  # what is wrong is raised
        with loaded(config):  # once here: a line, instead of a traceback from each worker
            pass
        logger.disabled = False
        own = {"handlers": ["default"], "level": log_level.upper(), "propagate": False}
        uvicorn.run(
            f"{__package__}.app:from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http=limited(config.limits),
            log_level=log_level,
            log_config=LOG_CONFIG | {"loggers": {**LOG_CONFIG["loggers"], logger.name: own}},
            timeout_graceful_shutdown=config.limits.stop_seconds,
        )


def arguments(prog: str = f"python -m {__package__}") -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description="Serve a gateway's file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--log-level", default=LOG_LEVEL, choices=LOG_LEVELS, help="info has a line for each request")
    return parser


def main(prog: str = f"python -m {__package__}", given: Sequence[str] | None = None) -> None:
    """Run the command, by its name, with arguments, or those of the process: exit 2 for bad input, with one line."""
    try:
        serve(**vars(arguments(prog).parse_args(given)))
    except ModelpickError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
