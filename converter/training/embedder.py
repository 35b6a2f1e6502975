"""Embeddings of queries, by a sentence-transformers model."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ModelpickError

# Short names of models in the original's documentation.
NAMES = {
    "qwen3": "Qwen/Qwen3-Embedding-0.6B",
    "gte": "thenlper/gte-base",
    "gte-qwen2": "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
    "mpnet": "sentence-transformers/all-mpnet-base-v2",
    "e5": "intfloat/e5-base-v2",
    "bge": "BAAI/bge-base-en-v1.5",
    "minilm": "sentence-transformers/all-MiniLM-L12-v2",
}
# Texts that are embedded between two reports of progress: enough for batches of similar lengths.
STEP = 1_024


def embed(
    texts: Sequence[str], model: str, *, done: Callable[[int, int], None] = lambda done, total: None
) -> npt.NDArray[np.float64]:
    """Embed texts by a sentence-transformers model, float64, shape (n, e), scaled to unit length as the original does.

    Parameters
    ----------
    texts
        Texts to embed.
    model
        Name of a model, a folder that holds one, or one of `NAMES`.
    done
        Called after each step with the number of embedded texts and of all texts.

    Raises
    ------
    ModelpickError
        When the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError:
        raise ModelpickError("an embedder needs sentence-transformers: pip install 'modelpick[train]'") from None
    model = NAMES.get(model, model)
    try:
        transformer = SentenceTransformer(model, device="cpu")
    except Exception as cause:  # its errors have no common base
        raise ModelpickError(f"{model}: cannot be loaded: {str(cause).splitlines()[0]}") from None
    found = []
    for first in range(0, len(texts), STEP):
        some = list(texts[first : first + STEP])
        found.append(transformer.encode(some, show_progress_bar=False, normalize_embeddings=True))
        done(min(first + STEP, len(texts)), len(texts))
    return np.concatenate(found).astype(np.float64)
