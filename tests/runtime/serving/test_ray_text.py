"""Selections for prompts of a Ray dataset, on a real local cluster."""

import pytest

ray = pytest.importorskip("ray", reason="needs the extra ray")

from modelpick.runtime import ArtifactError  # noqa: E402
from modelpick.runtime.deciding import Exploring  # noqa: E402
from modelpick.runtime.serving.ray_text import select_prompts  # noqa: E402
from modelpick.runtime.text import TextSelector  # noqa: E402


def test_picks_as_one_selector_and_sets_bad_rows_aside(cluster, files):
    texts = ["Solve the equation for x", "Write a Python function", None, "What were the causes?"]
    rows = [{"query": text, "kind": "math"} for text in texts]
    found = select_prompts(ray.data.from_items(rows), files.with_category, files.encoder, category="kind")
    picked = {row["query"]: (row["model"], row["model_error"]) for row in found.take_all()}
    selector = TextSelector.load(files.with_category, files.encoder)
    for text in filter(None, texts):
        assert picked[text] == (selector.select(text, category="math"), None)
    assert picked[None][0] is None
    assert picked[None][1].startswith("messages: expected a list")


def test_decides(cluster, files):
    rows = [{"query": text, "user": place} for place, text in enumerate(["Write a Python function", None] * 4)]
    dataset = ray.data.from_items(rows)
    found = select_prompts(dataset, files.selector, files.encoder, exploring=Exploring(0.5, key="user")).take_all()
    selector = TextSelector.load(files.selector, files.encoder)
    for row in found:
        if row["query"] is None:
            assert (row["model"], row["propensity"], row["model_error"]) == (
                None,
                None,
                "messages: expected a list, got NoneType",
            )
        else:
            decision = selector.decide(row["query"], key=str(row["user"]), explore=0.5)
            assert (row["model"], row["propensity"]) == (decision.model, decision.propensity)


def test_conversations(cluster, files):
    conversation = [{"role": "system", "content": "a"}, {"role": "user", "content": "Write a Python function"}]
    found = select_prompts(
        ray.data.from_items([{"messages": conversation}]), files.selector, files.encoder, column="messages"
    )
    assert [row["model"] for row in found.take_all()] == ["codellama"]


def test_files_that_do_not_belong_together_are_refused_before_anything_runs(files):
    with pytest.raises(ArtifactError, match="expected the encoder"):
        select_prompts(None, files.selector, files.int8)
