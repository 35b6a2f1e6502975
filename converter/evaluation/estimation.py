"""Estimates from logs, under their public name; training, which lies below, judges by them as well."""

from ..training.estimation import (
    CLIPPED,
    GIVEN,
    GUESSED,
    Estimation,
    carried,
    doubly_robust,
    effective_sample,
    estimated,
    lacking_answers,
)

__all__ = (
    "CLIPPED",
    "GIVEN",
    "GUESSED",
    "Estimation",
    "carried",
    "doubly_robust",
    "effective_sample",
    "estimated",
    "lacking_answers",
)
