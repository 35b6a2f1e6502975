"""All names that the writer of an artifact and its readers share; `docs/artifact.md` explains them to other readers.

Each string that an artifact contains is written here, and nowhere else in the code: metadata entries, inputs, outputs
and initializers of graphs, and the version of the file format.
"""

from typing import Final

ARTIFACT_FORMAT: Final = 2
"""Version of the file format that is written; all up to it are read, see `artifact.format_1`."""
PREFIX: Final = "modelpick."
"""Every metadata entry's key begins with it."""


class Entry:
    """Keys of ``metadata_props``, without `PREFIX`. All values are JSON, except for `SEAL` and `CATEGORY_GRAPH`."""

    FORMAT_VERSION: Final = "format_version"
    """Version of the file format. Called ``contract`` in files of version 1."""
    ALGORITHM: Final = "algorithm"
    """Algorithm of the model, as its JSON names it."""
    SEMANTICS: Final = "semantics"
    """Semantics by which it picks, a name and a version: ``native/1``."""
    MODEL_NAMES: Final = "model_names"
    """Language models, in the order of their indices."""
    CHOICES: Final = "choices"
    """Model of each cluster, classifier or class."""
    N_FEATURES_IN: Final = "n_features_in"
    """Width of a feature vector."""
    K: Final = "k"
    """KNN: number of neighbours."""
    ROWS: Final = "rows"
    """Rows, clusters or support vectors of the JSON model."""
    DISTINCT: Final = "distinct"
    """KNN: number of distinct rows, which is the largest value of `Input.CANDIDATES`."""
    METRIC: Final = "metric"
    """KNN: one of `Metric`."""
    QUALITY_WEIGHT: Final = "quality_weight"
    """KNN: share of the quality in a neighbour's vote, 0.9."""
    SPEED_WEIGHT: Final = "speed_weight"
    """KNN: share of the speed in a neighbour's vote, 0.1."""
    MIN_QUALITY: Final = "min_quality"
    """KNN: the least quality, 0.01, that a lower quality counts as; null where there is none."""
    SHRINKAGE: Final = "shrinkage"
    """KNN by queries, HierShrink: how many neighbours, or records, the more general mean of a model counts for."""
    COST_WEIGHT: Final = "cost_weight"
    """HierShrink: weight of a model's mean latency, relative to the greatest among the candidates."""
    OUTCOMES: Final = "outcomes"
    """Kinds of outcomes that are predicted, see `modelpick.runtime.decision.outcomes.KINDS`."""
    LEAST_PRICE: Final = "least_price"
    """The least cost and seconds, 0, that a lower prediction counts as; absent where there is none."""
    DEFAULT: Final = "default"
    """Model that is best on average over the training queries."""
    EVIDENCE: Final = "evidence"
    """KNN by queries: standard errors by which another model must exceed the default model, unless a caller says so."""
    OPERATING_POINTS: Final = "operating_points"
    """Objectives, what each achieved in cross-validation, and the best single model."""
    DISTANCES: Final = "distances"
    """Evenly spaced quantiles of the distance from a row, or centroid, to its nearest neighbour."""
    EMBEDDING_MODEL: Final = "embedding_model"
    """Model whose embeddings it was trained with, if that was recorded."""
    EMBEDDING_DIM: Final = "embedding_dim"
    """Width of these embeddings, if that was recorded."""
    ENCODER: Final = "encoder"
    """Encoder whose embeddings it was trained with, ``name`` and ``digest``, if that was recorded."""
    CATEGORY_CLASSIFIER: Final = "category_classifier"
    """Classifier of categories, for requests without a category: ``classes``, and ``accuracy`` if it was recorded."""
    CATEGORY_GRAPH: Final = "category_graph"
    """The classifier's ONNX file, in base64: `EncoderPort.EMBEDDING`, float64, (b, e), to `Output.SCORE`, float64,
    (b, n)."""
    TIE_RULE: Final = "tie_rule"
    """In words: which of equal distances and which of equal scores wins."""
    VALUES_PER_QUERY: Final = "values_per_query"
    """Values that the graph holds at once for a query, by which large batches are split."""
    SOURCE_SHA256: Final = "source_sha256"
    """SHA-256 of the JSON model, in hex; empty where the estimator did not come from one."""
    TOOLS: Final = "tools"
    """Versions of the packages that made the artifact."""
    DOCUMENT: Final = "document"
    """The JSON model without its feature vectors, to restore it."""
    VECTORS: Final = "vectors"
    """Row of each feature vector of the JSON model in the stored matrices, to restore it."""
    SEAL: Final = "sha256"
    """The seal, last in the file: SHA-256, in hex without quotes, of all bytes before this entry."""


class EncoderTable:
    """Initializers of encoders of static vectors, which the runtime reads itself."""

    VECTORS: Final = "vectors"
    """A row for each token, (n, e): float32, float16, or int8, which `SCALES` multiply."""
    SCALES: Final = "scales"
    """What the rows of int8 are multiplied by, float32, (n, 1)."""


class EncoderEntry:
    """Keys of ``metadata_props`` of encoders, without `PREFIX`; `Entry.TOOLS` and `Entry.SEAL` are there as well."""

    VERSION: Final = "encoder_version"
    """Version of the file format of encoders; artifacts of selectors lack this entry."""
    NAME: Final = "name"
    """Name of the encoder, for messages."""
    DIGEST: Final = "digest"
    """SHA-256, in hex, of all that embeddings depend on: the graph, the tokenizer, and how it is used."""
    EMBEDDING_DIM: Final = "embedding_dim"
    """Width of an embedding."""
    LONGEST: Final = "longest"
    """Tokens after which a text is cut, including those that the tokenizer adds; null where texts are not cut."""
    CHARACTERS: Final = "characters"
    """Characters after which a text is cut before it is tokenized, where model2vec does that."""
    PROMPT: Final = "prompt"
    """What stands before every text, where the folder names a default prompt."""
    POOLING: Final = "pooling"
    """How the graph pools the vectors of tokens: ``mean``, ``cls``, ``last``, or ``own``."""
    NORMALISED: Final = "normalised"
    """Whether the graph scales embeddings to unit length."""
    WEIGHTS: Final = "weights"
    """Type of the weights: ``float32``, ``float16`` or `INT8`."""
    SPECIAL_TOKENS: Final = "special_tokens"
    """Whether the tokenizer adds its special tokens."""
    PAD_ID: Final = "pad_id"
    """Token that pads shorter texts of a batch, where the mask is 0."""
    STATIC: Final = "static"
    """Where a text's vector is the mean of rows of `EncoderTable`: ``unknown``, the token that is left out."""
    DISTILLED: Final = "distilled"
    """Static vectors made of another encoder: its ``name`` and ``digest``, ``components``, ``weights``."""
    TOKENIZER: Final = "tokenizer"
    """The tokenizers library's JSON, compressed by zlib, in base64; the value is not JSON."""


ENCODER_VERSION: Final = 1
"""Version of the file format of encoders that is written; all up to it are read."""
INT8: Final = "int8"
"""Weights whose graph scales activations by what is in a run: texts are run one by one, so that each has one answer."""


class EncoderPort:
    """Inputs and the output of an encoder's graph."""

    IDS: Final = "input_ids"
    """Tokens, int64, (b, t)."""
    MASK: Final = "attention_mask"
    """1 for a token, 0 for padding, int64, (b, t)."""
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
    """Whether to refine in float64 what the search leaves open, bool, (); true by default."""
    K: Final = "k"
    """KNN: how many neighbours, int64, (1,)."""
    CANDIDATES: Final = "candidates"
    """KNN: number of distinct rows that the search returns as candidates, int64, (1,)."""
    INTEGERS: Final = "integers"
    """KNN: whether to search in 8-bit integers too, where the artifact has them, bool, (); false by default."""


class Output:
    """Outputs of graphs."""

    SCORE: Final = "score"
    """KNN: scores of the search, ascending, float32, (b, c). SVM, MLP: of each choice, float64, (b, n_choices)."""
    CANDIDATE: Final = "candidate"
    """KNN: distinct rows that the search found, int64, (b, c). Others: the best choice by the search, int64, (b,)."""
    INTEGER_SCORE: Final = "integer_score"
    """KNN: scores of the search in integers, ascending, float32, (b, c)."""
    INTEGER_CANDIDATE: Final = "integer_candidate"
    """KNN: distinct rows that the search in integers found, int64, (b, c)."""
    ESTIMATE: Final = "estimate"
    """KMeans, linear SVM, MLP: score of each choice by the search, float32, (b, n_choices), see `Table.MARGIN`; of a
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
    """SVM, one against one: decision value of each pair of classes, positive for the first, float64, (b, n_pairs)."""
    CLASSIFIER: Final = "classifier"
    """SVM, MLP: the choice of the highest score, int64, (b,)."""
    PREDICTION: Final = "prediction"
    """Kernel ridge: outcomes by the search, kind after kind, float64, (b, 3 * n_models)."""
    PREDICTION_ERROR: Final = "prediction_error"
    """Kernel ridge: bound on the error of `PREDICTION` for each kind of outcome, and half the bound on the error of the
    difference between two qualities, float64, (b, 4); without the latter, (b, 3), in artifacts of earlier releases."""
    OUTCOME: Final = "outcome"
    """Kernel ridge: outcomes, kind after kind, float64, (b, 3 * n_models); NaN where a kind is not predicted."""


class Stored:
    """Initializers that hold feature vectors exactly, to restore the JSON model: in the order of these names."""

    ROWS: Final = "rows"
    """KNN: the distinct rows, (distinct, d)."""
    COARSE_CENTROIDS: Final = "coarse_centroids"
    """HierShrink: the coarse centroids, (coarse, d)."""
    CENTROIDS: Final = "centroids"
    """KMeans: the centroids, HierShrink: the fine ones; (c, d)."""
    QUERIES: Final = "training_queries"
    """HierShrink: the queries of its records, (n, d)."""
    WEIGHTS: Final = "weights"
    """SVM: weights of the linear classifiers, (n, d)."""
    SUPPORT_VECTORS: Final = "support_vectors"
    """SVM: the support vectors, (s, d)."""


class Table:
    """Initializers that the runtime reads: what outputs stand for, and the bounds on errors."""

    REFINE: Final = Input.REFINE
    """Present where the search can be run alone."""
    K: Final = Input.K
    """KNN: number of neighbours, int64, (1,)."""
    CANDIDATES: Final = Input.CANDIDATES
    """KNN: number of distinct rows that the search returns as candidates, int64, (1,)."""
    SEARCH_ROWS: Final = "search_rows"
    """KNN: the distinct rows, moved by `CENTER` and scaled by `FACTOR`, float32, (distinct, d); absent where they are
    neither."""
    SEARCH_NORMS: Final = "search_norms"
    """KNN: squared norm of each moved and scaled distinct row, float32, (distinct,)."""
    INTEGERS: Final = Input.INTEGERS
    """KNN: present where rows can be searched in integers."""
    INTEGER_ERROR: Final = "integer_error"
    """KNN: two numbers, float64, (2,). The first times ``|q|``, without the columns of `HEAVY`, is the most that
    integers add to the error of a score. The second is `ERROR_CONSTANT` of scores in float32 that add the norm last."""
    HEAVY: Final = "heavy"
    """KNN: columns that stay in float32 in the search in integers, int64, (heavy,); absent where there are none."""
    SINGLES: Final = "singles"
    """KNN: the largest number of queries that are searched for one by one in integers; more queries are searched for
    together in float32; int64, (1,)."""
    TOGETHER: Final = "together"
    """KNN: the largest number of queries searched for together in float32, if there is a limit; int64, (1,)."""
    MANY: Final = "many"
    """KNN: the number of queries above which `TOGETHER` is no limit, if there is one: larger batches are searched for
    in another way, which packs rows anew; int64, (1,)."""
    CENTER: Final = "center"
    """What is subtracted from rows and queries before the search, float64, (d,)."""
    FACTOR: Final = "factor"
    """What rows and queries are multiplied by before the search, float64, ()."""
    MEMBERS: Final = "members"
    """KNN: rows that equal each distinct row and may count, padded with the number of rows, int64, (distinct, g)."""
    ROW_MODEL: Final = "row_model"
    """KNN: model of each row, int64, (rows,)."""
    ROW_QUALITY: Final = "row_quality"
    """KNN: quality of each row, float64, (rows,)."""
    ROW_SPEED: Final = "row_speed"
    """KNN: speed of each row, float64, (rows,)."""
    ERROR_SLOPE: Final = "error_slope"
    """The error of a score is at most this times the query's squared norm, plus `ERROR_CONSTANT`; float64, ()."""
    ERROR_CONSTANT: Final = "error_constant"
    """See `ERROR_SLOPE`; float64, ()."""
    MARGIN: Final = "lead"
    """Slope, constant, shortest, longest, float64, (4,): the best `Output.ESTIMATE` is proven where it leads by more
    than ``slope * |q| + constant``, for queries whose length is above ``shortest`` and below ``longest``."""
    LAYER: Final = "layer"
    """MLP: weights of the first layer, (inputs, outputs); of the next, ``layer1`` and so on."""
    BIAS: Final = "bias"
    """MLP: bias of the first layer, float64, (outputs,); of the next, ``bias1`` and so on."""
    CENTROIDS: Final = Stored.CENTROIDS
    """KMeans: the centroids, to measure those that estimates do not tell apart."""
    COARSE_MARGIN: Final = "coarse_lead"
    """HierShrink: `MARGIN` of `Output.COARSE_ESTIMATE`."""
    OFFSETS: Final = "offsets"
    """Linear SVM: what is added to each `Output.ESTIMATE`, times the length of the query; float64, (n_choices,)."""
    NO_ERROR: Final = "no_error"
    """SVM: present where the search is already in float64, so that only roundings can leave it unproven."""
    OUTCOMES: Final = "outcomes"
    """KNN by queries/1: quality, speed, and 1 if they are known, float64, (distinct, 3, n_models). From queries/2 on:
    outcomes of each kind, (distinct, n_kinds, n_models), NaN where they are not known."""
    DUAL_COEF: Final = "dual_coef"
    """Kernel ridge: coefficient of each support vector, kind of outcome and model, (s, n_kinds * n_models)."""
    DIFFERENCE_ERROR: Final = "difference_error"
    """Kernel ridge: this times the square root of `Output.PREDICTION_ERROR` is the most that the search adds to the
    difference between two models, float64, (n_kinds, n_models, n_models)."""
    MEAN_OUTCOMES: Final = "mean_outcomes"
    """Kernel ridge: mean outcomes of each model, float64, (n_kinds, n_models); NaN where unknown."""
    SCORES: Final = "scores"
    """KMeans with scores: score of each model in each cluster, float64, (c, n_models)."""
    SUPPORT: Final = "support"
    """KMeans with scores: number of records behind each score, int64, (c, n_models)."""
    COARSE_MEANS: Final = "coarse_means"
    """HierShrink: mean quality of each model in each coarse cluster, shrunk, float64, (coarse, n_models)."""
    FINE_SUMS: Final = "fine_sums"
    """HierShrink: sum of the qualities of each model in each fine cluster, float64, (fine, n_models)."""
    FINE_COUNTS: Final = "fine_counts"
    """HierShrink: number of records of each model in each fine cluster, float64, (fine, n_models)."""
    LATENCIES: Final = "latencies"
    """HierShrink: mean latency of each model in nanoseconds, float64, (n_models,)."""
    FIRST_ROW: Final = "first_row"
    """KNN by queries: first row of each distinct row in the JSON model, int64, (distinct,)."""


def names(namespace: type) -> tuple[str, ...]:
    """Return the strings that one of the classes above declares, in the order in which it does."""
    return tuple(value for name, value in vars(namespace).items() if name.isupper())
