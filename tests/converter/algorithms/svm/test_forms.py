"""Files of support vector machines as the trainer writes them."""

import gzip
import json

import numpy as np
import pytest
from sklearn.svm import SVC

from modelpick.converter import load_estimator, to_artifact, to_json, verify
from modelpick.runtime import DocumentError, Selector
from support.artifacts import built, converted, encoded
from support.catalogue import MODELS, WIDTH, svc_parameters, svm
from support.recorded import SHARED

NAMES = ["a", "b", "c", "d"]
TRAINED = MODELS["svm", "trainer/1"]


def fitted(n_classes, kernel):
    """A file of an SVC that scikit-learn fits, and that SVC."""
    rng = np.random.default_rng(n_classes)
    X, y = rng.normal(size=(120, WIDTH)), rng.integers(n_classes, size=120)
    svc = SVC(kernel=kernel, gamma=0.1).fit(X, y)
    parameters = svc_parameters(svc.support_vectors_, svc.dual_coef_, svc.intercept_, svc.n_support_)
    names = {"model_names": NAMES[:n_classes], "classes": list(range(n_classes))}
    return svm(**names, kernel=kernel, gamma=0.1, **parameters), svc


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_the_trainers_svm_is_the_svc_in_the_file(n_classes, kernel):
    document, svc = fitted(n_classes, kernel)
    queries = np.random.default_rng(9).normal(size=(500, WIDTH))
    expected = [NAMES[index] for index in svc.predict(queries)]
    data = converted(document, "trainer")
    with Selector.load(data) as selector:
        assert selector.select_batch(queries) == [selector.select(query) for query in queries] == expected
        scores = selector.scores(queries[0])
        assert sum(scores.values()) == n_classes * (n_classes - 1) / 2
    assert list(built(document, "trainer").predict(queries)) == expected
    assert json.loads(to_json(data)) == document
    assert verify(data, encoded(document), samples=100).passed


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded models")
@pytest.mark.parametrize("name", ["real/trained-60", "real/trained-distinct-200", "conformance/synthetic-distinct"])
def test_the_trainers_svm_of_recorded_models(name):
    raw = gzip.decompress((SHARED / name / "svm_model.json.gz").read_bytes())
    queries = np.array(json.loads(gzip.decompress((SHARED / name / "expected.json.gz").read_bytes()))["queries"])
    estimator = load_estimator(raw, semantics="trainer")
    assert verify(to_artifact(estimator), raw, queries=queries).passed
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.select_batch(queries) == list(estimator.predict(queries))


REFUSED = {
    "no SVC": (
        svm(model_names=NAMES),
        "missing required field `kernel`",
    ),
    "another kernel": (TRAINED | {"kernel": "poly"}, r"\$\.kernel: expected rbf or linear"),
    "classes without names": (TRAINED | {"classes": [0, 1, 3]}, r"\$\.classes: expected two or more"),
    "a class twice": (TRAINED | {"classes": [0, 1, 1]}, r"\$\.classes: expected two or more"),
    "other counts": (TRAINED | {"n_support": [1, 1, 1]}, r"\$\.support_vectors: expected 3"),
    "too few coefficients": (TRAINED | {"dual_coef": [[1.0]] * 2}, r"\$\.dual_coef\[0\]: expected"),
    "too few rows of them": (TRAINED | {"dual_coef": []}, r"\$\.dual_coef: expected 2"),
    "too few intercepts": (TRAINED | {"intercept": [1.0]}, r"\$\.intercept: expected 3"),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(model, message):
    with pytest.raises(DocumentError, match=message) as caught:
        built(model, "trainer")
    assert len(str(caught.value).splitlines()) == 1
