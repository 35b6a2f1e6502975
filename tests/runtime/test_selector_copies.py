"""Copies of a selector: in this process, in others, and what is in flight when one is closed."""

import copy
import multiprocessing
import pickle
import threading

import joblib
import onnxruntime
import pytest

from modelpick.runtime import ArtifactError, Requirements, Selector

COPIES = {
    "pickle": lambda selector: pickle.loads(pickle.dumps(selector)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def asked(selector, query):
    return selector.select(query)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_picks_alike_with_the_same_options(way, sample_artifacts, sample_queries, tmp_path):
    path = tmp_path / "router.onnx"
    path.write_bytes((sample_artifacts / "knn.onnx").read_bytes())
    names = ("mistral-7b", "nobody")
    events = []
    options = {"candidates": iter(names), "unknown_candidates": "ignore", "quality_weight": 0.5}
    options |= {"expect": Requirements(embedding_dim=1024), "providers": ["CPUExecutionProvider"]}
    with Selector.load(path, **options, observer=events.append if way != "pickle" else None) as selector:
        path.unlink()
        with COPIES[way](selector) as other:
            assert other is not selector
            assert [other.select(query) for query in sample_queries] == ["mistral-7b"] * len(sample_queries)
        assert selector.select(sample_queries[0]) == "mistral-7b", "the copy is closed, not the selector"
    assert {event.selector for event in events} == ({"router"} if way != "pickle" else set())
    with pytest.raises(ArtifactError, match="closed"):
        COPIES[way](selector)


def test_session_options_are_shared_by_copies_and_cannot_be_sent(sample_artifacts, sample_queries):
    with Selector.load(sample_artifacts / "mlp.onnx", sess_options=onnxruntime.SessionOptions()) as selector:
        assert copy.deepcopy(selector).select(sample_queries[0]) == selector.select(sample_queries[0])
        with pytest.raises(TypeError, match="SessionOptions"):
            pickle.dumps(selector)


def test_pools_take_selectors(sample_artifacts, sample_queries):
    with Selector.load(sample_artifacts / "kmeans.onnx") as selector:
        expected = selector.select_batch(sample_queries)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.starmap(Selector.select, [(selector, query) for query in sample_queries]) == expected
        parallel = joblib.Parallel(n_jobs=2)
        assert parallel(joblib.delayed(asked)(selector, query) for query in sample_queries) == expected


def test_a_batch_in_flight_finishes_when_the_selector_is_closed(sample_artifacts, sample_queries, monkeypatch):
    selector = Selector.load(sample_artifacts / "knn.onnx")
    expected = selector.select_batch(sample_queries)
    begun, closed, pick_many = threading.Event(), threading.Event(), selector._algorithm.pick_many

    def slow(*arguments):
        begun.set()
        assert closed.wait(10)
        return pick_many(*arguments)

    monkeypatch.setattr(selector, "_chunk", 2)
    monkeypatch.setattr(selector._algorithm, "pick_many", slow)
    picked = []
    thread = threading.Thread(target=lambda: picked.extend(selector.select_batch(sample_queries)))
    thread.start()
    assert begun.wait(10)
    selector.close()
    closed.set()
    thread.join()
    assert picked == expected
    with pytest.raises(ArtifactError, match="closed"):
        selector.select_batch(sample_queries)


@pytest.mark.parametrize("name", ["knn", "kmeans", "mlp"])
def test_a_pickle_that_was_altered_is_refused_as_a_file_is(sample_artifacts, name):
    data = (sample_artifacts / f"{name}.onnx").read_bytes()
    with Selector.load(data) as selector:
        pickled = bytearray(pickle.dumps(selector))
    start = pickled.index(data)
    for place in range(start, start + len(data), len(data) // 50):
        altered = pickled.copy()
        altered[place] ^= 1
        with pytest.raises(ArtifactError, match=r"<bytes>: expected .* seal"):
            pickle.loads(altered)
