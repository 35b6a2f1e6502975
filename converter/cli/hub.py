"""Commands that exchange models with the Hugging Face hub: pull, push."""

from pathlib import Path
from typing import Annotated

import typer

from ..files.hub import pull as pull_folder
from ..files.hub import push as push_folder


def pull(
    repository: Annotated[str, typer.Argument(help="Repository on the hub, OWNER/NAME.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for its JSON models and artifacts.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download the JSON models and artifacts of a repository on the Hugging Face hub."""
    for file in pull_folder(repository, output, revision=revision):
        print(file)


def push(
    folder: Annotated[Path, typer.Argument(help="Folder of JSON models or artifacts.")],
    repository: Annotated[str, typer.Argument(help="Repository on the hub, OWNER/NAME.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Message of the commit.")] = "Update selectors",
) -> None:
    """Upload the JSON models and artifacts of a folder to a repository on the Hugging Face hub."""
    print(push_folder(folder, repository, message=message))
