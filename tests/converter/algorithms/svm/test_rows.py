"""SVM files of the second generation: the SVC in them, held against plain numpy, scikit-learn and the original."""

import gzip
import json
import warnings

import msgspec
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from modelpick.converter import DocumentWarning, load_estimator, to_artifact, to_json, verify
from modelpick.runtime import DocumentError, Selector
from support import catalogue, reference
from support.artifacts import built, converted, encoded, loaded
from support.catalogue import linear_classifier, svc_parameters, svm
from support.recorded import SHARED

NAMES = ["b", "a", "d", "c", "e"]
D = 12
QUERIES = np.random.default_rng(9).normal(size=(100, D))


def fitted(n_classes, kernel, gamma=0.1, C=1.0):
    """A file of an SVC that scikit-learn fits, and that SVC."""
    rng = np.random.default_rng(n_classes)
    X, y = rng.normal(size=(120, D)), rng.integers(n_classes, size=120)
    svc = SVC(kernel=kernel.lower(), gamma=gamma, C=C).fit(X, y)
    parameters = svc_parameters(svc.support_vectors_, svc.dual_coef_, svc.intercept_, svc.n_support_)
    model = catalogue.svc(parameters, NAMES[:n_classes], kernel, gamma, input_normalization="none")
    return model, svc


RBF, LINEAR = fitted(3, "Rbf")[0], fitted(3, "Linear")[0]
STAND_INS = {
    "linear_classifiers": [],
    "rbf_classifiers": [{"model_name": "b", "alpha": [1], "support_vectors": [[1.0], [2.0]], "rho": 0, "gamma": -1}],
}


def at_top_level(model, **fields):
    """The same as files of version 1 hold it, with classifiers that do not count."""
    rest = {name: value for name, value in model.items() if name not in ("svc", "format_version")}
    return rest | model["svc"] | fields


@pytest.mark.parametrize(("kernel", "gamma"), [("Rbf", 0.1), ("Rbf", 1e-4), ("Rbf", 1e4), ("Linear", 1.0)])
@pytest.mark.parametrize(("n_classes", "C"), [(2, 0.01), (3, 1.0), (5, 100.0), (5, 0.01)])
def test_picks_as_scikit_learn(n_classes, kernel, gamma, C):
    model, svc = fitted(n_classes, kernel, gamma, C)
    read = reference.with_arrays(model)
    data, queries = converted(model, "native/2"), np.vstack([QUERIES, svc.support_vectors_])
    near = np.array([reference.svc(read, query)[1] for query in queries])
    expected = [NAMES[index] for index in svc.predict(queries[~near])]
    assert near.mean() < 0.05
    with Selector.load(data) as selector:
        assert selector.select_batch(queries[~near]) == expected
        assert [selector.select(query) for query in queries[~near]] == expected
        assert sum(selector.scores(queries[0]).values()) == n_classes * (n_classes - 1) / 2
    estimator = built(model, "native/2")
    assert list(estimator.predict(queries[~near])) == expected
    assert verify(data, encoded(model), samples=20).passed


def scaled(model, scale):
    """The same for queries as many times as long."""
    vectors = (np.array(model["svc"]["support_vectors"]) * scale).tolist()
    return model | {"gamma": model["gamma"] / scale**2, "svc": model["svc"] | {"support_vectors": vectors}}


FAR = {"rbf": RBF, "linear": LINEAR, "two": fitted(2, "Rbf")[0], "long": scaled(RBF, 1e12), "short": scaled(RBF, 1e-12)}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1e3, 1e6, 1e16, 1e25, 1e200, 1e307])
def test_queries_are_picked_for_at_any_distance(name, scale):
    with loaded(FAR[name], "native/2") as selector:
        picked = selector.select_batch(QUERIES[:40] * scale)
        for query, batch_pick in zip(QUERIES[:40] * scale, picked, strict=True):
            expected, near = reference.svc(FAR[name], query)
            assert near or selector.select(query) == batch_pick == expected


@pytest.mark.parametrize(("gamma", "reach"), [(0.1, 1.0), (1e-7, 1e3)])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_queries_at_the_boundary_are_refined(n_classes, gamma, reach):
    """Queries between two picks, halved until the comparison hangs on what float32 cannot see."""
    model, _ = fitted(n_classes, "Rbf", gamma)
    model["svc"]["intercept"] = [0.0] * len(model["svc"]["intercept"])
    seen = set()
    with loaded(model, "native/2") as selector:
        for left, right in zip(QUERIES[:60:2] * reach, QUERIES[1:60:2] * reach, strict=True):
            picks = [reference.svc(model, query)[0] for query in (left, right)]
            for _ in range(44 if picks[0] != picks[1] else 0):
                middle = (left + right) / 2
                expected, near = reference.svc(model, middle)
                assert near or selector.select(middle) == expected
                left, right = (left, middle) if expected != picks[0] else (middle, right)
                seen.add(near)
    assert seen == {True, False}


@pytest.mark.parametrize("model", [RBF, LINEAR, fitted(5, "Rbf")[0]], ids=["rbf", "linear", "five"])
def test_the_search_settles_most_queries(model):
    session = onnxruntime.InferenceSession(converted(model, "native/2"), providers=["CPUExecutionProvider"])
    feed = {"features": QUERIES, "refine": np.array(False)}
    candidate, certain, pair = session.run(["candidate", "certain", "pair"], feed)
    (exact,) = session.run(["classifier"], {"features": QUERIES})
    assert pair.size == 0
    assert certain.mean() > 0.95
    np.testing.assert_array_equal(candidate[certain], exact[certain])


@st.composite
def small_models(draw):
    """Few vectors of small whole numbers, whose linear comparisons are exact and often tied."""
    n = draw(st.integers(2, 4))
    n_support = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    whole = st.integers(-2, 2)

    def rows(count, length):
        return st.lists(st.lists(whole, min_size=length, max_size=length), min_size=count, max_size=count)

    parameters = {
        "support_vectors": draw(rows(sum(n_support), 3)),
        "dual_coef": draw(rows(n - 1, sum(n_support))),
        "intercept": draw(rows(1, n * (n - 1) // 2))[0],
        "n_support": n_support,
    }
    kernel, gamma = draw(st.sampled_from(["Rbf", "Linear"])), draw(st.sampled_from([0.5, 1e6]))
    fields = catalogue.svc(parameters, NAMES[:n], kernel, gamma)
    return fields, draw(rows(4, 3)), draw(st.sets(st.sampled_from(NAMES[:n]), min_size=1))


@settings(max_examples=30, deadline=None)
@given(small_models())
def test_picks_as_the_reference(drawn):
    model, queries, candidates = drawn
    data = converted(model, "native/2")
    assert json.loads(to_json(data)) == model
    assert verify(data, encoded(model), samples=12).passed
    with Selector.load(data) as selector:
        for query in queries:
            for among in (None, candidates):
                expected, near = reference.svc(model, query, among)
                assert near or selector.select(query, candidates=among) == expected
                assert near or selector.select_batch([query, query], candidates=among) == [expected] * 2
                assert near or selector.explain(query, candidates=among)["model"] == expected


@pytest.mark.parametrize("model", [RBF, LINEAR, fitted(5, "Rbf")[0]], ids=["rbf", "linear", "five"])
def test_candidates_are_compared_with_each_other_alone(model):
    among = model["model_names"][1:4]
    differ = 0
    with loaded(model, "native/2") as selector:
        everything = selector.select_batch(QUERIES[:60])
        for query, pick in zip(QUERIES[:60], everything, strict=True):
            expected, near = reference.svc(model, query, among)
            assert not near
            assert selector.select(query, candidates=among) == expected
            scores = selector.scores(query, candidates=among)
            assert sum(scores.values()) == len(among) * (len(among) - 1) / 2
            differ += pick != expected
    assert differ


def test_is_explained_by_comparisons_won():
    with loaded(RBF, "native/2") as selector:
        explained = selector.explain(QUERIES[0])
        values, _ = reference.svc_pairs(RBF, QUERIES[0])
        winners = [i if values[i, j] > 0 else j for i, j in values]
        won = [winners.count(i) for i in range(3)]
        assert explained["classifiers"] == [
            {"model": name, "score": score} for name, score in zip(RBF["model_names"], won, strict=True)
        ]
        assert RBF["model_names"][explained["classifier"]] == explained["model"]


ACCEPTED = {
    "version 2": RBF,
    "no normalisation": {k: v for k, v in RBF.items() if k != "input_normalization"},
    "nulls": RBF | {"input_normalization": None, "support_vectors": None},
    "at top level": at_top_level(RBF),
    "at top level, without a width": {k: v for k, v in at_top_level(RBF).items() if k != "feature_dim"},
    "at top level, version 1": at_top_level(RBF, format_version=1),
    "at top level, with classifiers": at_top_level(RBF, **STAND_INS),
    "in svc, with classifiers": RBF | STAND_INS,
    "in svc, with others": RBF | at_top_level(LINEAR, kernel_type="Rbf", gamma=0.1, intercept=[9.0] * 3),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_reads_and_restores(name):
    model = ACCEPTED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = converted(model, "native/2")
    with Selector.load(data) as selector, loaded(RBF, "native/2") as other:
        assert selector.metadata.semantics == "native/2"
        assert selector.select_batch(QUERIES) == other.select_batch(QUERIES)
    ignored = {*STAND_INS} | ({"support_vectors", "dual_coef", "intercept", "n_support"} if "svc" in model else set())
    assert json.loads(to_json(data)) == {field: value for field, value in model.items() if field not in ignored}


ONE_AGAINST_REST = svm([linear_classifier("a", [1.0, 2.0], rho=0.5)], kernel_type="Linear")


@pytest.mark.parametrize("fields", [{}, {"format_version": 1}, {"support_vectors": [], "dual_coef": None}])
def test_older_files_without_an_svc_are_picked_by_the_first_rules(fields):
    with pytest.warns(DocumentWarning, match=r"\$: lacks what native/2 picks by, and picks by native/1"):
        estimator = load_estimator(encoded(ONE_AGAINST_REST | fields), semantics="native/2")
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.metadata.semantics == "native/1"


def edited(model, **fields):
    """The model with other parameters."""
    return model | {"svc": model["svc"] | fields}


def without(model, *names):
    return {name: value for name, value in model.items() if name not in names}


S = len(RBF["svc"]["support_vectors"])
ONE_NUMBER = "expected `float` > 0"
REFUSED = {
    "no svc": (without(RBF, "svc"), "$.svc: expected support_vectors, dual_coef, intercept, n_support, which a file"),
    "a null svc": (RBF | {"svc": None}, "$.svc: expected support_vectors"),
    "version 2 at top level": (at_top_level(RBF, format_version=2), "$.svc: expected support_vectors"),
    "no intercepts in it": (
        RBF | {"svc": without(RBF["svc"], "intercept")},
        "$.svc: object missing required field `intercept`",
    ),
    "no intercepts at top level": (without(at_top_level(RBF), "intercept"), "$.intercept: expected 3 values"),
    "nothing to pick by": (
        without(ONE_AGAINST_REST, "linear_classifiers"),
        "$: expected at least one of linear_classifiers or rbf_classifiers",
    ),
    "no names": (without(RBF, "model_names"), "$: object missing required field `model_names`"),
    "one name": (RBF | {"model_names": ["a"]}, "$.model_names: expected `array` of length >= 2"),
    "a name twice": (RBF | {"model_names": ["a", "b", "a"]}, "$.model_names[2]: expected each model once, got 'a'"),
    "an empty name": (RBF | {"model_names": ["a", "b", ""]}, "$.model_names[2]: expected `str`"),
    "no kernel": (without(RBF, "kernel_type"), "$: object missing required field `kernel_type`"),
    "another kernel": (RBF | {"kernel_type": "rbf"}, "$.kernel_type: expected Rbf or Linear, got 'rbf'"),
    "no gamma": (without(RBF, "gamma"), "$: object missing required field `gamma`"),
    "gamma of 0": (RBF | {"gamma": 0}, f"$.gamma: {ONE_NUMBER}"),
    "gamma below 0": (LINEAR | {"gamma": -1.0}, f"$.gamma: {ONE_NUMBER}"),
    "gamma of infinity": (encoded(RBF | {"gamma": "X"}).replace(b'"X"', b"1e999"), "$.gamma: expected a finite number"),
    "scaled queries": (RBF | {"input_normalization": "l2"}, "$.input_normalization: expected none, got 'l2'"),
    "another width": (RBF | {"feature_dim": D + 1}, f"$.feature_dim: expected {D}, the columns of $.svc.support_vect"),
    "no width": (without(RBF, "feature_dim"), f"$.feature_dim: expected {D}, the columns of $.svc.support_vectors, wh"),
    "no width but null": (RBF | {"feature_dim": None}, f"$.feature_dim: expected {D}, the columns of"),
    "no support vectors": (edited(RBF, support_vectors=[], n_support=[0] * 3), "$.svc.support_vectors: expected at"),
    "ragged support vectors": (
        edited(RBF, support_vectors=[[1.0], [1.0, 2.0]]),
        "$.svc.support_vectors[1]: expected 1 numbers, got 2",
    ),
    "other counts": (edited(RBF, n_support=[1, 1, 1]), "$.svc.support_vectors: expected 3 values"),
    "too few counts": (edited(RBF, n_support=[S, 0]), "$.svc.n_support: expected 3 values, one per class, got 2"),
    "a negative count": (edited(RBF, n_support=[S + 1, -1, 0]), "$.svc.n_support[1]: expected `int` >= 0"),
    "too few rows of coefficients": (edited(RBF, dual_coef=[[1.0] * S]), "$.svc.dual_coef: expected 2 values"),
    "too few coefficients": (
        edited(RBF, dual_coef=[[1.0] * S, [1.0]]),
        f"$.svc.dual_coef[1]: expected {S} values, one per row of $.svc.support_vectors, got 1",
    ),
    "too few intercepts": (edited(RBF, intercept=[1.0]), "$.svc.intercept: expected 3 values, one per pair"),
    "no number": (edited(RBF, intercept=[1.0, 2.0, None]), "$.svc.intercept[2]: expected `float`, got `null`"),
    "no object": (RBF | {"svc": [1]}, "$.svc: expected `object | null`, got `array`"),
}


@pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(model, message):
    with pytest.raises(DocumentError) as caught:
        load_estimator(model if isinstance(model, bytes) else encoded(model), semantics="native/2")
    assert str(caught.value).startswith(f"<bytes>: {message}")
    assert len(str(caught.value).splitlines()) == 1


def read(path):
    return msgspec.json.decode(gzip.decompress(path.read_bytes()))


def recorded():
    """Files, queries, and which of the original's picks count."""
    for path in sorted((SHARED / "generation-2").glob("*.json.gz")):
        content = read(path)
        for name, entry in content["artifacts"].items():
            if name.startswith("svm") and name != "svm_no_classifiers":  # the original picks the first name: refused
                yield pytest.param(entry["artifact"], content["queries"], entry["expected"], entry.get("near"), id=name)
    for path in sorted(SHARED.glob("*/*/expected-generation-2.json.gz")):
        picks, queries = read(path)["expected"], read(path.parent / "expected.json.gz")["queries"]
        model = read(path.parent / "svm_model.json.gz")
        yield pytest.param(model, queries, picks["svm"], picks["svm_near"], id=path.parent.name)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded answers")
@pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
@pytest.mark.parametrize(("model", "queries", "expected", "near"), list(recorded()) if SHARED.exists() else [])
def test_picks_as_the_original(model, queries, expected, near):
    counted = ~np.array(near if near is not None else [False] * len(queries))
    with loaded(model, "native/2") as selector:
        picked = np.array(selector.select_batch(queries))
        assert [selector.select(query) for query in queries] == list(picked)
    np.testing.assert_array_equal(picked[counted], np.array(expected)[counted])
