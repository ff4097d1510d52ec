"""Looking for the task that waits, in the frames of other threads."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_otel.propagation import waiting_tasks
from keras_otel.propagation.execution_units import running_unit


@pytest.fixture
def collections(monkeypatch) -> Iterator[list[bool]]:
    """Whether each run of the garbage collector was inside the look at other threads' frames."""
    found: list[bool] = []
    looking = waiting_tasks._submitting_loops.__code__

    def note(phase, _info) -> None:
        frame = sys._getframe()
        while frame is not None and frame.f_code is not looking:
            frame = frame.f_back
        found.append(phase == "start" and frame is not None)

    threshold = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1)
    yield found
    gc.set_threshold(*threshold)
    gc.callbacks.remove(note)


def look() -> bool:
    """Look for whoever waits for this job; whether the collector is on afterwards."""
    for _ in range(50):
        assert waiting_tasks.waiter_for(running_unit()) is None
    return gc.isenabled()


def test_no_collection_meanwhile(collections):
    """The garbage collector, which may let the other threads go on, runs before and after only."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result()
    assert collections
    assert not any(collections)


def test_collector_that_is_off():
    """A program that has turned the collector off finds it off."""
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(look).result()
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="nothing is paused there")
@pytest.mark.filterwarnings("ignore:.*fork")  # of JAX, whose threads the child does not use
def test_fork_meanwhile():
    """The collector of a child that was forked while it was paused is on."""
    with waiting_tasks._collector.paused():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert gc.isenabled()
