"""Selector: what it offers, and what it stands."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector
from modelpick.runtime import ArtifactError, Selector
from support import reference
from support.artifacts import loaded
from support.catalogue import kmeans, knn

MODELS = Path(__file__).parents[2] / "models"
NAMES = ("knn", "kmeans", "svm_rbf", "svm_linear")
QUERIES = np.array([json.loads(line) for line in (MODELS / "queries.jsonl").read_text().splitlines()])
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in NAMES:
        (folder / f"{name}.onnx").write_bytes(to_artifact(load_estimator(MODELS / f"{name}.json")))
    return folder


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_tells_what_it_is(artifacts, name):
    with Selector.load(artifacts / f"{name}.onnx") as selector:
        document = json.loads((MODELS / f"{name}.json").read_text())
        assert selector.algorithm == selector.metadata.algorithm == document["algorithm"]
        assert selector.n_features_in_ == 1038
        names = document.get("labels") or document["model_names"]
        assert set(selector.model_names) == set(names)


def test_scores_and_explains_as_the_estimator(artifacts, name):
    estimator = load_estimator(MODELS / f"{name}.json")
    with Selector.load(str(artifacts / f"{name}.onnx")) as selector:
        for query, expected in zip(QUERIES, estimator.decision_function(QUERIES), strict=True):
            scores, explained = selector.scores(query), selector.explain(query)
            assert list(selector.model_names) == list(estimator.classes_)
            known = dict(zip(selector.model_names, expected, strict=True))  # those that won no cluster have no score
            assert scores == pytest.approx({name: known[name] for name in known if np.isfinite(known[name])}, rel=1e-12)
            assert selector.select(query) == explained["model"] == max(scores, key=scores.get)
            assert json.loads(json.dumps(explained))["scores"] == scores


def test_explains_neighbours(artifacts):
    document = json.loads((MODELS / "knn.json").read_text())
    weights = reference.knn_weights(document)
    with Selector.load(artifacts / "knn.onnx") as selector:
        for query in QUERIES:
            order, distances = reference.knn_order(document, query)
            neighbours = selector.explain(query)["neighbours"]
            assert [neighbour["row"] for neighbour in neighbours] == order[:5].tolist()
            for neighbour in neighbours:
                row = neighbour["row"]
                assert neighbour["distance"] == pytest.approx(distances[row], rel=1e-12)
                assert neighbour["model"] == document["labels"][row]
                assert neighbour["quality"] == document["qualities"][row]
                assert neighbour["vote"] == pytest.approx(weights[row], rel=1e-12)


def test_refuses_every_call_once_closed(artifacts, name):
    selector = Selector.load((artifacts / f"{name}.onnx").read_bytes())
    assert not selector.closed
    selector.close()
    selector.close()
    assert selector.closed
    for call in (selector.select, selector.scores, selector.explain):
        with pytest.raises(ArtifactError, match=r"^the selector is closed$"):
            call(QUERIES[0])
    with pytest.raises(ArtifactError, match=r"^the selector is closed$"):
        selector.select_batch(QUERIES)


def test_passes_options_on(artifacts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, "profile"
    Selector.load(artifacts / "knn.onnx", sess_options=options).select(QUERIES[0])
    assert list(tmp_path.glob("profile*"))
    Selector.load(artifacts / "knn.onnx", providers=["CPUExecutionProvider"])
    with pytest.raises(ArtifactError, match="cannot be run: no execution provider NoSuchProvider"):
        Selector.load(artifacts / "knn.onnx", providers=["NoSuchProvider"])


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )


OTHERS = ("onnx", "sklearn", "skl2onnx", "scipy", "msgspec", "typer", "rich", "modelpick.converter")


def test_runs_on_numpy_and_onnxruntime_alone(artifacts):
    code = f"""
import sys
for other in {OTHERS}:
    sys.modules[other] = None
from modelpick.runtime import Selector
for artifact in sys.argv[1:]:
    print(Selector.load(artifact).select([0.01] * 1038))
"""
    files = [artifacts / f"{name}.onnx" for name in NAMES]
    done = python(code, *files)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [Selector.load(file).select([0.01] * 1038) for file in files]
    done = python(f"import sys, modelpick.runtime; print([o for o in {OTHERS} if o in sys.modules])")
    assert done.stdout.strip() == "[]"


def test_the_converter_names_the_extra_it_needs():
    done = python("import sys; sys.modules['msgspec'] = None\nfrom modelpick.converter import convert")
    assert done.stderr.splitlines()[-1].endswith("needs msgspec: pip install 'modelpick[converter]'")


def in_threads(work, count=8):
    """Run in threads at once, and raise what any of them raised."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_eight_threads_select_as_one(artifacts, name):
    queries = np.vstack([QUERIES, RNG.normal(size=(12, 1038))])
    with Selector.load(artifacts / f"{name}.onnx") as selector:
        expected = selector.select_batch(queries)

        def work(number):
            for turn in range(1_000):
                place = (turn + number) % len(queries)
                assert selector.select(queries[place]) == expected[place]

        in_threads(work)


def test_closing_races_with_selecting(artifacts):
    data = (artifacts / "svm_linear.onnx").read_bytes()
    expected = Selector.load(data).select(QUERIES[0])
    refused = []
    for _ in range(50):
        selector = Selector.load(data)

        def work(number, selector=selector):
            if number == 0:
                selector.close()
            for _ in range(20):
                try:
                    assert selector.select(QUERIES[0]) == expected
                except ArtifactError as error:
                    refused.append(str(error))

        in_threads(work, 4)
    assert set(refused) == {"the selector is closed"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_selects(artifacts):
    code = """
import os, sys
import numpy as np
from modelpick.runtime import Selector
for artifact in sys.argv[1:]:
    selector = Selector.load(artifact)
    expected = selector.select(np.ones(1038))
    child = os.fork()
    if child == 0:
        os._exit(0 if all(selector.select(np.ones(1038)) == expected for _ in range(1000)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert selector.select(np.ones(1038)) == expected
"""
    assert python(code, *(artifacts / f"{name}.onnx" for name in NAMES)).returncode == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_memory_does_not_grow(artifacts):
    code = """
import sys
import numpy as np
from modelpick.runtime import Selector
data, query = open(sys.argv[1], "rb").read(), np.ones(1038)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def cycle(count):
    for _ in range(count):
        with Selector.load(data) as selector:
            for _ in range(150):
                selector.select(query)
cycle(50)
before = resident()
cycle(100)
print(resident() - before)
"""
    assert int(python(code, artifacts / "knn.onnx").stdout) < 4 * 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_selector_takes_less_than_twice_its_file(tmp_path, artifacts, dtype):
    rows = np.random.default_rng(0).normal(size=(3_000, 1_038)).astype(dtype).astype(np.float64)
    estimator = KNNModelSelector(5).fit(rows, ["a", "b"] * 1_500)
    artifact = tmp_path / "knn.onnx"
    artifact.write_bytes(to_artifact(estimator))
    code = """
import sys
import numpy as np
from modelpick.runtime import Selector
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
Selector.load(sys.argv[1]).close()  # what the first selector takes, others do not
before = resident()
selector = Selector.load(sys.argv[2])
selector.select_batch(np.ones((40, 1038)))
print(resident() - before)
"""
    added, size = int(python(code, artifacts / "knn.onnx", artifact).stdout), artifact.stat().st_size
    assert size < added < 1.7 * size + 4 * 2**20


BASE = RNG.normal(size=(1, 16))
ROWS = {
    "random": (RNG.normal(size=(500, 16)), RNG.normal(size=(40, 16)), 5),
    "all but equal": (BASE + 1e-9 * RNG.normal(size=(500, 16)), BASE + 1e-9 * RNG.normal(size=(20, 16)), 5),
    "at an offset": (100 + RNG.random((500, 16)), 100 + RNG.random((40, 16)), 5),
    "far from zero": (1e6 + RNG.normal(size=(500, 8)), 1e6 + RNG.normal(size=(20, 8)), 5),
    "grid": (RNG.integers(0, 3, size=(500, 6)), RNG.integers(0, 3, size=(40, 6)), 5),
    "small grid": (RNG.integers(0, 3, size=(900, 3)), RNG.integers(0, 3, size=(40, 3)), 5),
    "large": (RNG.normal(size=(300, 8)) * 1e150, RNG.normal(size=(20, 8)) * 1e150, 5),
    "larger": (RNG.normal(size=(300, 8)) * 1e200, RNG.normal(size=(20, 8)) * 1e200, 5),
    "long queries": (RNG.normal(size=(300, 8)), RNG.normal(size=(20, 8)) * 1e30, 5),
    "longer queries": (RNG.normal(size=(300, 8)), RNG.normal(size=(20, 8)) * 1e200, 5),
    "tiny": (RNG.normal(size=(300, 8)) * 1e-150, RNG.normal(size=(20, 8)) * 1e-150, 5),
    "zeros": (np.zeros((300, 8)), RNG.normal(size=(20, 8)), 5),
    "one row": (np.zeros((1, 8)), RNG.normal(size=(20, 8)), 1),
    "many neighbours": (RNG.normal(size=(300, 8)), RNG.normal(size=(20, 8)), 100),
    "all rows": (RNG.normal(size=(30, 8)), RNG.normal(size=(20, 8)), 30),
    "repeated": (RNG.normal(size=(100, 16)).repeat(9, axis=0), RNG.normal(size=(40, 16)), 5),
    "repeated, k above the repeats": (RNG.normal(size=(100, 16)).repeat(4, axis=0), RNG.normal(size=(40, 16)), 11),
    "repeated apart": (np.tile(RNG.normal(size=(100, 16)), (5, 1)), RNG.normal(size=(40, 16)), 7),
    "more than a block": (1.0 + 1e-9 * RNG.normal(size=(10_000, 4)), np.ones((2, 4)), 5),
    "one-hot": (np.hstack([RNG.normal(size=(400, 32)) / 30, np.eye(4)[np.arange(400) % 4]]), np.eye(36)[-4:], 5),
}


@pytest.mark.parametrize("exact_search", ["plain", "quantised"])
@pytest.mark.parametrize(("rows", "queries", "k"), ROWS.values(), ids=ROWS)
def test_neighbours_are_exact_whatever_the_search_proves(rows, queries, k, exact_search):
    n = len(rows)
    document = knn(
        rows,
        [f"m{i}" for i in range(4)],
        k,
        qualities=RNG.random(n),
        latencies=RNG.integers(0, 10**9, n),
    )
    estimator = KNNModelSelector(k).fit(
        np.asarray(rows, dtype=np.float64),
        document["labels"],
        np.array(document["qualities"]),
        np.array(document["latencies"]),
    )
    queries = np.asarray(queries, dtype=np.float64)
    with np.errstate(all="ignore"):
        expected = reference.select(document, queries)
        with Selector.load(to_artifact(estimator, exact_search=exact_search)) as selector:
            assert selector.select_batch(queries) == expected
            assert selector.select_batch(queries[:5]) == expected[:5]
            assert [selector.select(query) for query in queries] == expected
            for query in queries:
                found = [neighbour["row"] for neighbour in selector.explain(query)["neighbours"]]
                assert found == reference.knn_order(document, query)[0][:k].tolist()


@pytest.mark.parametrize("width", [1, 3, 7, 16, 33])
def test_the_first_of_identical_centroids_wins(width):
    centroids = RNG.normal(size=(5, width)).round(2)
    order = RNG.integers(5, size=23)
    document = kmeans(centroids[order], [f"m{i}" for i in range(23)])
    queries = RNG.normal(size=(200, width))
    with loaded(document) as selector:
        expected = reference.select(document, queries)
        assert set(expected) <= {f"m{order.tolist().index(i)}" for i in set(order.tolist())}
        assert selector.select_batch(queries) == [selector.select(query) for query in queries] == expected
