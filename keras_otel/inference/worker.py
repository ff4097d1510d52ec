"""One background thread that finishes what the caller must not wait for."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable

from keras_otel._forks import run_in_child
from keras_otel._guard import guarded

Job = Callable[[], object]

_CLOSE_TIMEOUT_S = 5.0


class Worker:
    """Runs jobs one after another on a daemon thread that starts with the first job.

    The queue is bounded: a job that finds it full is refused, and the caller counts it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.reset()
        _workers.add(self)

    def reset(self) -> None:
        """Start over with an empty queue and no thread, as a forked child must."""
        self._jobs: queue.Queue[Job] = queue.Queue(self._capacity)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, job: Job) -> bool:
        """Queue a job; False if the queue is full."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        if self._thread is None:
            self._start()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until every job submitted so far is done; False if that took too long."""
        if self._thread is None:
            return True
        done = threading.Event()
        deadline_s = time.monotonic() + timeout_s
        try:
            self._jobs.put(done.set, timeout=max(0.0, timeout_s))
        except queue.Full:
            return False
        return done.wait(max(0.0, deadline_s - time.monotonic()))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_run, args=(self._jobs,), name="keras_otel", daemon=True
                )
                self._thread.start()
                # Registered this late so that it runs before the providers' own exit handlers.
                atexit.register(_flush_at_exit, weakref.ref(self))


def _run(jobs: queue.Queue[Job]) -> None:
    while True:
        job = jobs.get()
        guarded("background worker", job)
        del job  # a job holds device memory; do not keep the last one while waiting


def _flush_at_exit(worker: weakref.ref[Worker]) -> None:
    alive = worker()
    if alive is not None:
        alive.flush(_CLOSE_TIMEOUT_S)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def flush_workers(timeout_s: float) -> bool:
    """Wait until every job of every worker is done; False if that took too long."""
    deadline_s = time.monotonic() + timeout_s
    are_done = [worker.flush(deadline_s - time.monotonic()) for worker in list(_workers)]
    return all(are_done)


def _after_fork() -> None:
    # Threads do not survive a fork, and their queue's locks may be held for ever.
    for worker in list(_workers):
        worker.reset()


run_in_child(_after_fork)
