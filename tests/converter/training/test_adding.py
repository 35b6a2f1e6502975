"""Models that are added to a trained selector, from their records alone."""

import json

import numpy as np
import pytest
from scipy.optimize import nnls

from modelpick.converter import convert, load_estimator
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.formats.questions import digests, from_field
from modelpick.converter.training.adding import add_models
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, Selector
from modelpick.runtime.decision.shrinkage import deviations
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


def added_to(rows, new):
    """Fields of KNN by queries, trained on some records, with the new models of others."""
    return add_models(trained(rows, "knn", "queries"), read_records(encoded(*new)))


def rows_of(fields, name, columns=("qualities", "costs")):
    """Columns of a model's rows, by question: its embedding."""
    values = zip(fields["embeddings"], fields["labels"], *(fields[column] for column in columns), strict=True)
    return {tuple(embedding): rest for embedding, label, *rest in values if label == name}


def test_knn_that_votes_adds_rows_as_training_on_all_records_would():
    added = add_models(trained(OLD, "knn"), read_records(encoded(*NEW)))
    assert [row["model_name"] for row in [*OLD, *NEW]].count("dear") == added["labels"].count("dear")
    found, whole = (
        load_estimator(json.dumps(each).encode()) for each in (added, json.loads(trained([*OLD, *NEW], "knn")))
    )
    np.testing.assert_array_equal(found.predict(QUERIES), whole.predict(QUERIES))
    assert added["num_samples"] == len(OLD) + len(NEW)


def expected_by_pairs(rows, new, field):
    """Outcomes of a new model, by question: its best linear prediction, of variances from all pairs of questions."""
    vectors = np.array([row["embedding"] for row in rows[::2]])
    x = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    y = np.array([[row[field] for row in rows[model::2]] for model in range(2)]).T
    kernel = np.exp(-2.0 * ((x[:, None] - x) ** 2).sum(axis=2))
    split = deviations(y)
    excess = np.empty_like(y)
    for model, other in ((0, 1), (1, 0)):
        excess[:, model] = y[:, model] - split.base[other] - (y[:, other] - split.base[other]) / 2
    pairs = [(i, j, model) for i in range(len(x)) for j in range(len(x)) if i != j for model in range(2)]
    products = np.array([excess[i, model] * excess[j, model] for i, j, model in pairs])
    design = np.array([[1.0, kernel[i, j]] for i, j, _ in pairs])
    mean, smooth = nnls(design, products)[0]
    noise = (excess**2).mean() - mean - smooth
    place = {row["query"]: number for number, row in enumerate(rows[::2])}
    known = [place[row["query"]] for row in new]
    answers = np.array([row[field] for row in new])
    rest = answers - split.base.mean() - split.common[known]
    if field == "cost":
        mean += rest.mean() ** 2
    noise = max(noise, 1e-6 * (mean + smooth))
    prior = mean + smooth * kernel
    weights = np.linalg.solve(prior[np.ix_(known, known)] + noise * np.eye(len(known)), prior[known]).T
    likely = split.base.mean() + split.common + weights @ rest
    if field == "performance":
        likely -= np.sqrt((prior - weights @ prior[known]).mean())
    likely = np.clip(likely, min(y.min(), answers.min()), max(y.max(), answers.max()))
    likely[known] = answers
    return {tuple(vector): value for vector, value in zip(vectors.tolist(), likely, strict=True)}


def test_knn_by_queries_expects_the_answers_that_a_new_model_has_no_records_of():
    added = added_to(OLD, NEW)
    found = rows_of(added, "dear")
    for column, field in enumerate(("performance", "cost")):
        expected = expected_by_pairs(OLD, NEW, field)
        assert found.keys() == expected.keys()
        for question, value in expected.items():
            assert found[question][column] == pytest.approx(value, abs=1e-6)
    assert added["added"] == ["dear"]
    assert added["num_samples"] == len(OLD) + 60


def test_knn_by_queries_predicts_the_others_nearly_as_before_and_learns_the_new_models_price():
    equal = [*OLD, *(row | {"model_name": "as cheap"} for row in OLD if row["model_name"] == "cheap")]
    old = [row | {"cost": 1.0} for row in equal]
    before, after = (
        load_estimator(json.dumps(each).encode(), semantics="queries")
        for each in (json.loads(trained(old, "knn", "queries")), added_to(old, NEW))
    )
    left, right = (each.predict_outcomes(QUERIES) for each in (before, after))
    np.testing.assert_allclose(right[:, 0, :3], left[:, 0, :3], atol=0.02)
    dear = right[:, 1, list(after.classes_).index("dear")]
    np.testing.assert_allclose(dear, 10.0, rtol=0.05)


def test_what_was_expected_of_one_new_model_is_no_record_for_the_next():
    twin = [row | {"model_name": "twin"} for row in NEW]
    both = added_to(OLD, [*NEW, *twin])
    assert rows_of(both, "dear") == rows_of(both, "twin") == rows_of(added_to(OLD, NEW), "dear")
    assert both["added"] == ["dear", "twin"]


def test_missing_prices_are_expected_only_where_the_file_has_some():
    first = OLD[0]["query"]
    old = [{key: value for key, value in row.items() if row["query"] != first or key != "cost"} for row in OLD]
    new = [NEW[0] | {"cost": None}, *NEW[1:]]
    found = rows_of(added_to(old, new), "dear", ["costs", "seconds"])
    assert found[tuple(OLD[0]["embedding"])][0] is None
    assert found[tuple(NEW[0]["embedding"])][0] is None
    costs = [cost for cost, _ in found.values() if cost is not None]
    assert len(costs) == 58
    assert min(costs) > 5.0
    assert {seconds for _, seconds in found.values()} == {1.0}


def test_knn_by_queries_learns_from_questions_that_the_file_lacks():
    old, new = lines(("cheap", "bad"), range(40)), lines(("dear",), range(40, 60))
    found = rows_of(added_to(old, new), "dear")
    assert len(found) == 60
    filled = [quality for question, (quality, _) in found.items() if question in {tuple(r["embedding"]) for r in old}]
    assert len(filled) == 40
    assert np.mean(filled) == pytest.approx(0.85, abs=0.1)


def test_one_recorded_model_does_not_tell_how_models_differ():
    added = added_to(lines(("cheap",), range(60)), NEW)
    assert added["labels"].count("dear") == len(NEW)
    assert "added" not in added


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
