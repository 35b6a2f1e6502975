"""Embeddings that sentence-transformers computes."""

import sys
import types

import numpy as np
import pytest

from modelpick.converter.training.embedder import NAMES, embed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


@pytest.fixture
def transformers(monkeypatch):
    """Stand in for sentence-transformers: remembers what is loaded, and embeds texts by their length."""
    loaded = []

    class SentenceTransformer:
        def __init__(self, name, **options):
            loaded.append((name, options))

        def encode(self, texts, normalize_embeddings=False, **options):
            vectors = np.array([[len(text), 1.0] for text in texts], np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize_embeddings else vectors

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return loaded


def test_an_embedder_scales_to_unit_length_and_knows_the_names_of_the_originals_pages(transformers):
    vectors = embed(["a", "abc"], "qwen3")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0])
    embed(["a"], "owner/another")
    assert [name for name, _ in transformers] == ["Qwen/Qwen3-Embedding-0.6B", "owner/another"]
    assert not any("trust_remote_code" in options for _, options in transformers)
    assert {"qwen3", "gte", "mpnet", "e5", "bge"} <= set(NAMES)
