"""RouteLLM's pair, Mixtral 8x7B and GPT-4, on MMLU: I. Ong et al., RouteLLM, 2024.

Of the questions, a number is drawn as labelled ones to learn from, as RouteLLM added to its preference data; all others
are evaluated. Several draws. APGR and CPT are RouteLLM's own measures, computed as `modelpick evaluate --pair` does.
"""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from modelpick.converter.evaluation.recovery import Curve, preferences
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.statistics.bootstrap import drawn

from .protocol import CONTENDERS, SEEDS, Contender, Indices, Vector, ends, microseconds, records, rounded, trained

FILE = "routellm_mmlu.jsonl.gz"
WEAK, STRONG = "mixtral-8x7b", "gpt-4-1106"
LABELS = 1_500
# Recalled from the paper, with about 1,500 labelled questions of MMLU.
PUBLISHED = {"APGR": 0.60, "CPT50": 0.35}
Samples = dict[str, Vector]


class Draw(NamedTuple):
    """What an artifact came to that learned from the questions of a draw."""

    samples: Samples
    """The average recovered share of the gap, and the shares of calls that recover 50 % and 80 % of it: for all
    held-out questions, then for samples. A sample is one of all questions, so that draws and contenders are paired."""
    took: dict[str, float | None]
    """The settings that tuning chose, and times."""


def measure(folder: Path) -> dict[str, Any]:
    """Measure the contenders on the records of a folder."""
    benchmark = records(folder, FILE)
    quality = dict(zip(benchmark.model_names, benchmark.quality.mean(axis=0), strict=True))
    draws: dict[str, list[Draw]] = {}
    for contender, seed in product(CONTENDERS, SEEDS):
        draws.setdefault(contender.name, []).append(_drawn(contender, benchmark, seed))
    means = {name: _means(of_name) for name, of_name in draws.items()}
    default, n = means[CONTENDERS[0].name], len(benchmark.queries)
    return {
        "questions": {"learned": LABELS, "held out": n - LABELS},
        "published": PUBLISHED,
        "quality": {name: rounded(value) for name, value in quality.items()},
        "contenders": {
            name: {
                **_intervals(mean, n),
                "over the default": _intervals({of: samples - default[of] for of, samples in mean.items()}, n),
                "draws": [{**_intervals(draw.samples, n - LABELS), **draw.took} for draw in draws[name]],
            }
            for name, mean in means.items()
        },
    }


def _drawn(contender: Contender, benchmark: Benchmark, seed: int) -> Draw:
    order = np.random.default_rng(seed).permutation(len(benchmark.queries))
    learned, held_out = np.sort(order[:LABELS]), np.sort(order[LABELS:])
    with TemporaryDirectory() as folder:
        one = trained(contender, benchmark.of(learned), seed, Path(folder))
        samples = _measured(one.artifact, benchmark, held_out)
        time = microseconds(one.artifact, benchmark.of(held_out))
    found = Draw(samples, {**one.settings, **one.seconds, "microseconds": time})
    print(
        f"RouteLLM, {contender.name}, draw {seed}: {_intervals(samples, len(held_out))}, {found.took}",
        flush=True,
    )
    return found


def _measured(artifact: Path, benchmark: Benchmark, held_out: Indices) -> Samples:
    asked, n = benchmark.of(held_out), len(benchmark.queries)
    weak, strong = (asked.quality[:, asked.model_names.index(name)] for name in (WEAK, STRONG))
    (preference,) = preferences([artifact], asked, WEAK, STRONG)
    samples = (counts[:, held_out] for counts in (np.ones((1, n)), *drawn(n, 0)))
    curve = Curve(preference.scores, strong - weak, samples)
    return {"APGR": curve.areas, **{f"CPT{100 * part:.0f}": found for part, found in curve.call_shares.items()}}


def _means(draws: list[Draw]) -> Samples:
    return {of: np.mean([draw.samples[of] for draw in draws], axis=0) for of in draws[0].samples}


def _intervals(samples: Samples, queries: int) -> dict[str, list[float]]:
    return {of: ends(found, queries) for of, found in samples.items()}
