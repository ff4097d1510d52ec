"""Record one span, log record and measurement, and wait to be stopped in one of several ways.

The first argument names the target of `export=` (`-` for none), the second the way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Any

TARGET, WAY = sys.argv[1:]


def instrument() -> None:
    """Switch keras_otel on, where a target is named."""
    if TARGET != "-":
        import keras_otel

        keras_otel.instrument(export=TARGET)


def record(name: str) -> None:
    """One span, one log record and one measurement."""
    from opentelemetry import _logs, metrics, trace

    with trace.get_tracer("app").start_as_current_span(name):
        _logs.get_logger("app").emit(body=name)
    metrics.get_meter("app").create_counter("app.records").add(1, {"name": name})


def wait() -> None:
    """Say that the program is ready, and wait for the signal."""
    print("ready", flush=True)
    while True:
        time.sleep(0.05)


def leave(_number: int, _frame: Any) -> None:
    """A handler that ends the program with a status of its own."""
    record("last")
    sys.exit(7)


def leave_at_once(_number: int, _frame: Any) -> None:
    """A handler that ends the program without exit handlers."""
    record("last")
    os._exit(8)


def clean_up(number: int, _frame: Any) -> None:
    """A handler that cleans up and then does what would have been done without it."""
    record("last")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def by_default() -> None:
    """No handler at all."""
    instrument()
    record("first")
    wait()


def busy() -> None:
    """No handler, and a main thread that records all the time."""
    instrument()
    record("first")
    print("ready", flush=True)
    while True:
        record("more")
        time.sleep(0.001)  # no more than its queue holds until the signal comes


def own_handler_before() -> None:
    """A handler that was there first."""
    signal.signal(signal.SIGTERM, leave)
    by_default()


def own_handler_after() -> None:
    """A handler that comes later, and sees that there was none."""
    instrument()
    record("first")
    assert signal.signal(signal.SIGTERM, leave) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is leave
    wait()


def own_exit() -> None:
    """A handler that calls `os._exit`."""
    instrument()
    signal.signal(signal.SIGTERM, leave_at_once)
    record("first")
    wait()


def own_default() -> None:
    """A handler that restores the default and sends the signal again."""
    instrument()
    signal.signal(signal.SIGTERM, clean_up)
    record("first")
    wait()


def chained() -> None:
    """A handler of a library that calls the one that it found."""
    instrument()
    signal.signal(signal.SIGTERM, leave)
    found = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: found(number, frame))
    record("first")
    wait()


def ignored() -> None:
    """A program that ignores the signal, and ends by itself later."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    instrument()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    record("first")
    print("ready", flush=True)
    time.sleep(1.0)
    record("last")
    sys.exit(9)


def in_a_thread() -> None:
    """Instrumented by another thread than the main one."""
    thread = threading.Thread(target=instrument)
    thread.start()
    thread.join()
    record("first")
    wait()


def with_asyncio() -> None:
    """A loop's own handler, and work that goes on after the signal."""

    async def serve() -> None:
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        record("first")
        print("ready", flush=True)
        await stopped.wait()
        record("last")

    instrument()
    asyncio.run(serve())
    sys.exit(6)


def blocked() -> None:
    """A program that takes the signal out of the queue itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    instrument()
    record("first")
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})
    record("last")
    sys.exit(5)


def in_a_fork() -> None:
    """A child that was forked and gets the default handler, and the parent that stops it."""
    instrument()
    record("first")
    children: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(children[0], number))
    children.append(os.fork())
    if children[0] == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        record("child")
        wait()
    _, status = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM, status
    record("last")
    sys.exit(4)


def with_multiprocessing() -> None:
    """Children of a pool and of its own, which end by themselves or are terminated."""
    import multiprocessing

    instrument()
    context = multiprocessing.get_context("fork")
    record("first")
    with context.Pool(2) as pool:
        pool.map(record, ["child", "child"], chunksize=1)
        pool.close()
        pool.join()
    for _ in range(3):
        with context.Pool(2) as pool:  # which ends by terminating its idle workers
            pool.map(abs, range(4), chunksize=1)
    ended = context.Process(target=record, args=("child",))
    ended.start()
    ended.join()
    assert ended.exitcode == 0, ended.exitcode
    signal.signal(signal.SIGTERM, leave)
    wait()


{
    way.__name__: way
    for way in (
        *(by_default, busy, own_handler_before, own_handler_after, own_exit, own_default),
        *(chained, ignored, in_a_thread, with_asyncio, blocked, in_a_fork, with_multiprocessing),
    )
}[WAY]()
