"""What notebooks show of an explanation."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from modelpick.runtime import Selector
from modelpick.runtime.notebook import Explained

KEPT = Path(__file__).parents[1] / "data" / "format-2"


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.onnx")), ids=lambda path: path.stem)
def test_notebooks_show_a_row_for_each_candidate_the_picked_first(path):
    with Selector.load(path) as selector:
        explained = selector.explain(np.ones(selector.n_features_in_))
        rows = re.findall("<tr><td>(.*?)</td>", explained._repr_html_())
        assert rows[0] == explained["model"]
        assert sorted(rows) == sorted(explained["scores"])
        assert json.loads(json.dumps(explained)) == explained


def test_names_in_a_notebook_are_escaped():
    shown = Explained({"model": "<b>", "scores": {"<b>": 1.0, "a": 0.5}, "reason": "<script>"})._repr_html_()
    assert shown.count("&lt;b&gt;") == shown.count("&lt;script&gt;") == 1
    assert "<b>" not in shown
    assert "<script>" not in shown
