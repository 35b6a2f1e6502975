"""The cache of embeddings that the original's training code keeps."""

import numpy as np
import pytest

from modelpick.converter.training.embeddings import read_embeddings
from modelpick.runtime import DocumentError

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def test_the_trainers_own_cache_is_read(tmp_path):
    rng = np.random.default_rng(0)
    cached = {text: rng.normal(size=7).astype(np.float32) for text in ("one", "zwei é", "三")}
    np.savez(tmp_path / "embeddings_qwen3.npz", embeddings=cached)
    found = read_embeddings(tmp_path / "embeddings_qwen3.npz", ["三", "one", "four"])
    np.testing.assert_array_equal(found[:2], [cached["三"], cached["one"]])
    assert np.isnan(found[2]).all()


class Harm:
    """What a pickle could do."""

    def __reduce__(self):
        return (open, ("harm", "w"))


CACHES = {
    "a call": {"one": Harm()},
    "a matrix": {"one": np.zeros((2, 2), np.float32)},
    "objects": {"one": np.array([Harm(), None])},
    "no dictionary": [1, 2],
    "no vectors": {"one": "two"},
    "no queries": {1: np.zeros(2, np.float32)},
    "ragged": {"one": np.zeros(2, np.float32), "two": np.zeros(3, np.float32)},
    "whole numbers": {"one": np.zeros(2, np.int64)},
    "nothing": {},
}


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_of_anything_else_is_refused_and_does_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("cache.npz", embeddings=CACHES[name])
    with pytest.raises(DocumentError):
        read_embeddings(tmp_path / "cache.npz", ["one"])
    assert [path.name for path in tmp_path.iterdir()] == ["cache.npz"]
