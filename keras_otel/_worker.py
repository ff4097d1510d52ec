"""One background thread that does, a few milliseconds later, what the caller need not wait for.

It pauses between rounds, and so works in batches: a job costs its sender one append to a list, and
the caches are warm for all jobs of a round but the first.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from keras_otel import semconv
from keras_otel._forks import run_around_fork
from keras_otel._guard import guarded

Job = Callable[[], object]

CAPACITY: Final = 2048
"""Jobs that may wait; as many as spans may wait in the SDK's own processor."""

_PAUSE_S: Final = 0.005
"""Between rounds. Whoever waits for the worker says so, and then it does not pause."""

_WORK_S: Final = 0.0003
_YIELD_S: Final = 0.00002
"""After so much work Python's lock is free for so long: callers may be waiting for it."""

_AT_EXIT_S: Final = 5.0
_BEFORE_FORK_S: Final = 1.0


class Worker:
    """Runs jobs one after another on a daemon thread that starts with the first job.

    The queue is bounded: a job that finds it full is refused, and the caller counts it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.reset()
        _workers.add(self)

    def reset(self) -> None:
        """Start over with an empty queue and no thread, as a forked child must."""
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        # Held while a job runs, which may hold locks of the SDK: a fork waits for it.
        self._running = threading.Lock()
        # Read by senders without a lock: False only while the thread waits for `_work`.
        self._is_awake = False
        self._work = threading.Event()
        self._is_awaited = threading.Event()

    def submit(self, job: Job, capacity: int | None = None) -> bool:
        """Queue a job.

        Args:
            job: Called once, with nothing.
            capacity: How many jobs may wait before this one; the worker's own by default.

        Returns:
            False if the queue is full; the job is then left to the caller.
        """
        jobs = self._jobs
        if len(jobs) >= (self._capacity if capacity is None else capacity):
            return False
        jobs.append(job)
        # Asked after the append: the thread looks for jobs again after it has cleared the flag.
        if not self._is_awake:
            try:
                self._wake()
            except RuntimeError:  # the interpreter exits, and starts no thread any more
                jobs.pop()
                return False
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until every job submitted so far is done; False if that took too long."""
        if self._thread is None:
            return True
        if self.is_here():
            return False  # a job that would wait for itself
        done = threading.Event()
        self._jobs.append(done.set)
        self._is_awaited.set()
        self._wake()
        return done.wait(max(0.0, timeout_s))

    def is_here(self) -> bool:
        """True in the worker's own thread."""
        return threading.current_thread() is self._thread

    def hold(self, timeout_s: float) -> bool:
        """Let no job run until `release`; False if the one that runs does not end in time."""
        return self._running.acquire(timeout=timeout_s)

    def release(self) -> None:
        """Let jobs run again."""
        self._running.release()

    def _wake(self) -> None:
        if self._thread is None:
            self._start()
        self._work.set()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="keras_otel", daemon=True)
                self._thread.start()
                # Registered this late so that it runs before the providers' own exit handlers.
                atexit.register(_flush_at_exit, weakref.ref(self))

    def _serve(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            self._is_awake = True
            while self._is_awake:
                self._is_awaited.wait(_PAUSE_S)
                self._is_awaited.clear()
                self._run_round()
                if not self._jobs:
                    self._is_awake = False
                    # One that came in before the flag was cleared woke nobody.
                    self._is_awake = bool(self._jobs)

    def _run_round(self) -> None:
        started_s = time.monotonic()
        for _ in range(len(self._jobs)):
            with self._running:
                guarded(semconv.SITE_BACKGROUND_WORKER, self._jobs.popleft())
            if time.monotonic() - started_s > _WORK_S and not self._is_awaited.is_set():
                time.sleep(_YIELD_S)
                started_s = time.monotonic()


def _flush_at_exit(worker: weakref.ref[Worker]) -> None:
    alive = worker()
    if alive is not None:
        alive.flush(_AT_EXIT_S)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()

worker: Final = Worker()
"""The process's own."""


def flush_workers(timeout_s: float) -> bool:
    """Wait until every job of every worker is done; False if that took too long."""
    deadline_s = time.monotonic() + timeout_s
    are_done = [worker.flush(deadline_s - time.monotonic()) for worker in list(_workers)]
    return all(are_done)


class _AroundFork:
    """What is queued is the parent's, and no job may hold a lock that a child inherits."""

    def __init__(self) -> None:
        self._held: list[Worker] = []

    def before(self) -> None:
        """Finish what is queued, and keep jobs from running until the fork is over."""
        guarded(semconv.SITE_BEFORE_A_FORK, self._hold_all)

    def in_parent(self) -> None:
        """Go on."""
        while self._held:
            self._held.pop().release()

    def in_child(self) -> None:
        """Start over: threads do not survive a fork."""
        self._held.clear()
        for each in list(_workers):
            each.reset()

    def _hold_all(self) -> None:
        deadline_s = time.monotonic() + _BEFORE_FORK_S
        for each in list(_workers):
            if each.is_here():  # a job that forks
                continue
            each.flush(deadline_s - time.monotonic())
            if each.hold(max(0.0, deadline_s - time.monotonic())):
                self._held.append(each)


_around_fork: Final = _AroundFork()
run_around_fork(_around_fork.before, _around_fork.in_parent, _around_fork.in_child)
