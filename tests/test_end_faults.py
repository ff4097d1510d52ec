"""The end of a process may fail to send telemetry; it ends all the same, and the fault counts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.export import flushing
from keras_otel.export.child_exits import ChildExits
from keras_otel.export.delivery import Endpoint, Tally
from keras_otel.export.stop_signal import StopSignal


class BrokenError(Exception):
    """What the broken parts raise."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise BrokenError("broken")


@contextmanager
def failing_once_at(site: str) -> Iterator[None]:
    """What happens inside fails at this site and nowhere else that would be seen."""
    before = failure_counts().get(site, 0)
    yield
    assert failure_counts().get(site, 0) > before


class BrokenProvider(TracerProvider):
    """A provider that can neither be flushed nor shut down."""

    force_flush = shutdown = broken


@pytest.fixture
def broken_provider() -> Iterator[None]:
    keras_otel.instrument(tracer_provider=BrokenProvider(shutdown_on_exit=False))
    yield
    keras_otel.uninstrument()


def test_a_provider_that_cannot_be_flushed(broken_provider):
    """`flush` says that not everything was sent."""
    with failing_once_at("flush a provider"):
        assert keras_otel.flush() is False


def test_a_provider_that_cannot_be_shut_down(broken_provider):
    """`shutdown` goes on with the other providers."""
    with failing_once_at("shut a provider down"):
        keras_otel.shutdown()


def test_a_flush_that_fails_as_a_whole(monkeypatch):
    """`flush` raises nothing."""
    monkeypatch.setattr(flushing, "_flush_all", broken)
    with failing_once_at("flush"):
        assert keras_otel.flush() is False


def test_a_batch_that_cannot_be_fitted():
    """A batch that cannot be made fit is sent as it is."""
    exporter = InMemorySpanExporter()
    sent: list[Any] = []
    exporter.export = lambda batch: sent.append(batch) or SpanExportResult.SUCCESS
    Endpoint("http://localhost").watch(exporter, Tally("spans"), SpanExportResult, broken)
    with failing_once_at("fit a batch"):
        assert exporter.export(["span"]) is SpanExportResult.SUCCESS
    assert sent == [["span"]]


def test_a_child_that_cannot_flush():
    """A forked child ends although its last flush fails."""
    with failing_once_at("exit of a child"):
        ChildExits(broken, broken)._end()


def test_a_library_that_takes_no_hooks():
    """A library whose children cannot be watched is left alone."""
    exits = ChildExits(broken, broken)
    with failing_once_at("exit of children"):
        exits._register(SimpleNamespace(__name__="billiard.util", register_after_fork=broken))
    with failing_once_at("exit of children"):
        signals = SimpleNamespace(worker_process_shutdown=SimpleNamespace(connect=broken))
        exits._connect(signals)


def test_a_child_that_cannot_start():
    """A child of `multiprocessing` starts although its signal cannot be left to the system."""
    hooks: list[Any] = []
    util = SimpleNamespace(
        __name__="multiprocessing.util",
        register_after_fork=lambda _owner, hook: hooks.append(hook),
        Finalize=lambda *_args, **_kwargs: None,
    )
    exits = ChildExits(broken, broken)
    exits._register(util)
    with failing_once_at("start of a child"):
        hooks[0](exits)


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """A watch for SIGTERM whose flushes fail, in a process that has its default there."""
    previous = signal.getsignal(signal.SIGTERM)
    stop = StopSignal(broken, broken)
    stop.install()
    yield stop
    stop.remove()
    signal.signal(signal.SIGTERM, previous)


def test_a_handler_of_the_program_is_called_whatever_fails(stop, monkeypatch):
    """The program learns of the signal although telemetry cannot be drained."""
    seen = threading.Event()
    monkeypatch.setattr(stop, "_drain", broken)
    signal.signal(signal.SIGTERM, lambda *_: seen.set())
    with failing_once_at("stop signal"):
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen.wait(10)


def test_a_flush_of_a_process_that_ends(stop):
    """Whoever waits for the last flush is let go when it fails."""
    with failing_once_at("flush of a process that ends"):
        stop.run(broken, 10.0)
