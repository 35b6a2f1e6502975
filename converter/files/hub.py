"""JSON models and artifacts on the Hugging Face hub. Tokens and the endpoint come from the environment alone."""

from pathlib import Path
from typing import Any

from modelpick.runtime import ModelpickError

PATTERNS, NESTED = ["*.json", "*.onnx"], ["*/*"]


def pull(repository: str, target: str | Path, *, revision: str | None = None) -> list[Path]:
    """Download the JSON models and artifacts of a repository: their paths.

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
        When huggingface_hub is missing, or the download fails.
    """
    hub = _hub()
    try:
        hub.snapshot_download(
            repository, local_dir=target, revision=revision, allow_patterns=PATTERNS, ignore_patterns=NESTED
        )
    except Exception as cause:  # its errors, those of its HTTP library and of the file system have no common base
        raise _failed(repository, "pulled", cause) from None
    return sorted(path for pattern in PATTERNS for path in Path(target).glob(pattern))


def push(folder: str | Path, repository: str, *, message: str = "Update selectors") -> str:
    """Upload the JSON models and artifacts of a folder: the address of the commit. Creates the repository if need be.

    Raises
    ------
    ModelpickError
        When the folder has none, huggingface_hub is missing, or the upload fails.
    """
    hub = _hub()
    if not any(path for pattern in PATTERNS for path in Path(folder).glob(pattern)):
        raise ModelpickError(f"{folder}: expected a folder with JSON models or artifacts")
    api = hub.HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=PATTERNS,
            ignore_patterns=NESTED,
            commit_message=message,
        )
    except Exception as cause:  # see `pull`
        raise _failed(repository, "pushed", cause) from None
    return str(commit.commit_url)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ModelpickError("the hub needs huggingface_hub: pip install 'modelpick[hub]'") from None
    return huggingface_hub


def _failed(repository: str, done: str, cause: Exception) -> ModelpickError:
    return ModelpickError(f"{repository}: cannot be {done}: {(str(cause) or type(cause).__name__).splitlines()[0]}")
