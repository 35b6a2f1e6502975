"""What is measured side by side: each peer is made from data, and called with queries in float32."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import faiss
import hnswlib
import numpy as np
import numpy.typing as npt
import onnxruntime
from data import WIDTH, Data
from onnx import GraphProto, TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.svm import SVR

from modelpick.converter import to_artifact
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector
from modelpick.converter.algorithms.svm.estimators import KernelClassifier
from modelpick.runtime import Selector

K = 5
OPSET = 17
Matrix = npt.NDArray[np.float32]
Call = Callable[[Matrix], Any]


class Peer(NamedTuple):
    """A way to answer queries."""

    make: Callable[[Data], Call]
    most_rows: int = 10**9
    """Above, it takes too long to make or to run, and is left out."""
    approximate: bool = False


def session(model: bytes, profile: str | None = None) -> onnxruntime.InferenceSession:
    """Make a session of one thread; with ``profile`` it writes how long nodes take, to a file whose name begins so."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def estimator(data: Data) -> KNNModelSelector:
    """Make the estimator that our artifact is made from."""
    labels = [f"model-{model}" for model in data.models]
    return KNNModelSelector(K).fit(data.rows.astype(np.float64), labels, data.qualities, data.latencies)


def ours(data: Data) -> Call:
    """Make our selections, votes included."""
    return select(Selector.load(to_artifact(estimator(data))))


def select(selector: Selector) -> Call:
    """Call ``select`` for one query and ``select_batch`` for more."""
    return lambda queries: selector.select(queries[0]) if len(queries) == 1 else selector.select_batch(queries)


def faiss_flat(data: Data) -> Call:
    """Make a FAISS IndexFlatL2: exact up to float32's rounding."""
    index = faiss.IndexFlatL2(WIDTH)
    index.add(data.rows)
    return lambda queries: index.search(queries, K)


def plain_gemm(data: Data) -> Call:
    """Make Gemm and TopK in float32 in onnxruntime: exact up to float32's rounding."""
    norms = (data.rows**2).sum(axis=1)
    nodes = [
        helper.make_node("Gemm", ["q", "rows", "norms"], ["scores"], alpha=-2.0, transB=1),
        helper.make_node("TopK", ["scores", "k"], ["near", "found"], axis=1, largest=0, sorted=1),
    ]
    tensors = {"rows": data.rows, "norms": norms, "k": np.array([K])}
    graph = helper.make_graph(
        nodes,
        "gemm",
        [helper.make_tensor_value_info("q", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("found", TensorProto.INT64, [None, K])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    run = session(_model(graph)).run
    return lambda queries: run(["found"], {"q": queries})


def numpy_gemm(data: Data) -> Call:
    """Make a matrix product and argpartition in numpy."""
    norms = (data.rows**2).sum(axis=1)
    return lambda queries: np.argpartition(norms - 2 * queries @ data.rows.T, K - 1, axis=1)[:, :K]


def sklearn_brute(data: Data) -> Call:
    """Make scikit-learn's NearestNeighbors."""
    neighbours = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(data.rows)
    return lambda queries: neighbours.kneighbors(queries, return_distance=False)


def skl2onnx_stock(**options: str) -> Callable[[Data], Call]:
    """Make skl2onnx's own graph of a KNeighborsClassifier."""

    def make(data: Data) -> Call:
        classifier = KNeighborsClassifier(K, algorithm="brute").fit(data.rows, data.models)
        model = to_onnx(
            classifier, data.rows[:1], options={id(classifier): {"zipmap": False, **options}}, target_opset=OPSET
        )
        run = session(model.SerializeToString()).run
        return lambda queries: run(None, {"X": queries})

    return make


def hnsw(data: Data) -> Call:
    """Make an hnswlib index: M = 16, ef_construction = 100, ef = 64."""
    index = hnswlib.Index("l2", WIDTH)
    index.init_index(len(data.rows), M=16, ef_construction=100, random_seed=1)
    index.set_num_threads(1)
    index.add_items(data.rows)
    index.set_ef(64)
    return lambda queries: index.knn_query(queries, K)


KNN_PEERS = {
    "modelpick": Peer(ours),
    "FAISS flat": Peer(faiss_flat),
    "plain Gemm": Peer(plain_gemm),
    "numpy": Peer(numpy_gemm),
    "scikit-learn": Peer(sklearn_brute),
    "skl2onnx": Peer(skl2onnx_stock(), most_rows=1_000),
    "skl2onnx cdist": Peer(skl2onnx_stock(optim="cdist"), most_rows=20_000),
    "~hnswlib": Peer(hnsw, most_rows=20_000, approximate=True),
}


OTHER_PEERS = ("scikit-learn", "skl2onnx", "plain float32", "bare call")


def stock_kmeans(model: KMeans) -> Call:
    """Make skl2onnx's own graph of a KMeans."""
    run = session(to_onnx(model, np.zeros((1, WIDTH), np.float32), target_opset=OPSET).SerializeToString()).run
    return lambda queries: run(None, {"X": queries})


def stock_machines(classifiers: Sequence[KernelClassifier]) -> dict[str, Call]:
    """Make scikit-learn's own kernel machines, and skl2onnx's own graphs of them, which answer one after another."""
    machines, sample = [_stock_machine(classifier) for classifier in classifiers], np.zeros((1, WIDTH), np.float32)
    runs = [session(to_onnx(machine, sample, target_opset=OPSET).SerializeToString()).run for machine in machines]
    return {
        "scikit-learn": lambda queries: [machine.predict(queries) for machine in machines],
        "skl2onnx": lambda queries: [run(None, {"X": queries}) for run in runs],
    }


def _stock_machine(classifier: KernelClassifier) -> SVR:
    """Make the SVR that scores as a classifier of ours; scikit-learn takes coefficients by private names alone."""
    count, width = classifier.support_vectors.shape
    machine = SVR(kernel="rbf", gamma=classifier.gamma)
    machine.support_, machine.support_vectors_ = np.arange(count, dtype=np.int32), classifier.support_vectors
    machine._n_support = np.array([count, count], dtype=np.int32)
    machine.dual_coef_ = machine._dual_coef_ = classifier.dual_coef[None, :]
    machine.intercept_ = machine._intercept_ = np.array([classifier.intercept])
    machine._probA = machine._probB = np.empty(0)
    machine._gamma, machine._sparse = classifier.gamma, False
    machine.shape_fit_, machine.n_features_in_, machine.fit_status_ = (count, width), width, 0
    return machine


def bare_call(queries: npt.NDArray[np.float64]) -> Callable[[], Any]:
    """Make a call of a graph of one node that does next to nothing: what a call of onnxruntime takes at least."""
    features = helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, WIDTH])
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    graph = helper.make_graph([helper.make_node("Shape", ["features"], ["shape"])], "bare", [features], [shape])
    run = session(_model(graph)).run
    return lambda: run(["shape"], {"features": queries})


def plain_layers(layers: Sequence[tuple[Matrix, Matrix]]) -> Call:
    """Make a float32 graph of dense layers, weights (out, in) and biases, a ReLU between each two, and ArgMax."""
    nodes, tensors, values = [], [], "features"
    for index, layer in enumerate(layers):
        names = [f"weights_{index}", f"bias_{index}"]
        tensors += [numpy_helper.from_array(part, name) for part, name in zip(layer, names, strict=True)]
        nodes.append(helper.make_node("Gemm", [values, *names], [f"sums_{index}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"sums_{index}"], [f"values_{index}"]))
        values = f"values_{index}"
    nodes[-1] = helper.make_node("ArgMax", [f"sums_{len(layers) - 1}"], ["best"], axis=1, keepdims=0)
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, WIDTH])
    best = helper.make_tensor_value_info("best", TensorProto.INT64, [None])
    run = session(_model(helper.make_graph(nodes, "layers", [features], [best], tensors))).run
    return lambda queries: run(["best"], {"features": queries})


def _model(graph: GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString())


def size_on_disk(data: Data) -> dict[str, int]:
    """Tell the bytes of our artifact and of the FAISS index."""
    index = faiss.IndexFlatL2(WIDTH)
    index.add(data.rows)
    return {"modelpick": len(to_artifact(estimator(data))), "FAISS flat": len(faiss.serialize_index(index).tobytes())}
