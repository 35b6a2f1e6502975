"""The choice between a weak and a strong model."""

import numpy as np
import pytest
from recorded import encoded, record

from modelpick.converter.evaluation.policies import Policy, chosen
from modelpick.converter.evaluation.recovery import recover
from modelpick.converter.training.records import read_benchmark
from modelpick.runtime import DocumentError

N = 40
BENCHMARK = read_benchmark(
    encoded(
        *(
            record(query=f"q{i}", model_name=name, performance=value)
            for i in range(N)
            for name, value in (("weak", float(i % 4 == 0)), ("strong", float(i % 2 == 0)))
        )
    )
)


def test_whoever_calls_the_strong_only_where_it_helps_recovers_all():
    helps = np.arange(N) % 4 == 2
    perfect = Policy("perfect", chosen(helps.astype(np.int64), 2), artifact="perfect")
    (found,) = recover([perfect], BENCHMARK, "weak", "strong")
    assert found.name == "perfect"
    assert found.apgr.value == pytest.approx(1 - 0.25 / 2)  # from (0, 0) by (1/4, 1) to (1, 1)
    assert found.call_shares["50%"].value == pytest.approx(0.125)
    assert found.call_shares["80%"].value == pytest.approx(0.2)
    assert found.call_shares["50%"].low < 0.125 < found.call_shares["50%"].high


def test_chance_recovers_half_and_points_of_an_artifact_are_mixed():
    helps = (np.arange(N) % 4 == 2).astype(np.float64)
    chance = Policy("chance", np.full((N, 2), 0.5), artifact="chance")
    early, late = (
        Policy(f"mixed {share}", np.column_stack([1 - share * helps, share * helps]), artifact="mixed", keep=share)
        for share in (0.5, 1.0)
    )
    first, second = recover([chance, early, late], BENCHMARK, "weak", "strong")
    assert first.apgr.value == pytest.approx(0.5)
    assert second.apgr.value == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("strong", "weak"), "expected records on which weak is better than strong"),
        (("weak", "other"), "expected some of weak, strong, got other"),
    ],
)
def test_refuses_pairs_without_a_gap(pair, message):
    with pytest.raises(DocumentError, match=message):
        recover([], BENCHMARK, *pair)
