"""RouteLLM's pair, Mixtral 8x7B and GPT-4, on MMLU: I. Ong et al., RouteLLM, 2024.

Of the questions, a number is drawn as labelled ones to learn from, as RouteLLM added to its preference data; all others
are evaluated. Several draws. APGR and CPT are RouteLLM's own measures, computed by `modelpick evaluate --pair`.
"""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from modelpick.converter.evaluation.recovery import preferences, recover
from modelpick.converter.formats.outcomes import Benchmark

from .protocol import CONTENDERS, SEEDS, microseconds, records, rounded, trained

FILE = "routellm_mmlu.jsonl.gz"
WEAK, STRONG = "mixtral-8x7b", "gpt-4-1106"
LABELS = 1_500
# Recalled from the paper, with about 1,500 labelled questions of MMLU.
PUBLISHED = {"APGR": 0.60, "CPT50": 0.35}


def measure(folder: Path) -> dict[str, Any]:
    """Measure the contenders on the records of a folder."""
    benchmark = records(folder, FILE)
    quality = dict(zip(benchmark.model_names, benchmark.quality.mean(axis=0), strict=True))
    return {
        "questions": {"learned": LABELS, "held out": len(benchmark.queries) - LABELS},
        "published": PUBLISHED,
        "quality": {name: rounded(value) for name, value in quality.items()},
        "contenders": _contenders(benchmark),
    }


def _contenders(benchmark: Benchmark) -> dict[str, Any]:
    draws: dict[str, list[dict[str, Any]]] = {}
    times: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        for contender, seed in product(CONTENDERS, SEEDS):
            order = np.random.default_rng(seed).permutation(len(benchmark.queries))
            learned, held_out = (benchmark.of(np.sort(part)) for part in (order[:LABELS], order[LABELS:]))
            for one in trained(contender, learned, seed, Path(folder), {}):
                (found,) = recover(preferences([one.artifact], held_out, WEAK, STRONG), held_out, WEAK, STRONG)
                measures = {"APGR": found.apgr} | {
                    f"CPT{part[:-1]}": calls for part, calls in found.call_shares.items()
                }
                intervals = {name: [rounded(it) for it in (of.value, of.low, of.high)] for name, of in measures.items()}
                draws.setdefault(one.name, []).append({**intervals, **one.settings, **one.seconds})
                print(f"RouteLLM, {one.name}, draw {seed}: {draws[one.name][-1]}", flush=True)
                times.setdefault(one.name, microseconds(one.artifact, held_out))
    return {
        name: {
            **{measure: rounded(float(np.mean([draw[measure][0] for draw in of_name]))) for measure in measures},
            "draws": of_name,
            "microseconds": times[name],
        }
        for name, of_name in draws.items()
    }
