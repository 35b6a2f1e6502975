"""Estimates from logs, under their public name: training judges by them too, so that they stand below both."""

from ..statistics.estimation import (
    ASSUMED,
    CLIPPED,
    CONFOUNDED,
    GIVEN,
    GUESSED,
    Estimation,
    carried,
    doubly_robust,
    effective_sample,
    estimated,
    lacking,
)

__all__ = (
    "ASSUMED",
    "CLIPPED",
    "CONFOUNDED",
    "GIVEN",
    "GUESSED",
    "Estimation",
    "carried",
    "doubly_robust",
    "effective_sample",
    "estimated",
    "lacking",
)
