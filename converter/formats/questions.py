"""Short digests of the questions that a model was trained on, so that they are recognised in evaluation."""

import base64
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from .decoding import refuse

# Field of any JSON model that was trained here; the original's readers ignore it.
TRAINING_QUESTIONS = "training_questions"
# Of a million training questions, one in 18 million other questions has the same digest as one of them.
SIZE = 8
Digests = npt.NDArray[np.uint64]


def digests(questions: Iterable[str]) -> Digests:
    """Return a digest of each question, uint64, (n,), which ignores case, white space and compatibility forms."""
    normalised = (" ".join(unicodedata.normalize("NFKC", question).casefold().split()) for question in questions)
    hashed = b"".join(blake2b(text.encode(errors="replace"), digest_size=SIZE).digest() for text in normalised)
    return np.frombuffer(hashed, "<u8").astype(np.uint64)


def to_field(questions: Sequence[str]) -> str:
    """Write the digests of questions in ascending order, each in 8 little-endian bytes, in base64."""
    return written(digests(questions))


def written(found: Digests) -> str:
    """Write digests as `to_field` writes them."""
    return base64.b64encode(np.unique(found).astype("<u8").tobytes()).decode()


def from_field(field: str) -> Digests:
    """Read what `to_field` wrote.

    Raises
    ------
    Refusal
        When the text is not base64 of a whole number of digests.
    """
    try:
        return np.frombuffer(base64.b64decode(field, validate=True), "<u8").astype(np.uint64)
    except ValueError:
        refuse(f"$.{TRAINING_QUESTIONS}", f"expected digests of {SIZE} bytes in base64")
