"""Models whose artifacts are held to them, and edits of an artifact."""

import numpy as np
from onnx import numpy_helper

from support.attacks import parsed, resealed
from support.catalogue import dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm

RNG = np.random.default_rng(0)
D = 16
ROWS = RNG.normal(size=(24, D)).round(3).tolist()
KNN = knn(
    ROWS,
    ["model-0", "model-1", "model-2"],
    qualities=RNG.uniform(0.1, 1, len(ROWS)).round(3),
    latencies=RNG.integers(10**9, size=len(ROWS)),
)
KMEANS = kmeans(ROWS[:6], ["a", "b", "c", "a", "b", "d"])
LINEAR = svm([linear_classifier(f"linear-{i}", ROWS[i], rho=0.1 * i) for i in range(4)])
RBF = svm(rbf=[rbf_classifier(f"rbf-{i}", ROWS[4 * i : 4 * i + 4], [1, 0.5, -0.5, 1], gamma=0.1) for i in range(3)])
MLP = mlp(dense(ROWS[:8], [0.1] * 8), {"type": "relu"}, dense(RNG.normal(size=(3, 8)).round(3), [0, 0.1, 0.2]))
MODELS = {"knn": KNN, "kmeans": KMEANS, "svm linear": LINEAR, "svm rbf": RBF, "mlp": MLP}


def edited(data, edit):
    """Seal an artifact again after an edit."""
    proto = parsed(data)
    edit(proto)
    return resealed(proto)


def tensor(name, place, change):
    """Change one value of an initializer."""

    def edit(proto):
        (found,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
        values = numpy_helper.to_array(found).copy()
        before = values[place]
        values[place] = change(before)
        assert values[place] != before
        found.CopyFrom(numpy_helper.from_array(values, name))

    return edit


def slightly(value):
    return value + 1e-6
