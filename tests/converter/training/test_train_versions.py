"""Files of version 2 that training writes, held against the original's recipe in plain numpy."""

import json

import numpy as np
import pytest

from modelpick.converter import load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from support.command import modelpick
from support.recorded import encoded, record

RNG = np.random.default_rng(5)
MODELS = ["small", "large", "middle"]


def records():
    """Return records in two clear groups; some lack seconds or cost, some failed, some stand twice, one model lacks."""
    for query in range(40):
        embedding = (RNG.normal(size=4) * 0.1 + (5.0 if query % 2 else -5.0)).tolist()
        for place, model in enumerate(MODELS):
            if model == "middle" and query % 2:
                continue
            fields = {"performance": round(RNG.random(), 3), "response_time": 2.0 + place, "cost": 0.01 * (place + 1)}
            if (query + place) % 7 == 0:
                del fields["cost"]
            if (query + place) % 5 == 0:
                del fields["response_time"]
            if (query + 2 * place) % 6 == 0:
                fields["success"] = False
            for _ in range(1 + (query == 3)):
                yield record(query=f"q{query}", model_name=model, embedding=embedding, **fields)


RECORDS = [json.loads(line) for line in encoded(*records()).decode().splitlines()]


def plain_utility(quality, latency, cost, latency_scale, cost_scale):
    """Return the original's objective for each record, in order: unknown seconds and costs are the model's mean."""
    cells = {}
    for r in RECORDS:
        cells.setdefault((r["query"], r["model_name"]), r)
    utilities = {}
    for (query, model), r in cells.items():
        of_model = [cell for (_, name), cell in cells.items() if name == model]

        def known(field, r=r, of_model=of_model):
            return r.get(field, np.mean([cell[field] for cell in of_model if field in cell]))

        speed, thrift = (
            latency / (1 + known("response_time") * 1000 / latency_scale),
            cost / (1 + known("cost") / cost_scale),
        )
        failed = r.get("success") is False
        utilities[query, model] = 0.0 if failed else quality * r["performance"] + speed + thrift
    return utilities


@pytest.mark.parametrize(
    "objective", [(0.9, 0.1, 0.0, 1e4, 1.0), (0.9, 0.1, 3.0, 1e4, 1.0), (0.5, 0.0, 0.5, 900.0, 0.01)]
)
@pytest.mark.parametrize("min_support", [1, 20, 21])
def test_clusters_are_scored_by_the_originals_objective(objective, min_support):
    quality, latency, cost, latency_scale, cost_scale = objective
    settings = Settings(
        clusters=2,
        min_support=min_support,
        objective_quality=quality,
        objective_latency=latency,
        objective_cost=cost,
        latency_scale_ms=latency_scale,
        cost_scale=cost_scale,
    )
    training = training_data(read_records(encoded(*RECORDS)), settings)
    document = train(training, TABLE["kmeans", "native/2"])
    names, utilities = sorted(MODELS), plain_utility(*objective)
    assert document["candidate_set"]["models"] == names
    assert document["objective"]["weights"] == {"quality": quality, "latency": latency, "cost": cost}
    assert (document["objective"]["latency_scale_ms"], document["objective"]["cost_scale"]) == objective[3:]
    overall = [np.mean([u for (_, m), u in utilities.items() if m == name]) for name in names]
    np.testing.assert_allclose(document["fallback"]["global_scores"], overall, rtol=1e-12)
    odd = int(document["centroids"][0][0] < 0)  # which cluster the queries of odd number are
    for cluster in (0, 1):
        for column, name in enumerate(names):
            inside = [u for (q, m), u in utilities.items() if m == name and int(q[1:]) % 2 == (cluster == odd)]
            assert document["support"][cluster][column] == len(inside)
            expected = np.mean(inside) if len(inside) >= min_support else overall[column]
            np.testing.assert_allclose(document["scores"][cluster][column], expected, rtol=1e-12)
    load_estimator(json.dumps(document).encode())


def test_the_default_objective_has_the_originals_id():
    document = train(training_data(read_records(encoded(*RECORDS))), TABLE["kmeans", "native/2"])
    assert document["objective"]["id"] == "937e3622d5660e22"


def test_one_model_that_is_best_on_all_queries_is_an_svc_that_always_picks_it():
    data = encoded(
        *(
            record(query=f"q{query}", model_name=model, performance=quality, embedding=[query, 1.0])
            for query in range(8)
            for model, quality in (("good", 0.9), ("bad", 0.1), ("worse", 0.0))
        )
    )
    document = train(training_data(read_records(data)), TABLE["svm", "native/2"])
    assert document["model_names"] == ["good", "bad", "worse"]
    estimator = load_estimator(json.dumps(document).encode())
    assert set(estimator.predict(RNG.normal(size=(30, 16)))) == {"good"}


def test_what_cannot_be_trained_is_left_out_and_nothing_is_half_written(tmp_path):
    data = encoded(*(record(query=f"q{q}", model_name="only", performance=0.5, embedding=[q, 1.0]) for q in range(12)))
    (tmp_path / "r.jsonl").write_bytes(data)
    done = modelpick("train", "--data", tmp_path / "r.jsonl", "-o", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert "warning: left out: svm: expected records of two models or more, got 'only' alone" in done.stderr
    written = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert written == [
        "hiershrink_model.json",
        "kernel_ridge_model.json",
        "kmeans_model.json",
        "knn_model.json",
        "mlp_model.json",
    ]
    done = modelpick(
        "train", "--data", tmp_path / "r.jsonl", "-o", tmp_path / "o", "--algorithm", "knn", "--algorithm", "svm"
    )
    assert done.returncode == 2
    assert not (tmp_path / "o").exists()
