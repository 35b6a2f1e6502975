"""JSON models and artifacts on the Hugging Face hub. Tokens and the endpoint come from the environment alone.

Only files that are models or artifacts by their content are exchanged: a repository may hold others.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from modelpick.runtime import ModelpickError
from modelpick.runtime.artifact.seal import read_sealed

from .io import read_bytes, write_atomically

SUFFIXES = (".json", ".onnx")
CARD = "README.md"


class Pulled(NamedTuple):
    """What came from a repository."""

    files: list[Path]
    others: list[str]
    """Names of files of its top folder that are neither models nor artifacts, though they are named so."""


class Pushed(NamedTuple):
    """What went to a repository."""

    url: str
    """Address of the commit."""
    files: list[str]
    private: bool
    """Whether only its owner sees the repository."""


def pull(repository: str, target: str | Path, *, revision: str | None = None) -> Pulled:
    """Download the JSON models and artifacts in the top folder of a repository.

    Parameters
    ----------
    repository
        OWNER/NAME.
    target
        Folder to put them in.
    revision
        Branch, tag or commit; the main branch by default.

    Raises
    ------
    ModelpickError
        When huggingface_hub is missing, the download fails, or there is no model and no artifact.
    """
    hub = _hub()
    files, others = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            listed = hub.HfApi().list_repo_files(repository, revision=revision)
            names = sorted(name for name in listed if name.endswith(SUFFIXES) and "/" not in name)
            paths = [Path(hub.hf_hub_download(repository, name, revision=revision, local_dir=folder)) for name in names]
        except Exception as cause:  # its errors, those of its HTTP library and of the file system have no common base
            raise _failed(repository, "pulled", cause) from None
        for path in paths:
            if is_ours(path):
                write_atomically(Path(target) / path.name, path.read_bytes())
                files.append(Path(target) / path.name)
            else:
                others.append(path.name)
    if not files:
        raise ModelpickError(f"{repository}: expected JSON models or artifacts in its top folder, got none")
    return Pulled(files, others)


def push(
    folder: str | Path, repository: str, *, message: str = "Update selectors", private: bool | None = None
) -> Pushed:
    """Upload the JSON models and artifacts of a folder; a card is made where the repository has none.

    Parameters
    ----------
    folder
        Folder, of which the files at the top are taken.
    repository
        OWNER/NAME; made if need be.
    message
        Message of the commit.
    private
        Whether only the owner shall see the repository. None leaves one as it is, and makes a private one.

    Raises
    ------
    ModelpickError
        When the folder has none, huggingface_hub is missing, or the upload fails.
    """
    hub = _hub()
    files = [path for path in sorted(Path(folder).glob("[!.]*")) if path.suffix in SUFFIXES and is_ours(path)]
    if not files:
        raise ModelpickError(f"{folder}: expected a folder with JSON models or artifacts")
    api = hub.HfApi()
    try:
        api.create_repo(repository, exist_ok=True, private=private is not False)
        info = api.repo_info(repository)
        if private is not None and info.private is not private:
            api.update_repo_settings(repository, private=private)
        operations = [hub.CommitOperationAdd(path.name, path.read_bytes()) for path in files]
        if CARD not in {sibling.rfilename for sibling in info.siblings or ()}:
            operations.append(hub.CommitOperationAdd(CARD, _card(repository, files).encode()))
        commit = api.create_commit(repository, operations, commit_message=message)
    except Exception as cause:  # see `pull`
        raise _failed(repository, "pushed", cause) from None
    is_private = info.private if private is None else private
    return Pushed(str(commit.commit_url), [path.name for path in files], bool(is_private))


class _Model(Struct):
    """What all JSON models have."""

    algorithm: str


def is_ours(path: Path) -> bool:
    """Return whether a file is a JSON model, or an artifact with its seal."""
    try:
        if path.suffix == ".onnx":
            read_sealed(path)
        else:
            msgspec.json.decode(read_bytes(path, ModelpickError)[1], type=_Model)
    except (ModelpickError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _card(repository: str, files: Iterable[Path]) -> str:
    """Return the card of a repository: what its files are, and how to use them."""
    listed = "".join(f"- `{path.name}`\n" for path in files)
    return (
        "---\nlibrary_name: modelpick\ntags:\n- modelpick\n- model-routing\n---\n\n"
        f"# {repository}\n\nSelectors that pick a language model for a query, by modelpick:\n\n{listed}\n"
        f"```sh\nmodelpick pull {repository} -o models\nmodelpick convert models -o artifacts\n```\n"
    )


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ModelpickError("the hub needs huggingface_hub: pip install 'modelpick[hub]'") from None
    return huggingface_hub


def _failed(repository: str, done: str, cause: Exception) -> ModelpickError:
    return ModelpickError(f"{repository}: cannot be {done}: {(str(cause) or type(cause).__name__).splitlines()[0]}")
