"""Stub backends, which all tests of a module share."""

import pytest

from support.gateways import COST
from support.stubs import Backend, loop_in_a_thread


@pytest.fixture(scope="module")
def run():
    with loop_in_a_thread() as run:
        yield run


@pytest.fixture(scope="module")
def backends(run):
    made = {name: Backend(name, run) for name in COST}
    yield made
    for backend in made.values():
        backend.refuse()


@pytest.fixture(autouse=True)
def all_answer(backends):
    yield
    for backend in backends.values():
        backend.mode = "answer"
        backend.seen.clear()
        backend.gone = 0
