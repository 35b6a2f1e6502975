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
    """Keys of ``metadata_props``, without `PREFIX`. Values are JSON, but for `SEAL` and `CATEGORY_GRAPH`."""

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
    """KNN: distinct rows, up to which `Input.CANDIDATES` may count."""
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
    OUTCOMES: Final = "outcomes"
    """Kinds of outcomes that are predicted, of ``quality``, ``cost`` and ``seconds``."""
    DEFAULT: Final = "default"
    """Model that is best on average over the training queries."""
    EVIDENCE: Final = "evidence"
    """KNN by queries: standard errors by which another model must lead the default one, unless a caller asks."""
    OPERATING_POINTS: Final = "operating_points"
    """Objectives and what each achieved in cross-validation, beside the best single model."""
    DISTANCES: Final = "distances"
    """Quantiles, evenly spaced, of the distance between a row, or centroid, and the nearest other."""
    EMBEDDING_MODEL: Final = "embedding_model"
    """Model whose embeddings it was trained with, if that was recorded."""
    EMBEDDING_DIM: Final = "embedding_dim"
    """Width of these embeddings, if that was recorded."""
    ENCODER: Final = "encoder"
    """Encoder whose embeddings it was trained with, ``name`` and ``digest``, if that was recorded."""
    CATEGORY_CLASSIFIER: Final = "category_classifier"
    """Classifier of categories, for requests without one: ``classes``, and its ``accuracy`` if that was recorded."""
    CATEGORY_GRAPH: Final = "category_graph"
    """Its ONNX file, in base64: `EncoderPort.EMBEDDING`, float64, (b, e), to `Output.SCORE`, float64, (b, n)."""
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


class EncoderEntry:
    """Keys of ``metadata_props`` of encoders, without `PREFIX`; `Entry.TOOLS` and `Entry.SEAL` are there as well."""

    VERSION: Final = "encoder_version"
    """Version of the file format of encoders; selectors have none."""
    NAME: Final = "name"
    """Name of the encoder, for messages."""
    DIGEST: Final = "digest"
    """SHA-256, in hex, of all that embeddings depend on: the graph, the tokenizer, and how it is used."""
    EMBEDDING_DIM: Final = "embedding_dim"
    """Width of an embedding."""
    LONGEST: Final = "longest"
    """Tokens after which a text is cut, those that the tokenizer adds included."""
    POOLING: Final = "pooling"
    """How the graph makes one vector of those of the tokens: ``mean``, ``cls``, ``last``, or ``own``."""
    NORMALISED: Final = "normalised"
    """Whether the graph scales embeddings to unit length."""
    WEIGHTS: Final = "weights"
    """Type of the weights: ``float32``, ``float16`` or `INT8`."""
    SPECIAL_TOKENS: Final = "special_tokens"
    """Whether the tokenizer adds its special tokens."""
    PAD_ID: Final = "pad_id"
    """Token that fills shorter texts of a batch; the mask is 0 there."""
    TOKENIZER: Final = "tokenizer"
    """The tokenizers library's JSON, compressed by zlib, in base64: not JSON itself."""


ENCODER_VERSION: Final = 1
"""Version of the file format of encoders that is written; all up to it are read."""
INT8: Final = "int8"
"""Weights whose graph scales activations by what is in a run: texts are run one by one, so that each has one answer."""


class EncoderPort:
    """Inputs and the output of an encoder's graph."""

    IDS: Final = "input_ids"
    """Tokens, int64, (b, t)."""
    MASK: Final = "attention_mask"
    """1 where there is a token, 0 where a shorter text is filled, int64, (b, t)."""
    EMBEDDING: Final = "embedding"
    """Float32, (b, e)."""


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
    """KNN: how many candidates the search takes, int64, (1,)."""
    KEPT: Final = "kept"
    """KNN, quantised search: how many candidates are kept, int64, (1,)."""


class Output:
    """Outputs of graphs."""

    SCORE: Final = "score"
    """KNN: scores of the search, ascending, float32, (b, c). SVM, MLP: of each choice, float64, (b, n_choices)."""
    CANDIDATE: Final = "candidate"
    """KNN: distinct rows that the search found, int64, (b, c). Others: the best choice by it, int64, (b,)."""
    COARSE_CANDIDATE: Final = "coarse_candidate"
    """HierShrink, once: the nearest coarse centroid by the search, int64, (b,); `CERTAIN` covers both."""
    ESTIMATE: Final = "estimate"
    """KMeans, linear SVM, MLP: score of each choice by the search, float32, (b, n_choices), see `Table.LEAD`; of a
    centroid x it is ``|q|^2 - |q - x|^2``, up to a constant. HierShrink: of each fine centroid."""
    COARSE_ESTIMATE: Final = "coarse_estimate"
    """HierShrink: `ESTIMATE` of each coarse centroid."""
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
    PREDICTION: Final = "prediction"
    """Kernel ridge: outcomes by the search, kind after kind, float64, (b, 3 * n_models)."""
    PREDICTION_ERROR: Final = "prediction_error"
    """Kernel ridge: bound on the error of `PREDICTION` for each kind of outcome, float64, (b, 3)."""
    OUTCOME: Final = "outcome"
    """Kernel ridge: outcomes, kind after kind, float64, (b, 3 * n_models); NaN where a kind is not predicted."""


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


class Table:
    """Initializers that the runtime reads: what outputs stand for, and the bounds on errors."""

    REFINE: Final = Input.REFINE
    """There where a search can be run alone."""
    K: Final = Input.K
    """KNN: how many neighbours, int64, (1,)."""
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
    LEAD: Final = "lead"
    """Slope, constant, shortest, longest, float64, (4,): the best `Output.ESTIMATE` is proven where it leads by more
    than ``slope * |q| + constant``, for queries whose length is above ``shortest`` and below ``longest``."""
    CENTROIDS: Final = Stored.CENTROIDS
    """KMeans: the centroids, to measure those that estimates do not tell apart."""
    COARSE_LEAD: Final = "coarse_lead"
    """HierShrink: `LEAD` of `Output.COARSE_ESTIMATE`."""
    OFFSETS: Final = "offsets"
    """Linear SVM: what is added to each `Output.ESTIMATE`, times the length of the query; float64, (n_choices,)."""
    NO_ERROR: Final = "no_error"
    """SVM: there where the search is in float64 already, so that only roundings may keep it from being `CERTAIN`."""
    OUTCOMES: Final = "outcomes"
    """KNN by queries/1: quality, speed and whether they are known, float64, (distinct, 3, n_models). By queries/2:
    quality, cost and seconds, NaN where they are not known."""
    MEAN_OUTCOMES: Final = "mean_outcomes"
    """Kernel ridge: mean quality, cost and seconds of each model, float64, (3, n_models); NaN where unknown."""
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


def names(namespace: type) -> frozenset[str]:
    """Return the strings that one of the classes above declares."""
    return frozenset(value for name, value in vars(namespace).items() if name.isupper())
