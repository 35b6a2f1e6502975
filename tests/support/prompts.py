"""Prompts that a selector knows, and its JSON model."""

from modelpick.runtime.features import CATEGORIES
from support import catalogue

# A prompt in the midst of each cluster, and the model that is picked there.
KNOWN = {
    "Solve the equation for x": "mistral",
    "Write a Python function": "codellama",
    "What were the causes?": "llama",
}
MATH, CODE, CAUSES = KNOWN
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TOOL_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
CONVERSATION = [
    {"role": "system", "content": "You are kind."},
    {"role": "user", "content": MATH},
    TOOL_CALL,
    {"role": "tool", "tool_call_id": "1", "content": "42"},
    {
        "role": "user",
        "content": [{"type": "text", "text": "Write a Python"}, IMAGE, {"type": "text", "text": "function"}],
    },
]


def kmeans(encoder, identity=None, one_hot=False):
    """Return a JSON model whose centroids are what is known."""
    zeros = [0.0] * len(CATEGORIES) if one_hot else []
    named = {"encoder": identity} if identity else {}
    centroids = [[*map(float, row), *zeros] for row in encoder.embed(list(KNOWN))]
    return catalogue.kmeans(centroids, [*KNOWN.values()], **named)
