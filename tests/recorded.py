"""Benchmark records for tests, and where the shared real ones lie."""

import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "models/benchmark.jsonl"
SHARED = Path(os.environ.get("MODELPICK_SHARED", ROOT.parent / "shared"))
ROUTING = SHARED / "routing"


def record(**fields):
    return {"query": "q", "category": "math", "model_name": "a", "performance": 0.5, "response_time": 1.0} | fields


def encoded(*records):
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)
