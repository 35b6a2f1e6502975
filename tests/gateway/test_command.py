"""What examples/gateway says of the gateway is true of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from modelpick.gateway import app, command
from modelpick.gateway.config import Limits, read

EXAMPLES = Path(__file__).parents[2] / "examples/gateway"
PAGE = (EXAMPLES.parents[1] / "docs/gateway.md").read_text()


@pytest.mark.parametrize("call", [["-m", "modelpick.gateway"], ["-m", "modelpick", "serve"]])
def test_it_serves_without_the_converters_libraries(call, tmp_path):
    missing = "import sys; sys.modules.update(dict.fromkeys(('typer', 'sklearn', 'onnx', 'skl2onnx', 'msgspec')))"
    (tmp_path / "sitecustomize.py").write_text(missing)
    (tmp_path / "bad.toml").write_text("artifacts = 1")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    def run(*arguments):
        command, environment = [sys.executable, *call, *arguments], {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    done = run(str(tmp_path / "bad.toml"), "--port", "0")
    assert (done.returncode, done.stderr.startswith(f"error: {tmp_path}/bad.toml: artifacts: ")) == (2, True), (
        done.stderr
    )
    name = {2: "python -m modelpick.gateway", 3: "modelpick serve"}[len(call)]
    assert run("--help").stdout.startswith(f"usage: {name} ")


def test_the_sample_is_read(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert len(read(EXAMPLES / "gateway.toml").backends) == 2


def test_the_file_on_the_page_is_read_and_shows_the_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    (tmp_path / "gateway.toml").write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    shown = read(tmp_path / "gateway.toml")
    assert shown.limits == Limits()
    for table in ("conversations", "decisions", "limits"):
        fields = type(getattr(shown, table)).model_fields
        assert getattr(shown, table).model_fields_set == set(fields)
        defaults = {name: field.default for name, field in fields.items() if name != "url"}
        assert {name: getattr(getattr(shown, table), name) for name in defaults} == defaults


def test_the_manifest_starts_probes_and_stops_it():
    manifest = (EXAMPLES / "kubernetes.yaml").read_text()
    arguments = re.search(r"args: \[(.*)\]", manifest)[1].replace('"', "").split(", ")
    assert arguments[:3] == ["python", "-m", "modelpick.gateway"]
    known = command.arguments().parse_args(arguments[3:])
    assert (str(known.file), known.host, known.port) == ("/config/gateway.toml", "0.0.0.0", 8000)
    paths = {route.path for route in app.routes.routes}
    assert set(re.findall(r"path: (/\w+)", manifest)) == {"/metrics", "/readyz", "/healthz"} <= paths
    grace = int(re.search(r"terminationGracePeriodSeconds: (\d+)", manifest)[1])
    assert grace > Limits().stop_seconds


def test_dashboard_and_page_name_all_metrics():
    metrics = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("modelpick_gateway")}
    dashboard = json.dumps(json.loads((EXAMPLES / "grafana.json").read_text()))
    for text in (dashboard, PAGE):
        named = set(re.findall(r"modelpick_gateway_\w+", text))
        assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in named} == metrics
