"""Files of every form, made of their numbers; and one small model of each row of the converter's table."""

import numpy as np

from modelpick.converter.formats.digests import digest

NAMES = ["a", "b", "c"]
WIDTH = 12


def _file(algorithm, **fields):
    fields = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in fields.items()}
    # The form of HierShrink has no such field.
    trained = {} if algorithm == "hiershrink" else {"trained": True}
    return {"algorithm": algorithm, **trained, **fields}


def spread(names, n):
    """Return n names, each in turn."""
    return [names[i % len(names)] for i in range(n)]


def knn(embeddings, labels=NAMES, k=3, **fields):
    return _file("knn", k=k, embeddings=embeddings, labels=spread(labels, len(embeddings)), **fields)


def kmeans(centroids, models=NAMES, **fields):
    models = models if isinstance(models, dict) else spread(models, len(centroids))
    return _file("kmeans", num_clusters=len(centroids), centroids=centroids, cluster_models=models, **fields)


def scored_kmeans(centroids, scores, support, *, overall, min_support=4, names=NAMES, **fields):
    """K-means of version 2; cells of less support than the least hold the overall scores of their models."""
    scores = np.where(support < min_support, overall, scores)
    n, width = centroids.shape
    return kmeans(
        centroids,
        [names[best] for best in scores.argmax(axis=1)],
        format_version=2,
        target_contract="selector.model-choice/v1",
        objective={
            "id": digest(["v1", "q0.9", "l0.1", "c0.0", "ls10000.0", "cs1.0"]),
            "version": 1,
            "weights": {"quality": 0.9, "latency": 0.1, "cost": 0.0},
            "latency_scale_ms": 10000.0,
            "cost_scale": 1.0,
        },
        candidate_set={"id": digest(names), "models": names},
        feature={"snapshot_id": "f1", "dim": width, "normalization": "none"},
        training_snapshot_id="t1",
        clustering={
            "init": "k-means++",
            "algorithm": "lloyd",
            "dtype": "float64",
            "seed": 42,
            "n_init": 10,
            "max_iter": 300,
            "tol": 0.0001,
            "library_versions": {"scikit-learn": "1.7"},
            "requested_k": n,
            "effective_k": n,
            "train_queries": 3 * n,
        },
        distance="squared_l2",
        tie_break="lowest_index",
        cluster_sizes=[3] * n,
        scores=scores,
        support=support,
        fallback={
            "min_support": min_support,
            "global_scores": list(overall),
            "global_support": support.sum(axis=0).tolist(),
        },
        model_names=names,
        feature_dim=width,
        **fields,
    )


def svm(linear=None, rbf=None, **fields):
    """Classifiers of one model each, of `linear_classifier` and `rbf_classifier`."""
    kinds = {"linear_classifiers": linear, "rbf_classifiers": rbf}
    return _file("svm", **{kind: given for kind, given in kinds.items() if given is not None}, **fields)


def linear_classifier(name, weights, rho=0.1):
    return {"model_name": name, "weights": np.asarray(weights).tolist(), "rho": rho}


def rbf_classifier(name, support_vectors, alpha, rho=0.1, gamma=1.0):
    vectors, alpha = np.asarray(support_vectors).tolist(), np.asarray(alpha).tolist()
    return {"model_name": name, "alpha": alpha, "support_vectors": vectors, "rho": rho, "gamma": gamma}


def svc_parameters(support_vectors, dual_coef, intercept, n_support):
    """What an SVC of scikit-learn consists of, as its attributes give it."""
    arrays = {"support_vectors": support_vectors, "dual_coef": dual_coef, "intercept": intercept}
    return {name: np.asarray(value).tolist() for name, value in (arrays | {"n_support": n_support}).items()}


def svc(parameters, names=NAMES, kernel="Rbf", gamma=0.1, **fields):
    """Classes against one another, version 2."""
    width = len(parameters["support_vectors"][0])
    fields = {"kernel_type": kernel, "gamma": gamma, "feature_dim": width, "svc": parameters} | fields
    return _file("svm", format_version=2, model_names=names, **fields)


def mlp(*layers, names=NAMES, **fields):
    """Layers of `dense`, and others; the first has the width of the features."""
    return _file("mlp", **{"model_names": names, "feature_dim": _width(layers), "layers": list(layers), **fields})


def _width(layers):
    first = next(layer for layer in layers if layer["type"] == "linear")
    return len(first["weight"][0])


def dense(weight, bias=None):
    bias = {} if bias is None else {"bias": np.asarray(bias).tolist()}
    return {"type": "linear", "weight": np.asarray(weight).tolist(), **bias}


def batch_norm(rng, width):
    return {
        "type": "batch_norm",
        "weight": rng.uniform(0.5, 2, width).tolist(),
        "bias": rng.normal(size=width).tolist(),
        "running_mean": rng.normal(size=width).tolist(),
        "running_var": rng.uniform(0.1, 2, width).tolist(),
        "eps": 1e-5,
    }


def hiershrink(coarse, fine, training, cost_weight=0.1, **fields):
    centroids = {"coarse_centroids": coarse, "fine_centroids": fine}
    return _file("hiershrink", **centroids, cost_weight=cost_weight, training=training, **fields)


def hiershrink_record(embedding, name, quality, latency=10**8, **fields):
    named = {"query_embedding": np.asarray(embedding).tolist(), "selected_model": name}
    return named | {"response_quality": quality, "response_latency_ns": latency} | fields


def kernel_ridge(support_vectors, outcomes, names=NAMES, gamma=1.0, **fields):
    """Coefficients (rows, models) and intercepts (models,) of each kind of outcome."""
    outcomes = {
        kind: {"dual_coef": np.asarray(coefficients).tolist(), "intercept": np.asarray(intercept).tolist()}
        for kind, (coefficients, intercept) in outcomes.items()
    }
    vectors = np.asarray(support_vectors).tolist()
    return _file("kernel_ridge", model_names=names, gamma=gamma, support_vectors=vectors, outcomes=outcomes, **fields)


def _models():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, WIDTH)).round(4)
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).round(4)
    neighbours = knn(
        vectors.repeat(3, axis=0),
        k=5,
        qualities=rng.uniform(0.05, 1, 120).round(3),
        latencies=rng.integers(10**8, 10**9, 120),
    )
    parameters = svc_parameters(vectors[:12], rng.normal(size=(2, 12)).round(4), [0.1, 0.0, -0.1], [4, 4, 4])
    machines = [rbf_classifier(name, unit[3 * i : 3 * i + 3], [1.0, -0.5, 0.25]) for i, name in enumerate(NAMES)]
    network = mlp(
        dense(vectors[:8], 0.1 * np.ones(8)), {"type": "relu"}, dense(rng.normal(size=(3, 8)).round(4), [0.0, 0.1, 0.2])
    )
    scores, support = (np.eye(3)[np.arange(6) % 3] + rng.uniform(size=(6, 3))) / 2, rng.integers(3, 9, (6, 3))
    nearest = ((vectors[:, None] - vectors[:6]) ** 2).sum(axis=2).argmin(axis=1)
    records = [
        hiershrink_record(
            vector, name, 1.0 if fine % 3 == place else (0.1, 0.3, 0.0)[place], int(rng.integers(10**8, 10**9))
        )
        for vector, fine in zip(vectors, nearest, strict=True)
        for place, name in enumerate(NAMES)
    ]
    coefficients = rng.normal(size=(2, 40, 3))
    coefficients = (coefficients - coefficients.mean(axis=1, keepdims=True)).round(4)
    outcomes = {kind: (values, [0.5] * 3) for kind, values in zip(("quality", "cost"), coefficients, strict=True)}
    ridge = kernel_ridge(unit, outcomes, default="a")
    return {
        **{("knn", f"native/{version}"): neighbours for version in (1, 2)},
        ("knn", "trainer/1"): neighbours,
        **{("knn", f"queries/{version}"): neighbours for version in (2, 3)},
        ("kmeans", "native/1"): kmeans(vectors[:6]),
        ("kmeans", "native/2"): scored_kmeans(vectors[:6], scores, support, overall=scores.mean(axis=0).tolist()),
        ("svm", "native/1"): svm(rbf=machines),
        ("svm", "native/2"): svc(parameters),
        ("svm", "trainer/1"): _file("svm", model_names=NAMES, gamma=0.1, kernel="rbf", classes=[0, 1, 2], **parameters),
        ("mlp", "native/1"): network,
        ("mlp", "native/2"): network | {"format_version": 2},
        ("hiershrink", "native/1"): hiershrink(vectors[:2], vectors[:6], records, cost_weight=0.01),
        ("kernel_ridge", "native/1"): ridge,
        ("kernel_ridge", "native/2"): ridge | {"format_version": 2},
    }


# (algorithm, semantics) -> a file that is read by them.
MODELS = _models()
