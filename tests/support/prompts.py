"""Prompts that a selector knows, and its JSON model."""

from modelpick.runtime.features import CATEGORIES
from support import catalogue

# A prompt in the midst of each cluster, and the model that is picked there.
KNOWN = {
    "Solve the equation for x": "mistral",
    "Write a Python function": "codellama",
    "What were the causes?": "llama",
}


def kmeans(encoder, identity=None, one_hot=False):
    """Return a JSON model whose centroids are what is known."""
    zeros = [0.0] * len(CATEGORIES) if one_hot else []
    named = {"encoder": identity} if identity else {}
    centroids = [[*map(float, row), *zeros] for row in encoder.embed(list(KNOWN))]
    return catalogue.kmeans(centroids, [*KNOWN.values()], **named)
