"""Circuits: when a backend is asked, and when it is spared."""

from modelpick.gateway.breaker import MOST_DOUBLINGS, Breaker


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def opened(clock, failures=3, seconds=10.0):
    breaker = Breaker("backend", failures, seconds, clock)
    for _ in range(failures):
        assert not breaker.is_open
        breaker.failed()
    return breaker


def test_it_opens_at_the_last_failure_in_a_row_and_closes_when_a_probe_is_served():
    clock = Clock()
    breaker = Breaker("backend", 2, 10.0, clock)
    breaker.failed()
    breaker.served()
    breaker.failed()
    assert breaker.take() and not breaker.is_open
    breaker.failed()
    assert breaker.is_open and not breaker.take()
    clock.now += 10.0
    assert breaker.take() and not breaker.take()  # one probe
    breaker.served()
    assert breaker.take() and not breaker.is_open


def test_each_probe_that_fails_doubles_the_wait_up_to_a_longest():
    clock = Clock()
    breaker = opened(clock)
    for probe in range(MOST_DOUBLINGS + 2):
        wait = 10.0 * 2 ** min(probe, MOST_DOUBLINGS)
        clock.now += wait - 0.5
        assert not breaker.take()
        clock.now += 0.5
        assert breaker.take()
        breaker.failed()


def test_a_backend_may_ask_for_a_longer_wait_but_for_no_shorter_one():
    for asked, wait in ((30.0, 30.0), (1.0, 10.0), (1e9, 10.0 * 2**MOST_DOUBLINGS)):
        clock = Clock()
        breaker = Breaker("backend", 1, 10.0, clock)
        breaker.failed(retry_after=asked)
        clock.now += wait - 0.5
        assert not breaker.take()
        clock.now += 0.5
        assert breaker.take()
