"""Training of support vector machines: as scikit-learn trains them, and where a model has no two sides to separate."""

import json

import numpy as np
import pytest
from sklearn.svm import SVC

from modelpick.converter import convert
from modelpick.converter.algorithms import TABLE
from modelpick.converter.algorithms.svm import training as svm_training
from modelpick.converter.artifact.restore import stored_points, to_json
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from support.recorded import encoded, record

ROWS = [row for row in TABLE.values() if row.algorithm == "svm" and row.fit]
RNG = np.random.default_rng(2)
# On each query b is the best model, and a and c are below the mean.
LINES = [
    record(query=f"q{i}", model_name=name, performance=quality, embedding=vector.tolist())
    for i, vector in enumerate(RNG.normal(size=(12, 4)))
    for name, quality in (("a", 0.2), ("b", 0.9), ("c", 0.3))
]


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("row", ROWS, ids=[row.semantics for row in ROWS])
def test_a_model_that_is_the_best_everywhere_is_always_picked(row, kernel):
    training = training_data(read_records(encoded(*LINES)), Settings(kernel=kernel), one_hot=False)
    estimator = row.fit(training)
    assert set(estimator.predict(RNG.normal(size=(20, 4)))) == {"b"}


def many(kernel="rbf"):
    """Eight models, of which two are equal; each question is an example of several."""
    quality = np.random.default_rng(3).random((40, 7))
    lines = [
        record(query=f"q{i}", model_name=name, performance=value, embedding=vector.tolist())
        for i, (vector, of_models) in enumerate(zip(RNG.normal(size=(40, 4)), quality.tolist(), strict=True))
        for name, value in zip("abcdefgh", [*of_models, of_models[-1]], strict=True)
    ]
    return training_data(read_records(encoded(*lines)), Settings(kernel=kernel), one_hot=False)


@pytest.mark.parametrize("kept", [svm_training.KEPT, 0])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_pairs_are_trained_as_an_svc_of_all_models(kernel, kept, monkeypatch):
    monkeypatch.setattr(svm_training, "KEPT", kept)
    training = many(kernel)
    (queries, models, weights), settings = training.examples(), training.settings
    svc = SVC(C=settings.C, gamma=settings.gamma, kernel=kernel).fit(training.features[queries], models, weights)
    found = train(training, trainer("svm"))["svc"]
    for name in ("support_vectors", "n_support", "dual_coef", "intercept"):
        np.testing.assert_allclose(found[name], getattr(svc, f"{name}_"), atol=2e-3, err_msg=name)  # libsvm's tolerance


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_question_that_supports_several_models_is_stored_once(kernel, tmp_path):
    training = many(kernel)
    document = json.loads(json.dumps(train(training, trainer("svm"))))
    convert(json.dumps(document).encode(), tmp_path / "svm.onnx")
    vectors = np.array(document["svc"]["support_vectors"])
    stored = stored_points(tmp_path / "svm.onnx")
    assert len(stored) == len(np.unique(vectors, axis=0)) < len(vectors)
    assert json.loads(to_json(tmp_path / "svm.onnx"))["svc"] == document["svc"]
