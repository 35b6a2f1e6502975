"""What a user meets first: names to import, what is printed, what is said of a wrong start, columns of data frames."""

import subprocess
import sys

import numpy as np
import pytest

import modelpick
from modelpick.runtime import BatchingSelector, FeatureError, Selector
from modelpick.runtime.text import TextSelector


def test_names_are_imported_when_they_are_asked_for():
    script = """
import sys
import modelpick
assert not {"numpy", "onnxruntime"} & set(sys.modules)
from modelpick import Selector, SelectorStore, TextSelector
assert "tokenizers" not in sys.modules
from modelpick.runtime.text import TextSelector as same
assert TextSelector is same
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=600)
    assert all(getattr(modelpick, name).__name__ == name for name in modelpick.__all__)
    with pytest.raises(AttributeError, match="module 'modelpick' has no attribute 'Selctor'"):
        _ = modelpick.Selctor


def test_representations_are_a_line(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert repr(selector) == "<Selector knn native/1: 4 models, 224 rows, 1,038 wide>"
    assert repr(selector) == "<Selector knn native/1: 4 models, 224 rows, 1,038 wide, closed>"


def test_a_wrong_start_is_told_the_right_one(sample_artifacts):
    with pytest.raises(TypeError, match=r"expected Selector\.load\(path\): a Selector is loaded from an artifact"):
        Selector(sample_artifacts / "knn.onnx")
    with pytest.raises(TypeError, match=r"expected a Selector and an Encoder: TextSelector\.load takes files"):
        TextSelector("a.onnx", "encoder.onnx")
    with pytest.raises(TypeError, match="expected a Selector, got str"):
        BatchingSelector("a.onnx")


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_column_of_lists_is_a_matrix(sample_artifacts, sample_queries, kind):
    pandas = pytest.importorskip("pandas")
    column = pandas.Series([kind(query.tolist()) for query in sample_queries])
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert selector.select_batch(column) == selector.select_batch(sample_queries)
        assert selector.select(column[0]) == selector.select(sample_queries[0])
        embeddings = pandas.Series([kind(query[:1024].tolist()) for query in sample_queries])
        asked = {"embedding": embeddings, "category": ["law"] * len(embeddings)}
        assert selector.select_batch(**asked) == selector.select_batch(
            embedding=sample_queries[:, :1024], category=asked["category"]
        )
        with pytest.raises(FeatureError, match="expected rows of 1038 numbers, got ragged rows or non-numeric values"):
            selector.select_batch(pandas.Series([[1.0], [1.0, 2.0]]))
