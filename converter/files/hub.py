"""JSON models and artifacts on the Hugging Face hub. Tokens and the endpoint come from the environment alone.

Only files that are models or artifacts by their content are exchanged: a repository may hold others.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from modelpick.runtime import ModelpickError
from modelpick.runtime.algorithms import TABLE
from modelpick.runtime.artifact.seal import MOST_BYTES, read_sealed
from modelpick.runtime.loading import read_either

from .io import read_bytes, write_atomically
from .text import NOT_JSON

SUFFIXES = (".json", ".onnx")
CARD = "README.md"
# Most files that are taken from a repository; each may be as large as an artifact.
MOST_FILES = 1_000


class Pulled(NamedTuple):
    """The result of a download."""

    files: list[Path]
    others: list[str]
    """Names of files in the top folder that are named like models or artifacts, but are neither."""


class Pushed(NamedTuple):
    """The result of an upload."""

    url: str
    """Address of the commit."""
    files: list[str]
    private: bool
    """Whether only the owner sees the repository."""


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
        When huggingface_hub is missing, the download fails, there is no model and no artifact, files are too many or
        too large, or a file would replace something other than a model or an artifact.
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        try:
            listed = hub.HfApi().list_repo_tree(repository, revision=revision)
            sizes = {entry.path: getattr(entry, "size", None) for entry in listed}  # folders have none
            named = {name: size for name, size in sorted(sizes.items()) if size is not None and _is_named_so(name)}
            _check_sizes(repository, named)
            paths = [Path(hub.hf_hub_download(repository, name, revision=revision, local_dir=folder)) for name in named]
        except ModelpickError:
            raise
        except Exception as cause:  # errors of the hub, its HTTP library and the file system have no common base
            raise _failed(repository, "pulled", cause) from None
        others = [path.name for path in paths if not is_ours(path)]
        files = {Path(target) / path.name: path for path in paths if path.name not in others}
        for file in files:
            if file.exists() and not is_ours(file):
                raise ModelpickError(f"{file}: expected a model or an artifact to replace, got something else")
        for file, path in files.items():
            write_atomically(file, path.read_bytes())
    if not files:
        raise ModelpickError(f"{repository}: expected JSON models or artifacts in its top folder, got none")
    return Pulled(list(files), others)


def push(
    folder: str | Path, repository: str, *, message: str = "Update selectors", private: bool | None = None
) -> Pushed:
    """Upload the JSON models and artifacts of a folder; a card is made where the repository has none.

    Parameters
    ----------
    folder
        Folder; only files at its top are taken.
    repository
        OWNER/NAME; created if it does not exist.
    message
        Message of the commit.
    private
        Whether only the owner may see the repository. None leaves an existing repository as it is; a new one is
        private.

    Raises
    ------
    ModelpickError
        When the folder has no models and no artifacts, huggingface_hub is missing, or the upload fails.
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


def _is_named_so(name: str) -> bool:
    """Whether a file's name is that of a model or artifact: in the top folder, and not hidden."""
    return name.endswith(SUFFIXES) and not name.startswith(".") and "/" not in name and "\\" not in name


def _check_sizes(repository: str, sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        if size > MOST_BYTES:
            raise ModelpickError(f"{repository}: {name}: expected {MOST_BYTES:,} bytes at most, got {size:,}")
    if len(sizes) > MOST_FILES:
        raise ModelpickError(f"{repository}: expected {MOST_FILES:,} models and artifacts at most, got {len(sizes):,}")


class _Model(Struct):
    """The fields that all JSON models have."""

    algorithm: str


def is_ours(path: Path) -> bool:
    """Return whether a file is a JSON model of a known algorithm, or an artifact of a selector or an encoder."""
    try:
        if path.suffix == ".onnx":
            read_either(*read_sealed(path))
        else:
            model = msgspec.json.decode(read_bytes(path, ModelpickError)[1], type=_Model)
            return model.algorithm in {algorithm for algorithm, _ in TABLE}
    except (ModelpickError, *NOT_JSON):
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
