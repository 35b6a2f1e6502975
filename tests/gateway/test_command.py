"""What examples/gateway says of the gateway is true of it."""

import json
import re
from pathlib import Path

from prometheus_client import REGISTRY

from modelpick.gateway import app, command
from modelpick.gateway.config import Limits, read

EXAMPLES = Path(__file__).parents[2] / "examples/gateway"
PAGE = (EXAMPLES.parents[1] / "docs/gateway.md").read_text()


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
