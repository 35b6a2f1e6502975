"""Random JSON models, valid by DESIGN, and queries for them."""

from hypothesis import strategies as st

LARGEST = 1e100  # its square, and a sum of some, is finite
MODELS = ["llama", "mistral", "qwen 2.5", "模型-é"]
NAMES = st.sampled_from(MODELS)
NUMBERS = (st.integers(-2, 2), st.floats(-1, 1), st.floats(-LARGEST, LARGEST))
QUALITIES = st.sampled_from([0, 0.25, 0.5, 1]) | st.floats(-1, 2)
NANOSECONDS = st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1)
MILLISECONDS = st.integers(0, 3) | st.floats(-1e12, 1e12)
ABSENT = st.none() | st.just([])


def column(values, length):
    return st.lists(values, min_size=length, max_size=length)


def knn(vectors, numbers):
    common = {"algorithm": st.just("knn"), "trained": st.just(True), "k": st.integers(1, 10)}

    def rows(n):
        columns = {"embeddings": column(vectors, n), "labels": column(NAMES, n)}
        optional = {
            "qualities": ABSENT | column(QUALITIES, n),
            "latencies": ABSENT | column(NANOSECONDS, n),
            "samples": ABSENT,
        }
        return st.fixed_dictionaries(common | columns, optional=optional)

    def samples(latency):
        sample = {"feature_vector": vectors, "model_name": NAMES}
        filled = st.fixed_dictionaries(sample | latency, optional={"quality": QUALITIES})
        columns = {"samples": st.lists(filled, min_size=1, max_size=8)}
        return st.fixed_dictionaries(common | columns, optional={"embeddings": ABSENT})

    latencies = st.sampled_from([{}, {"latency_ms": st.none()}, {"latency_ms": MILLISECONDS}])
    return st.integers(1, 8).flatmap(rows) | latencies.flatmap(samples)


@st.composite
def kmeans(draw, vectors, numbers):
    centroids = draw(st.lists(vectors, min_size=1, max_size=8))
    n = len(centroids)
    models = draw(st.lists(NAMES, min_size=n, max_size=n + 2))
    if draw(st.booleans()):
        models = {str(cluster): models[cluster] for cluster in draw(st.permutations(range(len(models))))}
    return {
        "algorithm": "kmeans",
        "trained": True,
        "num_clusters": n,
        "centroids": centroids,
        "cluster_models": models,
    }


def svm(vectors, numbers):
    linear = st.fixed_dictionaries({"model_name": NAMES, "weights": vectors, "rho": numbers})
    rbf = st.integers(1, 4).flatmap(
        lambda n: st.fixed_dictionaries(
            {
                "model_name": NAMES,
                "alpha": column(numbers, n),
                "support_vectors": column(vectors, n),
                "rho": numbers,
                "gamma": st.integers(1, 2) | st.floats(0, 1000, exclude_min=True),
            }
        )
    )
    return st.fixed_dictionaries(
        {"algorithm": st.just("svm"), "trained": st.just(True)},
        optional={
            "model_names": ABSENT | st.permutations(MODELS),
            "kernel_type": st.none() | st.sampled_from(["Rbf", "Linear", "Poly"]),
            "gamma": st.none() | st.floats(-1, 1),
            "linear_classifiers": ABSENT | st.lists(linear, max_size=4),
            "rbf_classifiers": ABSENT | st.lists(rbf, max_size=4),
        },
    ).filter(lambda model: model.get("linear_classifiers") or model.get("rbf_classifiers"))


@st.composite
def models_with_queries(draw):
    """A model whose rows repeat now and then, and queries that may be rows of it."""
    numbers = NUMBERS[draw(st.integers(0, len(NUMBERS) - 1))]
    vectors = column(numbers, draw(st.integers(1, 4)))
    vectors |= st.sampled_from(draw(st.lists(vectors, min_size=1, max_size=3)))
    algorithm = draw(st.sampled_from([knn, kmeans, svm]))
    return draw(algorithm(vectors, numbers)), draw(st.lists(vectors, min_size=1, max_size=4))


models = models_with_queries().map(lambda pair: pair[0])
