"""Observers, their adapters against the real client libraries, and drift."""

import logging

import pytest

from modelpick.runtime import FeatureError, Selector


def test_observers_are_told_what_was_picked(sample_artifacts, sample_queries):
    events = []
    with Selector.load(sample_artifacts / "knn.onnx", observer=events.append) as selector:
        one, many = selector.select(sample_queries[0]), selector.select_batch(sample_queries)
        with pytest.raises(FeatureError):
            selector.select([1.0])
    assert [(event.selector, event.models) for event in events] == [("knn", (one,)), ("knn", tuple(many))]
    assert all(0 < event.seconds < 10 for event in events)


def test_an_observer_that_fails_fails_no_request(sample_artifacts, sample_queries, caplog):
    def failing(event):
        raise RuntimeError("disk full")

    with Selector.load(sample_artifacts / "knn.onnx", observer=failing) as selector, caplog.at_level(logging.ERROR):
        assert selector.select(sample_queries[0]) in selector.model_names
    assert "an observer failed" in caplog.text
    assert "disk full" in caplog.text
