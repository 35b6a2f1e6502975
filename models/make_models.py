"""Makes the sample models and queries of this folder from a fixed seed; see README.md beside it."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
SEED = 20260101
EMBEDDING_WIDTH = 1024
CATEGORIES = 14
MODELS = ("llama-3.2-1b", "llama-3.2-3b", "codellama-7b", "mistral-7b")
DECIMALS = 5


def clustered(rng, count, topics):
    """Draw unit embeddings around topic vectors, with the one-hot of their category behind them."""
    topic = rng.integers(len(topics), size=count)
    embeddings = topics[topic] + rng.normal(0, 0.6 / np.sqrt(EMBEDDING_WIDTH), (count, EMBEDDING_WIDTH))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return topic, np.hstack([embeddings, np.eye(CATEGORIES)[topic % CATEGORIES]]).round(DECIMALS)


def write(name, document):
    """Write one JSON file."""
    (FOLDER / name).write_text(json.dumps(document, separators=(",", ":")) + "\n")


def main():
    """Make every file."""
    rng = np.random.default_rng(SEED)
    topics = rng.normal(size=(12, EMBEDDING_WIDTH))
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    skill = rng.uniform(0.2, 0.95, (12, len(MODELS)))

    topic, rows = clustered(rng, 40, topics)
    rows, topic = rows.repeat(len(MODELS), axis=0)[:120], topic.repeat(len(MODELS))[:120]
    model = np.tile(np.arange(len(MODELS)), 30)
    quality = np.clip(skill[topic, model] + rng.normal(0, 0.05, len(rows)), 0, 1).round(3)
    latency = (0.4e9 * (1 + model) * rng.uniform(0.8, 1.2, len(rows))).astype(int)
    write(
        "knn.json",
        {
            "algorithm": "knn",
            "trained": True,
            "k": 5,
            "embeddings": rows.tolist(),
            "labels": [MODELS[index] for index in model],
            "qualities": quality.tolist(),
            "latencies": latency.tolist(),
        },
    )
    centroids = np.hstack([topics, np.eye(CATEGORIES)[:12]]).round(DECIMALS)
    write(
        "kmeans.json",
        {
            "algorithm": "kmeans",
            "trained": True,
            "num_clusters": len(centroids),
            "centroids": centroids.tolist(),
            "cluster_models": [MODELS[index] for index in skill.argmax(axis=1)],
        },
    )
    topic, rows = clustered(rng, 80, topics)
    won = skill[topic].argmax(axis=1)
    machines = []
    for index, name in enumerate(MODELS):
        mine = won == index
        support = np.vstack([rows[mine][:12], rows[~mine][:8]])
        alpha = np.r_[np.ones(min(12, mine.sum())), -np.full(min(8, (~mine).sum()), 0.5)]
        machines.append(
            {
                "model_name": name,
                "alpha": alpha.tolist(),
                "support_vectors": support.tolist(),
                "rho": 0.1,
                "gamma": 1.0,
            }
        )
    svm = {"algorithm": "svm", "trained": True, "model_names": list(MODELS)}
    write(
        "svm_rbf.json",
        {**svm, "kernel_type": "Rbf", "gamma": 1.0, "linear_classifiers": [], "rbf_classifiers": machines},
    )
    linear = [
        {
            "model_name": name,
            "weights": (rows[won == index].sum(axis=0) - rows[won != index].mean(axis=0)).round(DECIMALS).tolist(),
            "rho": 0.1,
        }
        for index, name in enumerate(MODELS)
    ]
    write(
        "svm_linear.json",
        {**svm, "kernel_type": "Linear", "gamma": 1.0, "linear_classifiers": linear, "rbf_classifiers": []},
    )
    topic, queries = clustered(rng, 8, topics)
    (FOLDER / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries.tolist()))


if __name__ == "__main__":
    main()
