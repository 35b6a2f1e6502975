"""The command `inspect`."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import fit, read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import Selector
from support import command
from support.artifacts import converted
from support.narrow import KMEANS, SMALL
from support.recorded import encoded, record, routed


@pytest.mark.parametrize("name", SMALL)
def test_inspects(small, name):
    done = small("inspect", f"{name}.onnx", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    entries = json.loads(done.stdout)
    with Selector.load(f"{name}.onnx") as selector:
        assert entries == selector.metadata.raw
    assert list(entries) == sorted(entries)
    assert len(done.stdout.splitlines()) == 1

    table = small("inspect", f"{name}.onnx", "--raw")
    assert (table.returncode, table.stderr) == (0, "")
    shown = [[cell.strip() for cell in line.split("│")[1:3]] for line in table.stdout.splitlines() if "│" in line]
    values = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in entries.values()]
    assert [key for key, _ in shown if key] == list(entries)
    assert all(value in table.stdout for value in values if len(value) < 60)


@pytest.mark.parametrize("name", ["[red]a", "a[/b]", "a[b]", ":smile:", "a │ b", "\\[a]"])
def test_inspect_shows_names_as_they_are(modelpick, name):
    Path("model.onnx").write_bytes(converted(KMEANS | {"cluster_models": [name, "b"]}))
    done = modelpick("inspect", "model.onnx", "--raw")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(json.dumps([name, "b"], ensure_ascii=False)) == 2
    assert f"2: {name} and b" in modelpick("inspect", "model.onnx").stdout


@pytest.mark.parametrize(("algorithm", "semantics"), [("kernel_ridge", "native"), ("knn", "queries")])
def test_names_models_of_equal_predictions(modelpick, algorithm, semantics):
    quality = np.random.default_rng(0).random((60, 4))
    quality[:, 3] = quality[:, 1]
    lines = [
        record(query=f"q{i}", model_name=name, performance=value, embedding=[float(i), float(i % 7), 1.0])
        for i, of_models in enumerate(quality.tolist())
        for name, value in zip("abcd", of_models, strict=True)
    ]
    training = training_data(read_records(encoded(*lines)), one_hot=False)
    document = json.dumps(train(training, trainer(algorithm, semantics=semantics))).encode()
    Path("model.onnx").write_bytes(converted(document, semantics=semantics))
    lines = modelpick("inspect", "model.onnx").stdout.splitlines()
    assert [line for line in lines if "same" in line] == ["d: the same predictions as b, up to rounding"]
    with Selector.load("model.onnx") as selector:
        predicted = selector.predict_outcomes(np.random.default_rng(1).normal(size=(50, 3)))
    np.testing.assert_allclose(predicted[..., 1], predicted[..., 3], atol=1e-12)


def test_shows_a_card(modelpick, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    records = read_records(routed(60, dear=0.6))
    fit(records, "router.onnx")
    os.utime("router.onnx", (0, 86_400))
    lines = modelpick("inspect", "router.onnx").stdout.splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert re.fullmatch(r"router\.onnx: a selector, 0\.\d\d MB, written 1970-01-0[12] \d\d:\d\d \S+", lines[0])
    card = {line[:17].strip(): line[17:].strip() for line in lines[1:]}
    with Selector.load("router.onnx") as selector:
        digest, points = selector.metadata.source_sha256, selector.points
    assert card["algorithm"] == "kernel_ridge: outcomes that a kernel predicts"
    assert card["rules"] == "native/2: our own"
    assert card["models"] == "3: cheap, dear and bad"
    assert card["best on average"] == "dear"
    assert card["predicts"] == "quality, cost, seconds"
    assert card["request"] == "an embedding of 6 numbers"
    assert (card["encoder"], card["rows"]) == ("—", "48")
    assert card["made of"] == f"a JSON model of SHA-256 {digest[:12]}"
    assert card["made by"].startswith("modelpick ")
    (place,) = (place for place, line in enumerate(lines) if " operating points, compared with " in line)
    assert lines[place].startswith(f"{len(points)} operating points, compared with always calling dear")
    shown = [line.partition("  ")[0] for line in lines[place + 3 :]]
    assert shown == ["by default", "keep=1", "keep=0.95", "keep=0.9"]
    best = max(points, key=lambda point: point.quality.mean)
    assert f"{100 * best.kept.mean:.0f} % [{100 * best.kept.low:.0f}, {100 * best.kept.high:.0f}]" in lines[place + 3]


def test_shows_a_card_of_an_encoder(made):
    printed = command.modelpick("inspect", made / "e.onnx").stdout
    assert ": an encoder of texts, 0." in printed
    for line in (
        "kind +static vectors",
        r"embedding +\d+ numbers, of unit length",
        r"longest +512 tokens",
    ):
        assert re.search(f"^{line} *$", printed, re.MULTILINE), (line, printed)
    printed = command.modelpick("inspect", made / "text.onnx").stdout
    assert re.search(r"^request +\d+ numbers *$", printed, re.MULTILINE), printed
    assert re.search(r"^encoder +encoder \(.*\) *$", printed, re.MULTILINE), printed
