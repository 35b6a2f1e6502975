"""Every name that the writer of an artifact and its readers share, once; `docs/artifact.md` explains them to others.

A string that stands in an artifact stands here and nowhere else in the code: metadata entries, inputs, outputs and
initializers of graphs, and the versions of the file format and of each rule set.
"""

from typing import Final

FORMAT_VERSION: Final = 2
"""Version of the file format that is written; all up to it are read. `artifact.metadata` upgrades older ones."""
PREFIX: Final = "modelpick."
"""Every metadata entry's key begins with it."""


class Entry:
    """Keys of ``metadata_props``, without `PREFIX`. Values are JSON, but for `SEAL`."""

    FORMAT_VERSION: Final = "format_version"
    """Version of the file format. Called ``contract`` in files of version 1."""
    ALGORITHM: Final = "algorithm"
    """Algorithm of the model, as its JSON names it."""
    SEMANTICS: Final = "semantics"
    """Rule set by which it picks, and the version of that: ``native/1``."""
    MODEL_NAMES: Final = "model_names"
    """Language models, in the order that indices of models count."""
    CHOICES: Final = "choices"
    """Model of each cluster, classifier or class."""
    N_FEATURES_IN: Final = "n_features_in"
    """Width of a feature vector."""
    K: Final = "k"
    """KNN: neighbours."""
    ROWS: Final = "rows"
    """Rows, clusters or support vectors of the JSON model."""
    DISTINCT: Final = "distinct"
    """KNN: distinct rows, which `Input.CANDIDATES` counts."""
    METRIC: Final = "metric"
    """KNN: one of `Metric`."""
    QUALITY_WEIGHT: Final = "quality_weight"
    """KNN: share of the quality in a neighbour's vote, 0.9."""
    SPEED_WEIGHT: Final = "speed_weight"
    """KNN: share of the speed in a neighbour's vote, 0.1."""
    MIN_QUALITY: Final = "min_quality"
    """KNN: lower qualities count as that, 0.01; null where there is no such floor."""
    SHRINKAGE: Final = "shrinkage"
    """KNN by queries, HierShrink: how many neighbours, or records, a model's mean one level up counts for."""
    COST_WEIGHT: Final = "cost_weight"
    """HierShrink: weight of a model's mean latency, relative to the greatest among the candidates."""
    DISTANCES: Final = "distances"
    """Quantiles, evenly spaced, of the distance between a row, or centroid, and the nearest other."""
    EMBEDDING_MODEL: Final = "embedding_model"
    """Model whose embeddings it was trained with, if that was recorded."""
    EMBEDDING_DIM: Final = "embedding_dim"
    """Width of these embeddings, if that was recorded."""
    TIE_RULE: Final = "tie_rule"
    """In words: which of equal distances and which of equal scores wins."""
    VALUES_PER_QUERY: Final = "values_per_query"
    """Values that the graph holds at once for a query, by which large batches are split."""
    SOURCE_SHA256: Final = "source_sha256"
    """SHA-256 of the JSON model, in hex; empty where the estimator did not come from one."""
    TOOLS: Final = "tools"
    """Versions of what made it."""
    DOCUMENT: Final = "document"
    """The JSON model without its feature vectors, to restore it."""
    VECTORS: Final = "vectors"
    """Row of each of these vectors in the stored matrices, to restore the JSON model."""
    SEAL: Final = "sha256"
    """The seal, last in the file: SHA-256, in hex without quotes, of all bytes before this entry."""


class Metric:
    """Distances by which neighbours are ranked."""

    EUCLIDEAN: Final = "euclidean"
    """Between the query and the row."""
    COSINE: Final = "cosine"
    """One minus their cosine: half the squared distance between their directions."""
    CHORD: Final = "chord"
    """Euclidean, between their directions, which are the vectors scaled to unit length; zero stays zero."""


class Input:
    """Inputs of graphs. All but `FEATURES` are optional: initializers that a caller may override."""

    FEATURES: Final = "features"
    """Queries, float64, (b, d)."""
    REFINE: Final = "refine"
    """Whether to compute more than the search in float32, bool, (); true by default."""
    K: Final = "k"
    """KNN: how many neighbours, int64, (1,)."""
    CANDIDATES: Final = "candidates"
    """KNN: end of the block of candidates, int64, (1,)."""
    FIRST: Final = "first"
    """KNN: begin of the block of candidates, int64, (1,)."""
    KEPT: Final = "kept"
    """KNN, quantised search: how many candidates are kept, int64, (1,)."""
    KNOWN_SCORE: Final = "known_score"
    """KNN, quantised search: `Output.SCORE` of a run before, float32, (b, c)."""
    KNOWN_CANDIDATE: Final = "known_candidate"
    """KNN, quantised search: `Output.CANDIDATE` of a run before, int64, (b, c)."""


class Output:
    """Outputs of graphs."""

    SCORE: Final = "score"
    """KNN: scores of the search, ascending, float32, (b, c). SVM, MLP: of each choice, float64, (b, n_choices)."""
    CANDIDATE: Final = "candidate"
    """KNN: distinct rows that the search found, int64, (b, c). Others: the best choice by it, int64, (b,)."""
    COARSE_CANDIDATE: Final = "coarse_candidate"
    """HierShrink: the nearest coarse centroid by the search, int64, (b,); `CERTAIN` covers both."""
    CERTAIN: Final = "certain"
    """Whether `CANDIDATE` is proven, bool, (b,)."""
    ROW: Final = "row"
    """KNN: neighbours, nearest first, int64, (b, k)."""
    DISTANCE: Final = "distance"
    """KNN: of each neighbour, float64, (b, k). KMeans: of each centroid, float64, (b, n_choices)."""
    CERTIFIED: Final = "certified"
    """KNN: whether the neighbours are proven, bool, (b, 1)."""
    MODEL: Final = "model"
    """KNN: model of each neighbour, int64, (b, k)."""
    QUALITY: Final = "quality"
    """KNN: quality of each neighbour, float64, (b, k)."""
    SPEED: Final = "speed"
    """KNN: speed of each neighbour, float64, (b, k)."""
    CLUSTER: Final = "cluster"
    """KMeans: the nearest centroid, HierShrink: the nearest fine one; int64, (b,)."""
    COARSE_CLUSTER: Final = "coarse_cluster"
    """HierShrink: the nearest coarse centroid, int64, (b,)."""
    PAIR: Final = "pair"
    """SVM, one against one: decision value of each two classes, the first's where positive, float64, (b, n_pairs)."""
    CLASSIFIER: Final = "classifier"
    """SVM, MLP: the highest score's choice, int64, (b,)."""


class Table:
    """Initializers that the runtime reads: what outputs stand for, and the bounds on errors."""

    REFINE: Final = Input.REFINE
    """There where a search can be run alone."""
    CANDIDATES: Final = Input.CANDIDATES
    """KNN: how many distinct rows the search looks at, int64, (1,)."""
    KEPT: Final = Input.KEPT
    """KNN, quantised search: how many of them it gives, int64, (1,)."""
    CENTER: Final = "center"
    """What is subtracted from rows and queries before the search, float64, (d,)."""
    FACTOR: Final = "factor"
    """What rows and queries are multiplied by before the search, float64, ()."""
    MEMBERS: Final = "members"
    """KNN: rows of each distinct row that may count, padded with the number of rows, int64, (distinct, g)."""
    ROW_MODEL: Final = "row_model"
    """KNN: model of each row, int64, (rows,)."""
    ROW_QUALITY: Final = "row_quality"
    """KNN: quality of each row, float64, (rows,)."""
    ROW_SPEED: Final = "row_speed"
    """KNN: speed of each row, float64, (rows,)."""
    ERROR_SLOPE: Final = "error_slope"
    """The search's error is at most this times the query's squared norm, plus `ERROR_CONSTANT`; float64, ()."""
    ERROR_CONSTANT: Final = "error_constant"
    """See `ERROR_SLOPE`; float64, ()."""
    OUTCOMES: Final = "outcomes"
    """KNN by queries: quality, speed and whether they are known, float64, (distinct, 3, n_models)."""
    SCORES: Final = "scores"
    """KMeans with scores: of each model in each cluster, float64, (c, n_models)."""
    SUPPORT: Final = "support"
    """KMeans with scores: records behind each of them, int64, (c, n_models)."""
    COARSE_MEANS: Final = "coarse_means"
    """HierShrink: mean quality of each model in each coarse cluster, shrunk, float64, (coarse, n_models)."""
    FINE_SUMS: Final = "fine_sums"
    """HierShrink: sum of the qualities of each model in each fine cluster, float64, (fine, n_models)."""
    FINE_COUNTS: Final = "fine_counts"
    """HierShrink: number of these, float64, (fine, n_models)."""
    LATENCIES: Final = "latencies"
    """HierShrink: mean latency of each model in nanoseconds, float64, (n_models,)."""
    FIRST_ROW: Final = "first_row"
    """KNN by queries: first row of each distinct row in the JSON model, int64, (distinct,)."""


class Stored:
    """Initializers that hold feature vectors exactly, to restore the JSON model."""

    ROWS: Final = "rows"
    """KNN: the distinct rows, (distinct, d)."""
    CENTROIDS: Final = "centroids"
    """KMeans: the centroids, HierShrink: the fine ones; (c, d)."""
    COARSE_CENTROIDS: Final = "coarse_centroids"
    """HierShrink: the coarse centroids, (coarse, d)."""
    QUERIES: Final = "training_queries"
    """HierShrink: the queries of its records, (n, d)."""
    WEIGHTS: Final = "weights"
    """SVM: weights of the linear classifiers, (n, d)."""
    SUPPORT_VECTORS: Final = "support_vectors"
    """SVM: the support vectors, (s, d)."""


def names(namespace: type) -> frozenset[str]:
    """Return the strings that one of the classes above declares."""
    return frozenset(value for name, value in vars(namespace).items() if name.isupper())
