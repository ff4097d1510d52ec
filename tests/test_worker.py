"""One background thread that finishes what the caller must not wait for."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from keras_otel._guard import failure_counts
from keras_otel._worker import Worker
from keras_otel.introspection.arrays import pending

LONG_S = 60.0


def test_jobs_run_in_order_on_one_daemon_thread():
    """Jobs run one after another, in a thread that keeps no process alive."""
    worker = Worker(capacity=100)
    seen: list[tuple[int, threading.Thread]] = []

    for number in range(50):
        assert worker.submit(
            lambda number=number: seen.append((number, threading.current_thread()))
        )
    assert worker.flush(LONG_S)

    assert [number for number, _ in seen] == list(range(50))
    (thread,) = {thread for _, thread in seen}
    assert thread.daemon
    assert thread is not threading.current_thread()


def test_there_is_no_thread_before_the_first_job():
    """A process that never waits for an accelerator has no thread of ours."""
    before = threading.enumerate()
    worker = Worker(capacity=1)

    assert worker.flush(0.0)
    assert threading.enumerate() == before


def test_a_full_queue_refuses():
    """A job that finds the queue full is refused, and those that were taken all run."""
    worker = Worker(capacity=2)
    is_running, may_go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def hold() -> None:
        is_running.set()
        may_go_on.wait(LONG_S)

    assert worker.submit(hold)
    assert is_running.wait(LONG_S)
    answers = [worker.submit(lambda n=n: done.append(n)) for n in range(4)]
    may_go_on.set()
    assert worker.flush(LONG_S)

    assert answers == [True, True, False, False]
    assert done == [0, 1]
    assert worker.submit(lambda: done.append(9))
    assert worker.flush(LONG_S)
    assert done == [0, 1, 9]


def test_flush_says_when_it_took_too_long():
    """Waiting is given up after the time that the caller gives."""
    worker = Worker(capacity=1)
    is_running, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        is_running.set()
        may_go_on.wait(LONG_S)

    worker.submit(hold)
    assert is_running.wait(LONG_S)
    assert worker.flush(0.01) is False
    worker.submit(lambda: None)  # the queue is full now
    assert worker.flush(0.01) is False
    may_go_on.set()
    assert worker.flush(LONG_S)


def test_a_job_that_raises_stops_nothing():
    """An error in a job is counted, and the next job runs."""
    worker = Worker(capacity=10)
    before = failure_counts().get("background worker", 0)
    done: list[int] = []

    worker.submit(lambda: 1 / 0)
    worker.submit(lambda: done.append(1))
    assert worker.flush(LONG_S)

    assert done == [1]
    assert failure_counts()["background worker"] == before + 1


def test_a_finished_job_is_not_kept():
    """What a job held is free as soon as it is done, not only when another job comes."""
    worker = Worker(capacity=10)

    class Held:
        pass

    held = Held()
    reference = weakref.ref(held)
    is_free = threading.Event()
    weakref.finalize(held, is_free.set)
    worker.submit(lambda held=held: None)
    del held
    gc.collect()

    assert is_free.wait(LONG_S)
    assert reference() is None


def test_many_threads_share_one_worker():
    """Eight threads that submit at once start one thread and lose no job."""
    worker = Worker(capacity=1000)
    start = threading.Barrier(8)
    threads_seen: list[int] = []

    def submit() -> None:
        start.wait()
        for _ in range(50):
            assert worker.submit(lambda: threads_seen.append(threading.get_ident()))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.flush(LONG_S)

    assert len(threads_seen) == 400
    assert len(set(threads_seen)) == 1


FORK = """
import os
import threading
from keras_otel._worker import Worker

worker = Worker(capacity=3)
running, go_on = threading.Event(), threading.Event()
def hold():
    running.set()
    go_on.wait(60)
worker.submit(hold)
running.wait(60)
worker.submit(lambda: None)
worker._start_lock.acquire()  # as another thread may hold it at the fork
child = os.fork()
if child == 0:
    done = []
    taken = [worker.submit(lambda n=n: done.append(n)) for n in range(3)]
    flushed = worker.flush(60)
    os._exit(0 if taken == [True] * 3 and flushed and done == [0, 1, 2] else 1)
_, status = os.waitpid(child, 0)
worker._start_lock.release()
go_on.set()
assert worker.flush(60)
assert os.waitstatus_to_exitcode(status) == 0
"""


def test_a_forked_child_starts_over():
    """After a fork the child has an empty queue and a thread of its own, whatever was locked."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


EXIT = """
import sys
from keras_otel._worker import Worker

worker = Worker(capacity=10)
for number in range(5):
    worker.submit(lambda number=number: print(number, file=sys.stderr, flush=True))
"""


def test_jobs_are_finished_at_exit():
    """What was submitted last is done before the interpreter ends."""
    ended = subprocess.run(
        [sys.executable, "-c", EXIT], check=True, timeout=60, capture_output=True, text=True
    )

    assert ended.stderr.split() == ["0", "1", "2", "3", "4"]


def unfinished(jax, steps: int) -> tuple[object, float]:
    """A jax array that is still being computed, and what its first number will be."""
    size = 256
    start = jax.numpy.full((size, size), 1.0 / size)

    @jax.jit
    def multiply(matrix):
        return jax.lax.fori_loop(0, steps, lambda _, m: m @ start, matrix)

    compiled = multiply.lower(start).compile()  # else compiling is what takes long
    return compiled(start), 1.0 / size


def test_an_array_that_is_not_ready_is_finished_later():
    """Submitting an array that jax still computes does not wait for it, and its numbers arrive."""
    jax = pytest.importorskip("jax")
    steps = 2000
    while True:
        worker = Worker(capacity=2)
        read: list[np.ndarray] = []
        array, number = unfinished(jax, steps)
        handle = pending(array)
        assert worker.submit(lambda handle=handle, read=read: read.append(handle.wait()))
        was_waited_for = array.is_ready()
        assert worker.flush(LONG_S)
        assert type(read[0]) is np.ndarray
        np.testing.assert_allclose(read[0], np.full((256, 256), number), rtol=1e-3)
        if not was_waited_for:
            return
        assert steps < 10**6, "submitting waited for the array every time"
        steps *= 4
