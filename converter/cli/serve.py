"""modelpick serve."""

from pathlib import Path
from typing import Annotated

import typer

from modelpick.runtime import ModelpickError


def serve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The gateway's file, such as gateway.toml.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    log_level: Annotated[
        str, typer.Option(help="debug, info with a line for each request, warning or error.")
    ] = "info",
) -> None:
    """Serve an OpenAI-compatible gateway.

    It picks the model of each request.
    """
    try:
        from modelpick.gateway import command
    except ModuleNotFoundError as error:
        raise ModelpickError(f"the gateway needs {error.name}: pip install 'modelpick[gateway]'") from None
    command.serve(file, host=host, port=port, workers=workers, log_level=log_level)
