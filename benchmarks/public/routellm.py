"""RouteLLM's pair, Mixtral 8x7B and GPT-4, on MMLU: I. Ong et al., RouteLLM, 2024.

Of the questions, a number is drawn as labelled ones to learn from, as RouteLLM added to its preference data; all others
are evaluated. Several draws. APGR and CPT are RouteLLM's own measures, computed by `modelpick evaluate --pair`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from modelpick.converter.evaluation.recovery import preferences, recover
from modelpick.converter.formats.outcomes import Benchmark

from .protocol import SEEDS, Contender, microseconds, records, rounded, trained

FILE = "routellm_mmlu.jsonl.gz"
WEAK, STRONG = "mixtral-8x7b", "gpt-4-1106"
LABELS = 1_500
CONTENDER = Contender("kernel_ridge", "native", ("gamma", "ridge"), {"kernel_ridge": 1_000})
# The average recovered share of the gap, and shares of calls that recover 50 % and 80 % of it.
MEASURES = ("APGR", "CPT50", "CPT80")
# Recalled from the paper, with about 1,500 labelled questions of MMLU.
PUBLISHED = {"APGR": 0.60, "CPT50": 0.35}


def measure(folder: Path) -> dict[str, Any]:
    """Measure kernel ridge on the records of a folder."""
    benchmark = records(folder, FILE)
    quality = dict(zip(benchmark.model_names, benchmark.quality.mean(axis=0), strict=True))
    return {
        "questions": {"learned": LABELS, "held out": len(benchmark.queries) - LABELS},
        "published": PUBLISHED,
        "quality": {name: rounded(value) for name, value in quality.items()},
        "draws": (draws := [_draw(benchmark, seed) for seed in SEEDS]),
        "means": {name: rounded(float(np.mean([draw[name][0] for draw in draws]))) for name in MEASURES},
    }


def _draw(benchmark: Benchmark, seed: int) -> dict[str, Any]:
    order = np.random.default_rng(seed).permutation(len(benchmark.queries))
    learned, held_out = (benchmark.of(np.sort(part)) for part in (order[:LABELS], order[LABELS:]))
    with TemporaryDirectory() as folder:
        (one,) = trained(CONTENDER, learned, seed, Path(folder), {})
        (found,) = recover(preferences([one.artifact], held_out, WEAK, STRONG), held_out, WEAK, STRONG)
        time = microseconds(one.artifact, held_out)
    estimates = dict(zip(MEASURES, (found.apgr, *found.call_shares.values()), strict=True))
    intervals = {name: [rounded(it) for it in (of.value, of.low, of.high)] for name, of in estimates.items()}
    draw = {**intervals, **one.settings, **one.seconds, "microseconds": time}
    print(f"RouteLLM, draw {seed}: {draw}", flush=True)
    return draw
