"""What examples/gateway says of the gateway is true of it."""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from modelpick.gateway import app, command
from modelpick.gateway.config import Limits, read
from modelpick.gateway.database import Database
from support.gateways import POEM, ask, client_of, free_port, is_ready, write_gateway
from support.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples/gateway"
PAGE = (EXAMPLES.parents[1] / "docs/gateway.md").read_text()


def test_it_serves_without_the_converters_libraries(tmp_path):
    missing = "import sys; sys.modules.update(dict.fromkeys(('typer', 'sklearn', 'onnx', 'skl2onnx', 'msgspec')))"
    (tmp_path / "sitecustomize.py").write_text(missing)
    (tmp_path / "bad.toml").write_text("artifacts = 1")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    command = [sys.executable, "-m", "modelpick", "serve", str(tmp_path / "bad.toml"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path}/bad.toml: artifacts: ")


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
        files = {"url", "counts"}  # relative to the folder
        defaults = {name: field.default for name, field in fields.items() if name not in files}
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


def test_two_replicas_start_and_share_as_the_compose_file_says(tmp_path, backends, monkeypatch):
    """Without a container: the command and the file of the service, with paths and addresses of this machine."""
    services = pytest.importorskip("yaml").safe_load((EXAMPLES / "compose.yaml").read_text())
    service = services["services"]["gateway"]
    program, *arguments = service["command"]
    assert (program, service["deploy"], service["ports"]) == ("python", {"replicas": 2}, ["8000-8001:8000"])
    assert int(service["stop_grace_period"].removesuffix("s")) > Limits().stop_seconds
    folders = {target.partition(":")[0] for target in (volume.partition(":")[2] for volume in service["volumes"])}
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    text = services["configs"]["gateway"]["content"].replace("${POSTGRES_PASSWORD}", "secret")
    (tmp_path / "as_it_is.toml").write_text(text)
    given = read(tmp_path / "as_it_is.toml")
    assert {str(given.artifacts.parent), str(given.encoder.parent), str(given.decisions.counts)} == {*folders}
    assert given.decisions.url == "postgresql://gateway:secret@database/gateway"

    write_gateway(tmp_path, {})
    here = {
        '"/models': f'"{tmp_path}',
        '"/counts': f'"{tmp_path}/counts',
        given.decisions.url: f"sqlite:///{tmp_path}/shared.sqlite",
        **{one.name: name for one, name in zip(given.backends, ("large", "small"), strict=True)},
        **{
            str(one.base_url): f"http://127.0.0.1:{backend.port}/v1"
            for one, backend in zip(given.backends, (backends["large"], backends["small"]), strict=True)
        },
    }
    for there, place in here.items():
        assert there in text
        text = text.replace(there, place)
    (tmp_path / "gateway.toml").write_text(text)
    probe = re.search(r"127.0.0.1:8000(/\w+)", service["healthcheck"]["test"][-1])[1]
    with ExitStack() as replicas:
        urls = []
        for _ in range(service["deploy"]["replicas"]):
            port = free_port()
            known = {"/config/gateway.toml": str(tmp_path / "gateway.toml"), "8000": str(port), "0.0.0.0": "127.0.0.1"}
            process = subprocess.Popen([sys.executable, *(known.get(one, one) for one in arguments)])
            replicas.callback(process.wait, 20)
            replicas.callback(process.terminate)
            urls.append(f"http://127.0.0.1:{port}")
        for url in urls:
            until(lambda url=url: is_ready(url + probe))
        headers = {"x-conversation-id": "one"}
        with client_of(urls[0]) as first, client_of(urls[1]) as second:
            assert ask(first, POEM, extra_headers=headers)[1]["x-modelpick-reason"] == "picked"
            database = Database(here[given.decisions.url])
            until(lambda: list(database.records()))
            found = ask(second, POEM, extra_headers=headers)[1]
            assert (found["x-modelpick-reason"], found["x-modelpick-model"]) == ("kept", "small")
    assert database.lost() == {}


def test_dashboard_and_page_name_all_metrics():
    metrics = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("modelpick_gateway")}
    dashboard = json.dumps(json.loads((EXAMPLES / "grafana.json").read_text()))
    for text in (dashboard, PAGE):
        named = set(re.findall(r"modelpick_gateway_\w+", text))
        assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in named} == metrics
