"""What picks by encoders are worth."""

import numpy as np

from modelpick.converter.encoders.compare import Candidate, compare_encoders
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.training.records import read_records
from modelpick.runtime.text import Encoder
from support.folders import SMALL
from support.recorded import DATA


def candidates(folder, kinds):
    benchmark = read_records(DATA)
    found = []
    for name, embed in kinds.items():
        make_encoder(SMALL, folder / f"{name}.onnx")
        encoder = Encoder.load(folder / f"{name}.onnx")
        found.append(Candidate(name, encoder, benchmark._replace(embeddings=embed(encoder, benchmark)), 1.0))
    return found


def test_the_fastest_encoder_that_is_not_surely_worse_is_recommended(tmp_path, monkeypatch):
    def helpful(encoder, benchmark):
        return np.eye(len(benchmark.model_names))[np.nan_to_num(benchmark.quality).argmax(axis=1)] + _noise(benchmark)

    def useless(encoder, benchmark):
        return np.random.default_rng(1).normal(size=(len(benchmark.queries), 6))

    def _noise(benchmark):
        return np.random.default_rng(0).normal(0, 0.01, (len(benchmark.queries), len(benchmark.model_names)))

    found = candidates(tmp_path, {"good": helpful, "bad": useless, "same": helpful})
    times = {"good": 2.0, "bad": 0.1, "same": 1.0}
    monkeypatch.setattr(
        "modelpick.converter.encoders.compare._milliseconds",
        lambda encoder, queries: next(times[one.file] for one in found if one.encoder is encoder),
    )
    worth = compare_encoders(found)
    assert [one.is_recommended for one in worth] == [False, False, True]
    times["good"] = 1.0
    found[2] = found[2]._replace(benchmark=found[1].benchmark)
    assert [one.is_recommended for one in compare_encoders(found)] == [True, False, False]
    good, bad, same = worth
    assert good.quality == same.quality
    assert same.over_best.low == same.over_best.high == 0.0
    assert bad.over_best.high < 0 < good.over_single.low
    assert set(good.saved) == {"1", "0.95"}
