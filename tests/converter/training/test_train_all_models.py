"""Every model of the records is a candidate of what is trained on them, one that no query is labelled with as well."""

import json

import numpy as np
import pytest
from sklearn.svm import SVC

from modelpick.converter import convert
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import Selector
from support.recorded import encoded, record

# Models in order of their first record; that of the highest number in a query's embedding is the best there.
POOLS = {
    "one": ["bad", "best", "worse"],
    "two": ["bad", "a", "worse", "b"],
    "three": ["a", "bad", "b", "c", "worse"],
    "one of two": ["bad", "best"],
}
LOSERS = {"bad": 0.0, "worse": 0.1}
# Algorithm, version of the file, rules by which it is converted.
TRAINED = [
    ("mlp", 1, "native"),
    ("mlp", 2, "native"),
    ("svm", 1, "native/2"),
    ("svm", 1, "native"),
    ("svm", 2, "native"),
]


def training_of(names):
    winners = [name for name in names if name not in LOSERS]
    lines = []
    for i, embedding in enumerate(np.random.default_rng(0).normal(size=(60, len(winners))).tolist()):
        best = winners[int(np.argmax(embedding))]
        lines += [
            record(query=f"q{i}", model_name=name, performance=LOSERS.get(name, 1.0 if name == best else 0.15))
            | {"embedding": embedding}
            for name in names
        ]
    training = training_data(read_records(encoded(*lines)), one_hot=False)
    return training, [winners[best] for best in training.features.argmax(axis=1)]


@pytest.mark.parametrize("names", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize(("algorithm", "version", "semantics"), TRAINED)
def test_all_models_of_the_records_are_candidates(names, algorithm, version, semantics, tmp_path):
    training, best = training_of(names)
    document = train(training, trainer(algorithm, version))
    if algorithm == "svm" and version == 1 and len(set(best)) == 1:
        assert "support_vectors" not in document  # no comparison: the classifiers alone decide
        semantics = "native"
    assert document["model_names"] == names
    convert(json.dumps(document).encode(), tmp_path / "a.onnx", semantics=semantics)
    with Selector.load(tmp_path / "a.onnx") as selector:
        picks = selector.select_batch(training.features)
        assert picks == selector.select_batch(training.features, candidates=names)
        assert set(selector.select_batch(training.features, candidates=["bad", names[-1]])) <= {"bad", names[-1]}
    assert set(picks) <= set(best)
    assert np.mean([pick == wanted for pick, wanted in zip(picks, best, strict=True)]) > 0.9


@pytest.mark.parametrize("names", [POOLS["two"], POOLS["three"]], ids=["two", "three"])
def test_an_svm_picks_as_the_svc_of_the_labels(names, tmp_path):
    training, _ = training_of(names)
    examples = training.examples()
    labels = np.array(names)[examples.models]
    svc = SVC(C=training.settings.C, gamma=training.settings.gamma)
    svc.fit(training.features[examples.queries], labels, examples.weights)
    convert(json.dumps(train(training, trainer("svm"))).encode(), tmp_path / "a.onnx")
    queries = np.random.default_rng(1).normal(size=(300, training.features.shape[1]))
    with Selector.load(tmp_path / "a.onnx") as selector:
        assert selector.select_batch(queries) == svc.predict(queries).tolist()
