"""Waiting for what other threads and processes do; long enough for a machine that does much else."""

import time


def until(happened, seconds=100):
    """Wait until something happens."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
