"""Models of two features, artifacts of them, and queries."""

from functools import cache

from support.artifacts import converted
from support.catalogue import dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm

KNN = knn(
    [[1, 2], [3, 4], [5, 6.5], [7, -8]],
    ["a", "b", "模型", "b"],
    k=2,
    qualities=[0.25, 0.5, 0.75, 0.3],
    latencies=[1, 2, 3, 4],
)
KMEANS = kmeans([[1, 2], [3, 4]])
LINEAR = linear_classifier("a", [1, 2], rho=0.5)
RBF = rbf_classifier("b", [[1, 2], [3, 4]], [1, -1])
SVM = svm([LINEAR], [RBF])
MLP = mlp(dense([[0.1, 0.2], [0.3, -0.4]], [0.1, -0.1]), names=["a", "b"])
SMALL = {"knn": KNN, "kmeans": KMEANS, "svm": SVM, "mlp": MLP}
QUERIES = [[1, 2], [4.5, 5], [0, 0], [-3, 1e3]]


@cache
def artifact(name):
    return converted(SMALL[name])
