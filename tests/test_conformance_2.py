"""Selections against the answers of the original's second generation, recorded by running its code."""

import gzip
import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import FeatureError, Selector

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("MODELPICK_SHARED", ROOT.parent / "shared"))
RECORDED = ROOT / "tests/data/generation-2"
# Those that the original picks for but that are refused here, as empty.
REFUSED = {"svm_no_classifiers"}
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def read(path):
    return msgspec.json.decode(gzip.decompress(path.read_bytes()))


def loaded(raw):
    """A selector by the rules of today's router, which reads files of both versions alike."""
    model = json.loads(raw)
    semantics = "native" if model["algorithm"] == "hiershrink" else today(model)
    return Selector.load(to_artifact(load_estimator(raw, semantics=semantics)), unknown_candidates="ignore")


def today(model):
    """KMeans alone reads each version by its own rules."""
    return f"native/{model.get('format_version') or 1}" if model["algorithm"] == "kmeans" else "native/2"


def decided(entry, n, name=""):
    """Queries that neither a tie, unless it is exact, nor rounding decides."""
    tie, exact, near = (np.array(entry.get(name + key, [False] * n)) for key in ("tie", "tie_exact", "near"))
    return np.flatnonzero(~(tie & ~exact) & ~near)


FILES = {f"{path.name.split('.')[0]}": path for path in sorted(RECORDED.glob("*.json.gz"))}
ARTIFACTS = [
    pytest.param(name, artifact, id=f"{name}-{artifact}")
    for name, path in FILES.items()
    for artifact in read(path)["artifacts"]
]


@pytest.mark.parametrize(("file", "name"), ARTIFACTS)
def test_picks_as_the_router_does_today(file, name):
    recorded = read(FILES[file])
    queries, entry = np.array(recorded["queries"]), recorded["artifacts"][name]
    raw = json.dumps(entry["artifact"]).encode()
    if name in REFUSED:
        with pytest.raises(ValueError, match="expected at least one of linear_classifiers"):
            loaded(raw)
        return
    with loaded(raw) as selector:
        for run in entry.get("runs", []):
            check_run(selector, queries, run)
        for decision in entry.get("v2_decisions", []):
            check_decision(selector, queries, decision)
        if "expected" in entry:
            kept = decided(entry, len(queries))
            expected = [entry["expected"][query] for query in kept]
            assert selector.select_batch(queries[kept]) == expected
            assert [selector.select(query) for query in queries[kept]] == expected
            assert [selector.explain(query)["model"] for query in queries[kept]] == expected


def check_run(selector, queries, run):
    candidates = run["candidates"]
    if run["errors"]:
        with pytest.raises(FeatureError, match="candidates: expected at least one of"):
            selector.select_batch(queries, candidates=candidates)
        return
    assert selector.select_batch(queries, candidates=candidates) == run["expected"]
    # The scores of the first queries were recorded.
    assert run["detail"]
    for query, expected, detail in zip(queries, run["expected"], run["detail"], strict=False):
        explained = selector.explain(query, candidates=candidates)
        assert explained["model"] == selector.select(query, candidates=candidates) == expected
        assert (explained["coarse_cluster"], explained["cluster"]) == (detail["coarse"], detail["fine"])
        assert explained["scores"] == pytest.approx(detail["scores"], rel=1e-12, abs=1e-12)


def check_decision(selector, queries, decision):
    query, candidates = queries[decision["query"]], decision["candidates"]
    if "error" in decision:
        with pytest.raises(FeatureError, match="candidates: expected at least one of"):
            selector.select(query, candidates=candidates)
        return
    explained = selector.explain(query, candidates=candidates)
    assert explained["model"] == selector.select(query, candidates=candidates) == decision["model"]
    assert explained["cluster"] == decision["cluster_id"]
    assert explained["scores"] == decision["scores"]


SETS = sorted(path.parent for parent in ("conformance", "real") for path in SHARED.glob(f"{parent}/*/expected-gen*"))


@pytest.mark.parametrize("algorithm", ["knn", "kmeans", "svm", "mlp"])
@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_old_files_by_the_rules_of_today(folder, algorithm):
    path = folder / f"{algorithm}_model.json.gz"
    recorded = read(folder / "expected-generation-2.json.gz")
    if not path.exists():
        pytest.skip("has no such model")
    queries = np.array(read(folder / "expected.json.gz")["queries"])
    entry, n = recorded["expected"], len(queries)
    kept = decided({key.removeprefix(f"{algorithm}_"): entry[key] for key in entry if key.startswith(algorithm)}, n)
    with loaded(gzip.decompress(path.read_bytes())) as selector:
        assert selector.select_batch(queries[kept]) == [entry[algorithm][query] for query in kept]
