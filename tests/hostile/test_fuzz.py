"""Some mutants of one artifact of each kind; `make fuzz` tries many of all."""

import pytest

from support import fuzz

FILES = ["hiershrink_estimate", "kernel_ridge", "kmeans_2_estimate", "knn", "knn_rows_first", "mlp_estimate", "svm"]


@pytest.mark.parametrize("name", FILES)
def test_mutants_are_refused_or_picked_from_as_they_say(name):
    found = dict(fuzz.run(fuzz.DATA / f"format-2/{name}.onnx", FILES.index(name) * 1000, 40))
    assert {seed: verdict for seed, verdict in found.items() if verdict.kind in fuzz.FAILURES} == {}
    assert {"refused", "as before"} <= {verdict.kind for verdict in found.values()}


def test_mutants_of_encoders_are_refused_or_embed_as_the_original(tmp_path):
    for path in fuzz.make_encoders(tmp_path):
        found = dict(fuzz.run(path, 0, 30))
        assert {seed: verdict for seed, verdict in found.items() if verdict.kind in fuzz.FAILURES} == {}
        assert "refused" in {verdict.kind for verdict in found.values()}


def test_odd_graphs_of_allowed_operators_are_run_or_refused():
    found = dict(fuzz.run(None, 0, 100))
    assert {seed: verdict for seed, verdict in found.items() if verdict.kind in fuzz.FAILURES} == {}
    assert {verdict.kind for verdict in found.values()} == {"run", "refused"}
