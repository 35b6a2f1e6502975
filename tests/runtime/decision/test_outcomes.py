"""A kind of outcome is a row of the table, and a field of what records and models are read from: one is added."""

import json
import subprocess
import sys

import numpy as np
import pytest

from support.recorded import ROOT

KEPT = ROOT / "tests/data/format-2/kernel_ridge_2.onnx"
# Module -> what is written before which line of it, as the recipe has it.
ADDED = {
    "modelpick.runtime.decision.outcomes": (
        "PRICES: Final",
        'KINDS += (Kind("tokens", {"tokens": 1}, "tokens", "tokens per answer", "token", "tokens_weight", "tokens"),)',
    ),
    "modelpick.converter.training.record": (
        "    cost: Annotated",
        "    tokens: Annotated[float, Meta(ge=0)] | None = None",
    ),
    "modelpick.converter.algorithms.knn.forms": (
        "    costs: list",
        "    tokens: list[float | None] | UnsetType = UNSET",
    ),
}
# From records to a pick, in a process that reads the modules so.
STEPS = """
import json, sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

ADDED = json.loads(sys.argv[1])

class Edited(SourceFileLoader):
    def get_code(self, name):
        before, line = ADDED[name]
        found, place, rest = self.get_data(self.path).decode().partition(before)
        assert place, name
        return compile(found + line + chr(10) + place + rest, self.path, "exec")

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        if name in ADDED:
            spec.loader = Edited(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder)

from typer.testing import CliRunner
from modelpick.converter import convert, read_records, train, training_data
from modelpick.converter.cli.app import app
from modelpick.converter.training.train import trainer
from modelpick.runtime import FeatureError, Objective, Selector

facts = {}
training = training_data(read_records("records.jsonl"), one_hot=False)
for row in (trainer("kernel_ridge"), trainer("knn", semantics="queries")):
    Path("model.json").write_text(json.dumps(train(training, row)))
    convert("model.json", f"{row.algorithm}.onnx", semantics=row.unversioned)
    query, dear = [1.0, 0.0], Objective(tokens_weight=0.01)
    with Selector.load(f"{row.algorithm}.onnx") as selector:
        facts[row.algorithm] = {
            "predicted": selector.explain(query)["outcomes"]["long"],
            "picks": [selector.select(query), selector.select(query, objective=dear)],
            "given": selector.select(query, objective=dear, tokens={"long": 0.0, "short": 900.0}),
            "points": [point.outcomes["tokens"].mean for point in selector.points],
            "single": selector.metadata.best_single.outcomes["tokens"],
        }
with Selector.load(sys.argv[2]) as selector:
    query, (first, *_, last) = [1.0] * selector.n_features_in_, selector.model_names
    facts["earlier"] = []
    for best in (first, last):
        tokens = dict.fromkeys(selector.model_names, 900.0) | {best: 0.0}
        why = selector.explain(query, objective=dear, tokens=tokens)
        facts["earlier"].append([selector.select(query, objective=dear, tokens=tokens) == best, why["outcomes"][best]])
    try:
        selector.select(query, objective=dear)
    except FeatureError as error:
        facts["lacking"] = str(error)
arguments = ["evaluate", "kernel_ridge.onnx", "--data", "records.jsonl", "--tokens-weight", "0.01", "--full"]
for name, option in (("printed", []), ("json", ["--json"])):
    done = CliRunner().invoke(app, arguments + option)
    facts[name] = done.stdout if done.exit_code == 0 else done.output
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What a process finds whose table has one more kind."""
    folder = tmp_path_factory.mktemp("tokens")
    rng = np.random.default_rng(0)
    records = []
    for number in range(60):
        shared = {"query": f"q{number}", "category": "math", "embedding": rng.normal(size=2).tolist()}
        for model, quality, tokens in (("long", 0.9, 400), ("short", 0.6, 50)):
            fields = {"model_name": model, "performance": quality + 0.1 * rng.random(), "cost": 1.0 + rng.random()}
            records.append(shared | fields | {"tokens": tokens + rng.integers(9), "response_time": 1.0})
    (folder / "records.jsonl").write_text("\n".join(json.dumps(record, default=int) for record in records))
    command = [sys.executable, "-c", STEPS, json.dumps(ADDED), str(KEPT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("algorithm", ["kernel_ridge", "knn"])
def test_a_new_kind_goes_from_records_to_a_pick(facts, algorithm):
    found = facts[algorithm]
    assert found["predicted"]["tokens"] == pytest.approx(404, abs=20)  # drawn toward what all have
    assert found["picks"] == ["long", "short"]
    assert found["given"] == "long"
    assert found["single"] == pytest.approx(404, abs=4)
    assert min(found["points"]) >= 50
    assert max(found["points"]) <= 409


def test_artifacts_of_before_take_values_of_a_new_kind(facts):
    assert all(is_picked and outcomes["tokens"] == 0.0 for is_picked, outcomes in facts["earlier"])
    assert facts["lacking"] == "objective: expected tokens of a: the artifact predicts no tokens"


def test_a_new_kind_is_evaluated_and_printed(facts):
    results = {one["name"]: one for one in json.loads(facts["json"])["results"]}
    assert results["kernel_ridge"]["selections"] == {"long": 0.0, "short": 1.0}
    assert results["long"]["tokens"]["value"] == pytest.approx(404, abs=4)
    assert json.loads(facts["json"])["objective"] == {"cost_weight": 0.0, "seconds_weight": 0.0, "tokens_weight": 0.01}
    assert " tokens ┃" in facts["printed"]
