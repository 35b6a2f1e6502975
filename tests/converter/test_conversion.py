"""What a conversion takes of memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec import json

from support.catalogue import knn

STATUS = Path("/proc/self/status")
# Converts in a process of its own and prints the bytes at its peak beyond what imports take.
CONVERTED = f"""
from modelpick.converter import convert

def status(field):
    line = next(line for line in open({str(STATUS)!r}) if line.startswith(field))
    return 1024 * int(line.split()[1])

before = status("VmRSS")
convert("knn.json", "knn.onnx", samples=20)
print(status("VmHWM") - before)
"""
ROWS, WIDTH = 3_000, 1_038
# What does not grow with the rows.
CONSTANT = 20e6


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_a_conversion_takes_three_times_the_floats(tmp_path):
    rows = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
    model = knn(rows, k=5)
    (tmp_path / "knn.json").write_bytes(json.encode(model))
    command = [sys.executable, "-c", CONVERTED]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 3 * 8 * rows.size + CONSTANT
