"""What is refused at start: in a line that shows no secret."""

import logging

import pytest

from modelpick.gateway.config import ConfigError, read
from modelpick.gateway.state import loaded
from modelpick.runtime import ModelpickError
from support.gateways import gateway, write_gateway

GOOD = 'artifacts = "a"\n[[backends]]\nname = "m"\nbase_url = "http://h/v1"\n'


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("http://h", "http://h/chat/completions"),
        (
            "https://h/openai/deployments/d?api-version=2024-10-21",
            "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_the_endpoint_stands_behind_the_path_and_before_the_query(tmp_path, base, url):
    (tmp_path / "g.toml").write_text(GOOD.replace("http://h/v1", base))
    assert read(tmp_path / "g.toml").backends[0].url == url


@pytest.mark.parametrize("key", ["sk-\u201cabc\u201d", "sk-a\nbc", "sk a", "sk-\x00", "sk-\xff"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(tmp_path, monkeypatch, key):
    if "\0" in key:
        pytest.skip("no variable holds it")
    monkeypatch.setenv("STUB_KEY", key)
    (tmp_path / "g.toml").write_text(GOOD + 'key_env = "STUB_KEY"\n')
    with pytest.raises(ConfigError) as refused:
        read(tmp_path / "g.toml")
    assert "STUB_KEY: expected a key of printable ASCII" in str(refused.value)
    assert "sk" not in str(refused.value)


def test_white_space_around_a_key_is_none_of_it(tmp_path, monkeypatch, backends, caplog):
    monkeypatch.setenv("STUB_KEY", " sk-abc\n")
    monkeypatch.setenv("EMPTY_KEY", "\n")
    more = {"small": 'key_env = "STUB_KEY"\n', "large": 'key_env = "EMPTY_KEY"\n'}
    with caplog.at_level(logging.INFO), gateway(tmp_path, backends, more=more) as client:
        for model, header in (("small", "Bearer sk-abc"), ("large", None), ("medium", None)):
            client.chat.completions.create(model=model, messages=[])
            assert backends[model].seen[0][0].get("authorization") == header
    assert "large is asked without a key: EMPTY_KEY is empty" in caplog.text
    assert "limits of small, medium, large are not known" in caplog.text


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1"},
        {"HTTP_PROXY": "nothing://x"},
        {"NO_PROXY": "localhost,127.0.0.1,[::1]"},
        {"SSL_CERT_FILE": "/not/there.pem"},
    ],
    ids=str,
)
def test_proxies_and_certificates_that_cannot_work_are_said_at_start(tmp_path, backends, monkeypatch, variables):
    file = write_gateway(tmp_path, backends)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="HTTP_PROXY"), loaded(read(file)):
        pass


BAD = [
    (GOOD.replace("/v1", "/v1/chat/completions"), "base_url: Value error, expected what stands before"),
    (GOOD.replace("/v1", "/v1#a"), "without a fragment"),
    (GOOD + "context_tokens = 0\n", "context_tokens"),
    (GOOD + 'accepts = ["pictures"]\n', "accepts.0"),
    ("explore = 2\n" + GOOD, "explore"),
    ('shadow = "s.onnx"\n' + GOOD, "shadow: expected a selector"),
    ('client_keys = ["secret"]\n' + GOOD, "client_keys.0"),
    (GOOD.replace('"m"', '"auto:1"'), "not 'auto'"),
    ("[prefer]\nkeep = 0.9\nquality = 0.8\n", "expected one of keep, weights, and quality"),
    ('[conversations]\nheader = "a b"\n', "conversations.header"),
    ('[decisions]\nstore = "all"\n', "decisions.store"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=lambda it: it[:50])
def test_files_are_refused_in_a_line(tmp_path, text, message):
    text = text if "artifacts" in text else f'artifacts = "a"\n{text}'
    (tmp_path / "g.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read(tmp_path / "g.toml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[decisions]\nurl = "mysql://h/d"\n', "decisions: expected a URL of sqlite or postgresql, got mysql"),
        ('[decisions]\nurl = "nonsense"\n', "decisions: "),
        ('[decisions]\nurl = "sqlite:///not/there/d.sqlite"\n', "cannot be written"),
        ('shadow = "s.onnx"\n', "s.onnx"),
        ('[decisions]\nurl = ""\nstore = "text"\n', "decisions: expected a url"),
        ("[prefer]\nkeep = 5\n", "keep: expected a share"),
    ],
)
def test_what_cannot_be_used_is_refused_at_start(tmp_path, backends, text, message):
    file = write_gateway(tmp_path, backends, text)
    with pytest.raises(ModelpickError) as refused, loaded(read(file)):
        pass
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
