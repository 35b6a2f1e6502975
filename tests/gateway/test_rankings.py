"""The selector that picks for prompts is swapped, whatever a load raises in between; and what it does far away."""

import pytest
from prometheus_client import REGISTRY

from modelpick.gateway import rankings
from modelpick.gateway.config import read
from modelpick.gateway.rankings import Rankings
from support.gateways import POEM, QUALITY, ask, gateway, make_pair, replace, write_gateway
from support.waiting import until

TURNED = {topic: QUALITY[other] for topic, other in (("code", "poem"), ("poem", "code"))}


class PanicException(BaseException):
    """What a panic of the tokenizer's library is: no `Exception`."""


def swaps(outcome):
    return REGISTRY.get_sample_value("modelpick_gateway_swaps_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("error", [PanicException("panicked"), IndexError(), MemoryError()], ids=type)
def test_the_watching_goes_on_whatever_a_load_raises(tmp_path, backends, monkeypatch, caplog, error):
    config = read(write_gateway(tmp_path, backends))
    artifact = tmp_path / "artifacts/router.onnx"
    with Rankings(artifact, config.encoder, config) as held:
        refused, swapped = swaps("refused"), swaps("swapped")

        def fail(*arguments):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(rankings, "needs_of", fail)
            replace(artifact, make_pair(8, TURNED)[0])
            until(lambda: "router" in caplog.text and "refused" in caplog.text)
            assert held.current.select("poem please") == "small"
            until(lambda: swaps("refused") - refused == 1)
        again = {topic: {**models, "small": 0.7} for topic, models in TURNED.items()}
        replace(artifact, make_pair(8, again)[0])
        until(lambda: held.current.select("poem please") == "large")
        until(lambda: swaps("swapped") - swapped == 1)


def test_a_prompt_far_from_the_training_questions_gets_the_default_model(tmp_path, backends):
    strange = [{"role": "user", "content": "unheard of"}]
    with gateway(tmp_path, backends, "far = 0.99") as client:
        asked = [ask(client, messages)[1] for messages in (POEM, strange)]
    found = [(headers["x-modelpick-model"], headers["x-modelpick-reason"]) for headers in asked]
    assert found == [("small", "picked"), ("large", "far")]
