"""Files that are no models of today's: named as what they are, and in folders passed over where they are none."""

import json
import shutil
from pathlib import Path

import pytest

from modelpick.converter import load_estimator
from modelpick.runtime import DocumentError
from support.catalogue import rbf_classifier, svc_parameters, svm
from support.command import modelpick

MODELS = Path(__file__).parents[3] / "models"
RECORD = {"query_embedding": [1.0], "selected_model": "a", "response_latency_ns": 1, "response_quality": 1.0}
EARLIEST = {
    "knn": {"version": "1.0", "algorithm": "knn", "k": 5, "training": [RECORD], "metadata": {}},
    "kmeans": {
        **{"version": "1.0", "algorithm": "kmeans", "num_clusters": 1, "centroids": [[1.0]], "cluster_models": ["a"]},
        **{"training": [RECORD], "trained": True},
    },
    "svm": {"version": "1.0", "algorithm": "svm", "kernel": "rbf", "gamma": 1, "training": [RECORD], "trained": True},
}


@pytest.mark.parametrize("name", ["knn", "svm"])
def test_files_of_the_earliest_form_are_named_as_such(name):
    with pytest.raises(DocumentError, match=r"\$\.training: expected a trained model: .* router's earliest form"):
        load_estimator(json.dumps(EARLIEST[name] | {"trained": True}).encode())


EXACT = svm(
    model_names=["a", "b"],
    kernel_type="Rbf",
    gamma=1.0,
    feature_dim=2,
    **svc_parameters([[0.0, 1.0], [1.0, 0.0]], [[1.0, -1.0]], [0.0], [1, 1]),
)
STAND_IN = rbf_classifier("a", [[1.0]], [1.0])


def test_an_svm_with_exact_parameters_alone_names_the_rules_that_read_it():
    with pytest.raises(DocumentError, match=r"--semantics native/2 picks by its SVC$"):
        load_estimator(json.dumps(EXACT).encode())
    assert load_estimator(json.dumps(EXACT).encode(), semantics="native/2").semantics == "native/2"


def test_stand_ins_of_another_width_than_the_file_says_are_refused():
    data = json.dumps(EXACT | {"rbf_classifiers": [STAND_IN]}).encode()
    with pytest.raises(DocumentError, match=r"\$\.feature_dim: expected 1, the columns of \$\.rbf_classifiers\[0\]"):
        load_estimator(data)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "models"
    made.mkdir()
    shutil.copy(MODELS / "kmeans.json", made)
    (made / "evaluation.json").write_text('{"policies": [], "queries": 3}')
    (made / "verification.json").write_text("[]")
    return made


def test_a_folder_is_converted_but_for_json_that_is_no_model(folder, tmp_path):
    done = modelpick("convert", folder, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kmeans.onnx"]
    passed = [line for line in done.stderr.splitlines() if "passed over" in line]
    names = [Path(line.split(":")[0]).name for line in passed]
    assert names == ["evaluation.json", "verification.json"]


@pytest.mark.parametrize(
    "contents", ['{"algorithm": "kmean"}', '{"algorithm": ', "", '{"algorithm": "knn", "trained": true}']
)
def test_what_means_to_be_a_model_is_not_passed_over(contents, folder, tmp_path):
    (folder / "bad.json").write_text(contents)
    done = modelpick("convert", folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert f"error: {folder / 'bad.json'}: " in done.stderr
    assert (tmp_path / "out/kmeans.onnx").is_file()


def test_strictly_everything_must_be_a_model(folder, tmp_path):
    done = modelpick("convert", folder, "-o", tmp_path / "out", "--strict")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 2
    assert "passed over" not in done.stderr


def test_a_file_that_is_named_must_be_a_model_and_a_folder_hold_one(folder, tmp_path):
    assert modelpick("convert", folder / "evaluation.json", "-o", tmp_path / "out").returncode == 2
    (folder / "kmeans.json").unlink()
    done = modelpick("convert", folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "expected at least one JSON model in this folder, got 2 other files" in done.stderr
