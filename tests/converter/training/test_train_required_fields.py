"""What the original's readers require of a file stands in all that are trained, shipped, or restored."""

import json
from functools import cache

import pytest

from modelpick.converter import to_json
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from support.artifacts import converted
from support.recorded import ROOT, routed

ALWAYS = {"algorithm", "trained"}
LINEAR = {"model_name", "weights", "rho"}
RBF = {"model_name", "alpha", "support_vectors", "rho", "gamma"}
# Algorithm and version of the files -> the place of an object, [] for each in a list -> fields without which the
# readers, the router's or its training code's, end with an error.
REQUIRED = {
    ("knn", 1): {"": ALWAYS | {"k", "embeddings", "labels", "qualities", "latencies"}},
    ("knn", 2): {"": ALWAYS | {"format_version", "k", "embeddings", "labels", "qualities", "latencies"}},
    ("kmeans", 1): {"": ALWAYS | {"num_clusters", "centroids", "cluster_models"}},
    ("kmeans", 2): {
        "": {
            *{"algorithm", "format_version", "target_contract", "objective", "candidate_set", "feature", "clustering"},
            *{"distance", "tie_break", "num_clusters", "centroids", "cluster_sizes", "scores", "support", "fallback"},
            "cluster_models",
        },
        "objective": {"id", "version", "weights", "latency_scale_ms", "cost_scale"},
        "objective.weights": {"quality", "latency", "cost"},
        "candidate_set": {"id", "models"},
        "feature": {"dim", "normalization"},
        "clustering": {"requested_k", "effective_k", "seed", "n_init", "max_iter", "tol"},
        "fallback": {"min_support", "global_scores", "global_support"},
    },
    ("svm", 1): {
        "": ALWAYS | {"model_names", "kernel_type", "gamma"},
        "linear_classifiers[]": LINEAR,
        "rbf_classifiers[]": RBF,
    },
    ("svm", 2): {
        "": ALWAYS | {"format_version", "model_names", "kernel_type", "gamma", "feature_dim", "svc"},
        "svc": {"support_vectors", "dual_coef", "intercept", "n_support"},
    },
    ("mlp", 1): {
        "": ALWAYS | {"model_names", "feature_dim", "n_classes", "hidden_sizes", "dropout", "layers"},
        "layers[linear]": {"in_features", "out_features", "weight"},
        "layers[batch_norm]": {"num_features"},
        "layers[dropout]": {"p"},
    },
    ("hiershrink", 1): {
        "": {"algorithm", "coarse_centroids", "fine_centroids", "training"},
        "training[]": {
            *{"query_embedding", "selected_model", "response_quality", "response_latency_ns", "success", "timestamp"},
        },
    },
}
REQUIRED["mlp", 2] = REQUIRED["mlp", 1] | {"": REQUIRED["mlp", 1][""] | {"format_version"}}


# What each row of the table that the original reads trains, and the rules by which it is read.
TRAINED = {
    f"{row.algorithm} {row.semantics}": row for row in TABLE.values() if row.fit and row.algorithm != "kernel_ridge"
}
NAMES = [*TRAINED, *(path.name for path in sorted((ROOT / "models").glob("*.json")))]


@cache
def file(name):
    if name not in TRAINED:
        return json.loads((ROOT / "models" / name).read_text())
    return train(training_data(read_records(routed(30)), Settings(clusters=4)), TRAINED[name])


def lacking(model):
    """Return each required field that a file lacks, with its place."""
    for place, fields in REQUIRED[model["algorithm"], model.get("format_version", 1)].items():
        path, _, kind = place.rstrip("]").partition("[")
        objects = [model]
        for step in filter(None, path.split(".")):
            objects = [found[step] for found in objects if step in found]
        if place.endswith("]"):
            objects = [one for found in objects for one in found if not kind or one["type"] == kind]
        yield from (f"{place}.{field}" for one in objects for field in fields - one.keys())


@pytest.mark.parametrize("name", NAMES)
def test_files_hold_what_the_readers_require(name):
    assert not set(lacking(file(name)))


@pytest.mark.parametrize("name", NAMES)
def test_so_does_what_an_artifact_restores(name):
    model = file(name)
    semantics = TRAINED[name].semantics if name in TRAINED else "native"
    restored = json.loads(to_json(converted(model, semantics)))
    # What tells nothing of picks is not restored: success and time of records, the columns' defaults.
    assert {field.rpartition(".")[2] for field in lacking(restored)} <= {"success", "timestamp"}
