"""One module per algorithm: the skl2onnx converter that turns its estimator into a fast graph.

Importing this package registers them all with skl2onnx.
"""

from . import kmeans, knn, mlp, svc, svm

__all__ = ["kmeans", "knn", "mlp", "svc", "svm"]
