"""Rows and queries to measure on: 1,024 embedding columns and the one-hot of a category behind them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
EMBEDDING_WIDTH, CATEGORIES = 1024, 14
WIDTH = EMBEDDING_WIDTH + CATEGORIES
# Of a real file of selectors: every query stands once per language model.
MODELS = 9
TOPICS = 40
# How far a row is from its topic, where no two rows are equal; topics are as far from zero as 1.
SPREAD = 0.8
SEED = 0
# Rows drawn at once in float64.
AT_ONCE = 4096


class Data(NamedTuple):
    """Rows of a KNN selector, and queries drawn as they were."""

    rows: Matrix
    """Float32, shape (n, WIDTH)."""
    queries: Matrix
    """Float32, shape (b, WIDTH)."""
    models: npt.NDArray[np.int64]
    """Model of each row, shape (n,)."""
    qualities: npt.NDArray[np.float64]
    latencies: npt.NDArray[np.int64]


def clustered(n_rows: int, n_queries: int) -> Data:
    """Draw unit embeddings around topics, each row repeated for every model: what a real file looks like."""
    rng = np.random.default_rng(SEED)
    topics = rng.normal(size=(TOPICS, EMBEDDING_WIDTH))
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    distinct = -(-n_rows // MODELS)
    topic = rng.integers(TOPICS, size=distinct + n_queries)
    noise = rng.normal(0, 0.6 / np.sqrt(EMBEDDING_WIDTH), (len(topic), EMBEDDING_WIDTH))
    embeddings = topics[topic] + noise
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    vectors = np.hstack([embeddings, np.eye(CATEGORIES)[topic % CATEGORIES]]).astype(np.float32)
    return _with_outcomes(rng, vectors[:distinct].repeat(MODELS, axis=0)[:n_rows], vectors[distinct:])


def distinct(n_rows: int, n_queries: int) -> Data:
    """Draw unit embeddings around topics, without repeats: a file of queries that were each asked once."""
    rng = np.random.default_rng(SEED)
    topics = rng.normal(size=(TOPICS, EMBEDDING_WIDTH))
    topic = rng.integers(TOPICS, size=n_rows + n_queries)
    embeddings = rng.standard_normal((len(topic), EMBEDDING_WIDTH), dtype=np.float32)
    for first in range(0, len(topic), AT_ONCE):
        block = slice(first, first + AT_ONCE)
        embeddings[block] = topics[topic[block]] + SPREAD * embeddings[block]
        embeddings[block] /= np.linalg.norm(embeddings[block], axis=1, keepdims=True)
    vectors = np.hstack([embeddings, np.eye(CATEGORIES, dtype=np.float32)[topic % CATEGORIES]])
    return _with_outcomes(rng, vectors[:n_rows], vectors[n_rows:])


def random(n_rows: int, n_queries: int) -> Data:
    """Draw uniformly random vectors without repeats: the worst case of a certificate."""
    rng = np.random.default_rng(SEED)
    vectors = rng.random((n_rows + n_queries, WIDTH), dtype=np.float32)
    return _with_outcomes(rng, vectors[:n_rows], vectors[n_rows:])


def _with_outcomes(rng: np.random.Generator, rows: Matrix, queries: Matrix) -> Data:
    models = np.arange(len(rows)) % MODELS
    return Data(rows, queries, models, rng.random(len(rows)), rng.integers(10**8, 10**10, len(rows)))


KINDS = {"clustered": clustered, "distinct": distinct, "random": random}
