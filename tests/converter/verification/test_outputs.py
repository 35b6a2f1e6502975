"""What other languages run of an artifact, the outputs of its whole graph, is verified."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from modelpick.converter import VerificationError, convert, verify
from modelpick.converter.algorithms import TABLE
from modelpick.converter.verification.compare import compare
from modelpick.converter.verification.probes import made_queries
from modelpick.converter.verification.restored import restored_estimator
from modelpick.runtime import Selector
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.loading import read_contents
from support.artifacts import built, converted, encoded
from support.attacks import parsed, resealed
from support.catalogue import MODELS, knn

ROOT = Path(__file__).parents[3]
KNN, QUERIES = MODELS["knn", "native/1"], MODELS["knn", "queries/3"]
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def altered(data, output, operator, operand=None, *, behind=True):
    """Give the artifact whose output an operator makes of the right one and an operand, or of the right one twice."""
    proto = parsed(data)
    right = f"right_{output}"
    (node,) = (node for node in proto.graph.node if output in node.output)
    node.output[:] = [right if name == output else name for name in node.output]
    operands = [right, right]
    if operand is not None:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(operand), "operand"))
        operands[int(behind)] = "operand"
    proto.graph.node.append(helper.make_node(operator, operands, [output]))
    return resealed(proto)


# Rows of the table, an output, and what is made of it.
ALTERED = {
    "other rows": ("knn native/1", "row", "Sub", 1),
    "rows out of range": ("knn native/2", "row", "Add", 1000),
    "farther rows": ("knn native/1", "distance", "Mul", 1.000001),
    "rows that are always certified": ("knn native/1", "certified", "Equal"),
    "rows by cosine that are always certified": ("knn trainer/1", "certified", "Equal"),
    "other models": ("knn native/1", "model", "Mul", 0),
    "higher qualities": ("knn native/1", "quality", "Add", 1e-6),
    "no speeds": ("knn native/2", "speed", "Mul", 0.0),
    "one query": ("knn queries/3", "row", "Mul", 0),
    "farther queries": ("knn queries/2", "distance", "Add", 1e-6),
    "queries that are always certified": ("knn queries/3", "certified", "Equal"),
    "more comparisons won": ("svm native/2", "score", "Add", 1.0),
    "other comparisons": ("svm trainer/1", "pair", "Mul", 1.001),
}


@pytest.mark.parametrize("case", ALTERED.values(), ids=ALTERED)
def test_finds_wrong_outputs_that_the_runtime_does_not_run(case):
    row, output, *operation = case
    algorithm, semantics = row.split()
    model = MODELS[algorithm, semantics]
    right = converted(model, semantics)
    wrong = altered(right, output, *operation)
    queries = made_queries(built(model, semantics), 60)
    assert Selector.load(wrong).select_batch(queries) == Selector.load(right).select_batch(queries)
    assert verify(right, encoded(model), queries=queries).agreed == 60
    report = verify(wrong, encoded(model), queries=queries)
    assert report.agreed < 60
    assert f"output {output} " in report.worst.artifact
    assert f"output {output} " in str(VerificationError(report))


def test_finds_other_queries_that_are_farther():
    wrong = altered(converted(QUERIES, "queries/3"), "row", "Sub", 39, behind=False)
    report = verify(wrong, encoded(QUERIES), queries=np.random.default_rng(0).normal(size=(12, 12)))
    assert report.agreed == 0
    assert "output row " in report.worst.artifact


def test_of_identical_rows_the_lowest_is_expected():
    model = KNN | {"k": 1, "labels": ["a"] * 120, "qualities": [], "latencies": []}
    wrong = altered(converted(model), "row", "Add", 1)
    report = verify(wrong, encoded(model), queries=[model["embeddings"][6]])
    assert (report.worst.artifact, report.worst.estimator) == ("output row 7", "6")


@pytest.mark.parametrize("exact_search", ["plain", "quantised"])
def test_agrees_where_only_a_second_run_is_certified(exact_search):
    """Rows of two heaps, in each of which the search tells none of them apart."""
    rng = np.random.default_rng(0)
    heaps = np.where(np.arange(240) % 2, 1.0, -1.0)[:, None] + 1e-5 * rng.normal(size=(240, 12))
    model = knn(heaps, k=5, qualities=rng.uniform(size=240))
    artifact, queries = converted(model, exact_search=exact_search), heaps[:30] + 1e-5 * rng.normal(size=(30, 12))
    certified, rows = onnx_runner(artifact)(["certified", "row"], queries)
    assert not certified.any()
    assert not np.array_equal(rows, built(model).kneighbors(queries, return_distance=False))
    report = verify(artifact, encoded(model), queries=queries)
    assert (report.agreed, report.queries) == (30, 30)


FIRST = [path for path in sorted((ROOT / "tests/data/contract-1").glob("*.onnx")) if path.stem != "knn_queries"]


@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_graphs_of_version_1_agree_with_the_models_that_they_restore(path):
    estimator = restored_estimator(path)
    # The last are so far from all rows that only a second run, with all rows as candidates, finds the nearest.
    queries = np.vstack([made_queries(estimator, 30), 1e6 * np.eye(12)])
    with Selector.load(path) as selector:
        report = compare(selector, read_contents(*read_sealed(path)), estimator, queries, path.name)
    assert (report.agreed, report.queries) == (42, 42)


def test_convert_publishes_no_wrong_output(tmp_path, monkeypatch):
    wrong = altered(converted(KNN), "distance", "Mul", 2.0)
    monkeypatch.setattr("modelpick.converter.conversion.to_artifact", lambda *args, **kwargs: wrong)
    (tmp_path / "knn.json").write_bytes(encoded(KNN))
    with pytest.raises(VerificationError, match="output distance"):
        convert(tmp_path / "knn.json", tmp_path / "knn.onnx")
    assert not (tmp_path / "knn.onnx").exists()


def promised():
    """Give what the page on artifacts has clients run: (algorithm, semantics) -> outputs."""
    section = (ROOT / "docs/artifact.md").read_text().split("## To pick")[1].split("Of **knn**")[0]
    outputs, algorithms, run = {}, [], set()
    for line in section.splitlines():
        cells = [re.findall("`([^`]+)`", cell) for cell in line.split("|")[1:4]]
        if line.startswith("| `") or line.startswith("| |"):
            algorithms, run = cells[0] or algorithms, set(cells[2]) or run
            for algorithm in algorithms:
                known = [semantics for of, semantics in TABLE if of == algorithm]
                outputs |= {(algorithm, semantics): run for semantics in cells[1] or known}
    return outputs


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: f"{row.algorithm} {row.semantics}")
def test_holds_all_outputs_that_the_page_on_artifacts_has_clients_run(row):
    estimator = built(MODELS[row.algorithm, row.semantics], row.semantics)
    run = onnx_runner(converted(MODELS[row.algorithm, row.semantics], row.semantics))
    held = {output for output, *_ in row.hold(estimator, made_queries(estimator, 6), run)}
    assert held >= promised()[row.algorithm, row.semantics]


def onnx_runner(data):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options)

    def run(outputs, queries, **counts):
        return session.run(outputs, {"features": queries, **{name: np.array([n]) for name, n in counts.items()}})

    return run
