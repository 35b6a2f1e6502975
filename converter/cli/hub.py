"""Commands that exchange models with the Hugging Face hub: pull, push."""

from pathlib import Path
from typing import Annotated

import typer

from ..files.hub import pull as pull_folder
from ..files.hub import push as push_folder
from .console import emit, note, warn
from .names import Output, to_fill, to_read


def pull(
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="Repository on the hub, OWNER/NAME.")],
    output: Annotated[
        Output,
        typer.Option("--output", "-o", help="Folder for its JSON models and artifacts.", parser=to_fill()),
    ],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download models and artifacts from Hugging Face.

    JSON models and artifacts of a repository on the hub are written to a folder, and listed.
    """
    pulled = pull_folder(repository, output.path, revision=revision)
    for file in pulled.files:
        emit(str(file))
    for name in pulled.others:
        warn(f"{name} is neither a JSON model nor an artifact, and is left out")


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of JSON models or artifacts.", parser=to_read)
    ],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="Repository on the hub, OWNER/NAME.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Message of the commit.")] = "Update selectors",
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Who sees the repository; a new one is private.", show_default=False),
    ] = None,
) -> None:
    """Upload models and artifacts to Hugging Face.

    JSON models and artifacts of a folder go to a repository on the hub.
    """
    pushed = push_folder(folder, repository, message=message, private=private)
    emit(pushed.url)
    visibility = "private" if pushed.private else "public"
    note(f"{len(pushed.files)} files to {repository}, which is {visibility}")
