"""Models that are added to a trained selector, from their records alone."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.formats.questions import digests, from_field
from modelpick.converter.training.adding import add_models
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, Selector
from support.command import modelpick
from support.recorded import ROOT, encoded, routed

GAMMA, RIDGE = 0.7, 0.5
QUERIES = np.random.default_rng(8).normal(size=(30, 6))


def lines(models, questions, **without):
    """Records of some models on some of the questions."""
    rows = [json.loads(line) for line in routed(60).splitlines()]
    return [
        {key: value for key, value in row.items() if key not in without}
        for row in rows
        if row["model_name"] in models and int(row["query"][1:]) in questions
    ]


def trained(rows, algorithm="kernel_ridge", semantics="native"):
    training = training_data(read_records(encoded(*rows)), Settings(gamma=GAMMA, ridge=RIDGE, k=7), one_hot=False)
    return json.dumps(train(training, trainer(algorithm, semantics=semantics))).encode()


OLD = lines(("cheap", "bad"), range(60))
NEW = lines(("dear",), range(40, 55))


def test_kernel_ridge_adds_what_the_records_exceed_the_average_model_by():
    before = trained(OLD)
    added = add_models(before, read_records(encoded(*NEW)))
    model = json.loads(before)
    vectors = np.array(model["support_vectors"])
    x = np.array([row["embedding"] for row in NEW])
    x, z = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, QUERIES))

    def kernel(left, right):
        return np.exp(-GAMMA * ((left[:, None] - right) ** 2).sum(axis=2))

    estimator, old = load_estimator(json.dumps(added).encode()), load_estimator(before)
    names = [*estimator.classes_]
    for place, (kind, field) in enumerate((("quality", "performance"), ("cost", "cost"))):
        outcome = model["outcomes"][kind]
        shared, average = np.mean(outcome["dual_coef"], axis=1), np.mean(outcome["intercept"])
        rest = np.array([row[field] for row in NEW]) - average - kernel(x, vectors) @ shared
        own = rest.sum() / (len(rest) + 10)
        # Of all functions in the span of the support vectors, the one of the least penalised error.
        a, between = kernel(x, vectors), kernel(vectors, vectors)
        normal = a.T @ a + RIDGE * (between + 1e-6 * np.eye(len(vectors)))
        dual = np.linalg.lstsq(normal, a.T @ (rest - own), rcond=None)[0]
        expected = average + own + kernel(z, vectors) @ (shared + dual)
        found = estimator.predict_outcomes(QUERIES)[:, place, names.index("dear")]
        np.testing.assert_allclose(found, np.maximum(expected, -np.inf if kind == "quality" else 0.0), atol=1e-4)
    np.testing.assert_array_equal(estimator.predict_outcomes(QUERIES)[:, :2, :2], old.predict_outcomes(QUERIES)[:, :2])
    assert added["default"] == "dear"
    assert "operating_points" not in added
    assert set(from_field(added["training_questions"])) == set(digests(f"q{number}" for number in range(60)))


def test_knn_adds_rows_as_training_on_all_records_would():
    added = json.dumps(add_models(trained(OLD, "knn", "queries"), read_records(encoded(*NEW)))).encode()
    expected = trained([*OLD, *NEW], "knn", "queries")
    found, whole = (load_estimator(model, semantics="queries") for model in (added, expected))
    order = [list(found.classes_).index(name) for name in whole.classes_]
    left, right = (estimator.predict_outcomes(QUERIES) for estimator in (found, whole))
    np.testing.assert_allclose(left[:, :2, order], right[:, :2], atol=1e-12)
    assert json.loads(added)["num_samples"] == len(OLD) + len(NEW)


@pytest.mark.parametrize("algorithm", ["kernel_ridge", "knn"])
def test_the_command_adds_all_new_models_and_what_it_writes_converts(algorithm, tmp_path):
    (tmp_path / "old.json").write_bytes(trained(OLD, algorithm))
    twin = [row | {"model_name": "twin"} for row in NEW]
    (tmp_path / "new.jsonl").write_bytes(encoded(*NEW, *twin, *OLD[:5]))
    arguments = [tmp_path / "old.json", "--data", tmp_path / "new.jsonl", "-o"]
    assert modelpick("add", *arguments, tmp_path / "more.json").returncode == 0
    (tmp_path / "one.jsonl").write_bytes(encoded(*NEW))
    done = modelpick("add", arguments[0], "--data", tmp_path / "one.jsonl", "-o", tmp_path / "one.json")
    assert "warning" not in done.stderr
    assert convert(tmp_path / "more.json", tmp_path / "more.onnx", samples=20).passed
    with Selector.load(tmp_path / "more.onnx") as selector:
        assert set(selector.model_names) == {"cheap", "bad", "dear", "twin"}
        assert selector.points == ()
    done = modelpick("add", *arguments, tmp_path / "new.jsonl")
    assert done.returncode == 2


def test_refuses_what_cannot_be_added():
    old, new = trained(OLD), read_records(encoded(*NEW))
    with pytest.raises(DocumentError, match="expected records of a model that it does not know, got cheap, bad"):
        add_models(old, read_records(encoded(*OLD)))
    without = read_records(encoded(*lines(("dear",), range(40, 55), cost=True)))
    for algorithm, semantics in (("kernel_ridge", "native"), ("knn", "queries")):
        with pytest.raises(DocumentError, match="expected the cost of answers of dear, which the file predicts"):
            add_models(trained(OLD, algorithm, semantics), without)
    with pytest.raises(DocumentError, match="expected embeddings for vectors of 6, got 5 numbers"):
        add_models(old, new._replace(embeddings=new.embeddings[:, :5]))
    with pytest.raises(DocumentError, match="expected kernel_ridge or knn, got mlp native/1"):
        add_models(ROOT / "models/mlp.json", new)
