"""The reference answers in float64 and plain numpy, from the JSON itself: none of the product's code."""

import numpy as np

TIED = 1e-12


def knn_order(document, query):
    """Rows by (distance, row), and their distances."""
    rows = np.asarray(document["embeddings"], dtype=np.float64)
    distances = np.sqrt(((rows - query) ** 2).sum(axis=1))
    return np.argsort(distances, kind="stable"), distances


def knn_weights(document):
    n = len(document["labels"])
    qualities = np.array(document.get("qualities") or [0.5] * n, dtype=np.float64)
    speeds = np.ones(n)
    if document.get("latencies"):
        latencies = document["latencies"]
        low, high = min(latencies), max(latencies)
        speeds = np.array([1 - (latency - low) / max(high - low, 1) for latency in latencies])
    return 0.9 * np.maximum(qualities, 0.01) + 0.1 * speeds


def knn(document, query):
    order, _ = knn_order(document, query)
    nearest = order[: min(document["k"], len(order))]
    weights = knn_weights(document)
    sums = {}
    for row in nearest:
        label = document["labels"][row]
        sums[label] = sums.get(label, 0.0) + weights[row]
    best = max(sums.values())
    return next(label for label, total in sums.items() if total >= best * (1 - TIED))


def kmeans(document, query):
    centroids = np.asarray(document["centroids"], dtype=np.float64)
    distances = np.sqrt(((centroids - query) ** 2).sum(axis=1))
    models = document["cluster_models"]
    nearest = int(distances.argmin())
    return models[str(nearest)] if isinstance(models, dict) else models[nearest]


def svm_scores(document, query):
    norm = np.linalg.norm(query)
    x = query / norm if norm > 1e-10 else np.asarray(query, dtype=np.float64)
    scores = [
        (c["model_name"], float(np.dot(c["weights"], x)) - c["rho"]) for c in document.get("linear_classifiers") or []
    ]
    for c in document.get("rbf_classifiers") or []:
        squared = ((np.asarray(c["support_vectors"], dtype=np.float64) - x) ** 2).sum(axis=1)
        scores.append((c["model_name"], float(np.dot(c["alpha"], np.exp(-c["gamma"] * squared))) - c["rho"]))
    return scores


def svm(document, query):
    scores = svm_scores(document, query)
    return scores[int(np.argmax([score for _, score in scores]))][0]


def svc_pairs(document, query):
    """Decision values of each two classes of an SVC, the first's where positive; and whether roundings decide."""
    parameters = document.get("svc") or document
    vectors = np.asarray(parameters["support_vectors"], dtype=np.float64)
    coefficients = np.array(parameters["dual_coef"], dtype=np.float64)
    owner = np.repeat(np.arange(len(document["model_names"])), parameters["n_support"])
    with np.errstate(over="ignore"):
        kernel = (
            np.exp(-document["gamma"] * ((vectors - query) ** 2).sum(axis=1))
            if document["kernel_type"] == "Rbf"
            else (vectors * query).sum(axis=1)
        )
    values, near = {}, {}
    for i in range(len(document["model_names"])):
        for j in range(i + 1, len(document["model_names"])):
            terms = np.array(
                [
                    *(coefficients[j - 1, s] * kernel[s] for s in np.flatnonzero(owner == i)),
                    *(coefficients[i, s] * kernel[s] for s in np.flatnonzero(owner == j)),
                    parameters["intercept"][len(values)],
                ]
            )
            values[i, j] = terms.sum()
            # Whole numbers add up exactly.
            near[i, j] = not abs(values[i, j]) > TIED * np.abs(terms).sum() and (terms % 1).any()
    if len(values) == 1:
        values = {pair: -value for pair, value in values.items()}
    return values, near


def svc(document, query, candidates=None):
    """The model that wins most comparisons of candidates, which may be all; and whether roundings decide."""
    values, near = svc_pairs(document, query)
    among = [i for i, name in enumerate(document["model_names"]) if candidates is None or name in candidates]
    pairs = [pair for pair in values if set(pair) <= set(among)]
    votes = dict.fromkeys(among, 0)
    for i, j in pairs:
        votes[i if values[i, j] > 0 else j] += 1
    return document["model_names"][max(among, key=votes.get)], any(near[pair] for pair in pairs)


def mlp_probabilities(document, query):
    x = np.asarray(query, dtype=np.float64)
    for layer in document["layers"]:
        if layer["type"] == "linear":
            x = np.asarray(layer["weight"]) @ x + np.array(layer["bias"])
        elif layer["type"] == "relu":
            x = np.maximum(x, 0)
        elif layer["type"] == "batch_norm":
            mean, variance = np.array(layer["running_mean"]), np.array(layer["running_var"])
            x = (x - mean) / np.sqrt(variance + layer["eps"]) * layer["weight"] + layer["bias"]
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def mlp(document, query):
    return document["model_names"][int(mlp_probabilities(document, query).argmax())]


MATRICES = {"embeddings", "centroids", "support_vectors", "weight"}


def with_arrays(value):
    """Give a document whose matrices are float64 arrays, which would else be made of lists for each query."""
    if isinstance(value, list):
        return [with_arrays(one) for one in value] if value and isinstance(value[0], dict) else value
    if not isinstance(value, dict):
        return value
    return {
        name: np.array(one, dtype=np.float64) if name in MATRICES else with_arrays(one) for name, one in value.items()
    }


SELECT = {"knn": knn, "kmeans": kmeans, "svm": svm, "mlp": mlp}


def select(document, queries):
    document, pick = with_arrays(document), SELECT[document["algorithm"]]
    return [pick(document, np.asarray(query, dtype=np.float64)) for query in queries]


def query_outcomes(document):
    """Mean quality (at least 0.01) and mean speed of each model on each distinct embedding, and their overall means."""
    weights, groups = knn_weights(document), {}
    for row, (embedding, label) in enumerate(zip(document["embeddings"], document["labels"], strict=True)):
        groups.setdefault(tuple(embedding), {}).setdefault(label, []).append(weights[row])
    outcomes = [{label: np.mean(values) for label, values in known.items()} for known in groups.values()]
    return np.array(list(groups), dtype=np.float64), outcomes


def query_scores(document, query, k, shrinkage):
    embeddings, outcomes = query_outcomes(document)
    nearest = np.argsort(np.sqrt(((embeddings - query) ** 2).sum(axis=1)), kind="stable")[:k]
    scores = {}
    for label in dict.fromkeys(document["labels"]):
        everywhere = [known[label] for known in outcomes if label in known]
        here = [outcomes[row][label] for row in nearest if label in outcomes[row]]
        overall = sum(everywhere) / len(everywhere)
        scores[label] = (sum(here) + shrinkage * overall) / (len(here) + shrinkage) if here or shrinkage else 0.0
    return scores


def trainer_knn(document, query):
    """The k rows of the smallest cosine distance vote."""
    rows = np.asarray(document["embeddings"], dtype=np.float64)
    cosines = 1 - rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    order = np.argsort(cosines, kind="stable")[: document["k"]]
    speeds = 1 / (1 + np.array(document.get("latencies") or [0] * len(rows)) / 1e6 / 10_000)
    weights = 0.9 * np.maximum(document.get("qualities") or [0.5] * len(rows), 0.01) + 0.1 * speeds
    sums = {}
    for row in order:
        label = document["labels"][row]
        sums[label] = sums.get(label, 0.0) + weights[row]
    return max(sums, key=sums.get)


def nearest_centroid(centroids, query):
    return int(((np.asarray(centroids, dtype=np.float64) - query) ** 2).sum(axis=1).argmin())


def cluster_scores(document, query, candidates=None):
    """Scores of the models in the nearest cluster, by name in ascending order; the first of the highest is picked."""
    row = document["scores"][nearest_centroid(document["centroids"], query)]
    scores = dict(zip(document["candidate_set"]["models"], row, strict=True))
    return {name: scores[name] for name in scores if candidates is None or name in candidates}


def hiershrink_scores(document, query, candidates=None):
    """Scores of the candidates, in their order; the first of the highest is picked."""
    records, levels = {}, (document["coarse_centroids"], document["fine_centroids"])
    for record in document["training"]:
        where = [nearest_centroid(centroids, record["query_embedding"]) for centroids in levels]
        records.setdefault(record["selected_model"], []).append((*where, record))
    candidates = [name for name in candidates or records if name in records]
    coarse, fine = (nearest_centroid(centroids, query) for centroids in levels)
    seconds = {name: np.mean([record["response_latency_ns"] for _, _, record in records[name]]) for name in candidates}
    scores = {}
    for name in candidates:
        mean = np.mean([record["response_quality"] for _, _, record in records[name]])
        for level, cluster in enumerate((coarse, fine)):
            here = [entry[2]["response_quality"] for entry in records[name] if entry[level] == cluster]
            mean = (sum(here) + 24 * mean) / (len(here) + 24)
        scores[name] = mean - document.get("cost_weight", 0) * seconds[name] / (max(seconds.values()) or 1)
    return scores


def split(quality):
    """Mean of each model, what the models share on a query, and what each has of its own; NaN where unknown."""
    # Means by minimising the penalised squares over (b, a) at once, instead of eliminating a.
    n, m = quality.shape
    known = ~np.isnan(quality)
    of_models = np.diag(known.sum(axis=0)) + 10.0 * (np.eye(m) - 1.0 / m)
    normal = np.block([[of_models, known.T], [known, np.diag(known.sum(axis=1)) + np.eye(n)]])
    solution = np.linalg.solve(normal, np.concatenate([np.nansum(quality, axis=0), np.nansum(quality, axis=1)]))
    base, common = solution[:m], solution[m:]
    return base, common, quality - base - common[:, None]


def nearest_directions(vectors, query, k):
    """The rows of the nearest directions."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.argsort(((directions - query / np.linalg.norm(query)) ** 2).sum(axis=1), kind="stable")[:k]


def knn_predicted(vectors, outcome, query, k, shrinkage):
    """The outcome of each model that the nearest queries predict."""
    base, common, own = split(outcome)
    nearest = nearest_directions(vectors, query, k)
    predicted = base + common[nearest].sum() / (k + shrinkage)
    for model in range(len(base)):
        known = [row for row in nearest if not np.isnan(outcome[row, model])]
        predicted[model] += own[known, model].sum() / (len(known) + shrinkage)
    return predicted


def knn_outcomes(vectors, quality, query, k, shrinkage, evidence):
    """The index of the model of the highest predicted quality, among those that lead the default by the evidence."""
    default, nearest = int(split(quality)[0].argmax()), nearest_directions(vectors, query, k)
    predicted = knn_predicted(vectors, quality, query, k, shrinkage)
    for model in range(len(predicted)):
        known = [row for row in nearest if not np.isnan(quality[row, model])]
        both = [quality[row, model] - quality[row, default] for row in known if not np.isnan(quality[row, default])]
        if evidence and model != default:
            statistic = np.mean(both) / (np.std(both, ddof=1) / np.sqrt(len(both))) if len(both) > 1 else -np.inf
            if not statistic > evidence:
                predicted[model] = -np.inf
    return int(predicted.argmax())


def kernel_ridge(vectors, quality, queries, gamma, ridge):
    """Mean of each model, what the models share on a query, and what each has of its own, smoothed: (b, n_models)."""
    x, z = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, queries))

    def smoothed(known, target, answers=1.0):
        kernel = np.exp(-gamma * ((x[known][:, None] - x[known]) ** 2).sum(axis=2))
        dual = np.linalg.solve(kernel + ridge / answers * np.eye(known.sum()), target[known])
        return np.exp(-gamma * ((z[:, None] - x[known]) ** 2).sum(axis=2)) @ dual

    base, common, own = split(quality)
    known = ~np.isnan(quality)
    anything = known.any(axis=1)
    shared = smoothed(anything, common, 1.0 + 0.4 * known.sum() / anything.sum())
    return np.stack([base[j] + shared + smoothed(known[:, j], own[:, j]) for j in range(quality.shape[1])], axis=1)


def categories(classifier, embeddings):
    """Return the category of each embedding by logistic regression, float64."""
    scores = np.asarray(embeddings, np.float64) @ np.array(classifier["coef"]).T + np.array(classifier["intercept"])
    if len(classifier["classes"]) == 2:
        scores = np.hstack([-scores, scores])
    return [classifier["classes"][place] for place in scores.argmax(axis=1)]
