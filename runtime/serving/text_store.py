"""One current text selector per name: its artifact and the encoder are swapped together, or not at all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

from ..keywords import spelled_out
from ..loading import Loading
from ..text import Encoder, TextSelector
from ..text.messages import Which
from .store import Seen, SelectorStore, look


class TextStore(SelectorStore):
    """A `SelectorStore` for prompts, with one encoder in front of all artifacts.

    Where an artifact or the encoder changes, both are loaded, and are refused where they do not belong together. Where
    both are replaced one after the other, the first replacement changes nothing, and is counted as a refusal.

    Parameters
    ----------
    path
        An artifact, or a folder of artifacts, which may also hold the encoder.
    encoder
        Path of the encoder.
    message
        See `TextSelector.load`.
    require, poll_seconds, load_seconds
        See `SelectorStore`, whose other keywords are taken too.

    Raises
    ------
    ArtifactError
        When a file is refused at the start, or there is no file.
    """

    @spelled_out
    def __init__(
        self,
        path: str | Path,
        encoder: str | Path,
        *,
        message: Which = "last_user",
        require: Iterable[str] = (),
        poll_seconds: float = 1.0,
        load_seconds: float = 60.0,
        **load: Unpack[Loading],
    ) -> None:
        self._encoder_file, self._message = Path(encoder), message
        self._encoder: tuple[Seen | None, Encoder] | None = None
        super().__init__(path, require=require, poll_seconds=poll_seconds, load_seconds=load_seconds, **load)

    def __getitem__(self, name: str) -> TextSelector:  # type: ignore[override]
        """Return the current selector of a name. Call this once a request, and keep what it returns."""
        return super().__getitem__(name)  # type: ignore[return-value]

    def _files(self) -> list[Path]:
        return [file for file in super()._files() if file.resolve() != self._encoder_file.resolve()]

    def _watched(self) -> list[Path]:
        return [self._path, self._encoder_file]

    def _look(self, file: Path) -> object | None:
        both = look(file), look(self._encoder_file)
        return None if None in both else both

    def _loaded(self, file: Path) -> TextSelector:  # type: ignore[override]
        seen = look(self._encoder_file)
        if self._encoder is None or self._encoder[0] != seen:
            providers, sess_options = self._options.get("providers"), self._options.get("sess_options")
            self._encoder = seen, Encoder.load(self._encoder_file, providers=providers, sess_options=sess_options)
        return TextSelector.load(file, self._encoder[1], message=self._message, **self._options)
