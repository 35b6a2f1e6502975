"""Benchmark records for tests, and where the shared real ones lie."""

import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
DATA = ROOT / "models/benchmark.jsonl"
HELD_OUT = ROOT / "models/held_out.jsonl"
SHARED = Path(os.environ.get("MODELPICK_SHARED", ROOT.parent / "shared"))
ROUTING = SHARED / "routing"


def record(**fields):
    return {"query": "q", "category": "math", "model_name": "a", "performance": 0.5, "response_time": 1.0} | fields


def encoded(*records):
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def routed(n=120, seed=0, dear=0.85):
    """Records of three models, of which the dear one is better on half of the embeddings' space."""
    rng = np.random.default_rng(seed)
    lines = []
    for i, embedding in enumerate(rng.normal(size=(n, 6))):
        hard = embedding[0] > 0
        for model, cost, quality in (("cheap", 1.0, 0.9 - 0.7 * hard), ("dear", 10.0, dear), ("bad", 5.0, 0.1)):
            got = float(np.clip(quality + 0.05 * rng.normal(), 0, 1))
            lines.append(
                record(query=f"q{i}", model_name=model, performance=got, cost=cost, embedding=embedding.tolist())
            )
    return encoded(*lines)
