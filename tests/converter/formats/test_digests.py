"""Identifiers in the original's files."""

from modelpick.converter.formats.digests import digest


def test_digests_are_those_of_the_original():
    assert digest(["model-0", "model-1", "model-2"]) == "c06b436c80438781"
    assert digest(["v1", "q0.9", "l0.1", "c0.0", "ls10000.0", "cs1.0"]) == "937e3622d5660e22"
