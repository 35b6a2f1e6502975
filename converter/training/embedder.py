"""Embeddings of queries, by a sentence-transformers model."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ModelpickError

# Texts that are embedded before progress is shown: enough for batches of like lengths.
STEP = 1_024


def embed(
    texts: Sequence[str], model: str, *, done: Callable[[int, int], None] = lambda done, total: None
) -> npt.NDArray[np.float64]:
    """Embed texts by a sentence-transformers model, float64, shape (n, e).

    Parameters
    ----------
    texts
        What to embed.
    model
        Name of a model, or a folder that holds one.
    done
        Called after each step with how many texts are embedded, and of how many.

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
    found = []
    for first in range(0, len(texts), STEP):
        found.append(transformer.encode(list(texts[first : first + STEP]), show_progress_bar=False))
        done(min(first + STEP, len(texts)), len(texts))
    return np.concatenate(found).astype(np.float64)
