"""Embeddings of queries, by a sentence-transformers model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ModelpickError


def embed(texts: Sequence[str], model: str, *, progress: bool = False) -> npt.NDArray[np.float64]:
    """Embed texts by a sentence-transformers model, float64, shape (n, e).

    Parameters
    ----------
    texts
        What to embed.
    model
        Name of a model, or a folder that holds one.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ModelpickError
        When the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError:
        raise ModelpickError("an embedder needs sentence-transformers: pip install 'modelpick[train]'") from None
    try:
        transformer = SentenceTransformer(model, device="cpu")
    except Exception as cause:  # its errors have no common base
        raise ModelpickError(f"{model}: cannot be loaded: {str(cause).splitlines()[0]}") from None
    return np.asarray(transformer.encode(list(texts), show_progress_bar=progress), dtype=np.float64)
