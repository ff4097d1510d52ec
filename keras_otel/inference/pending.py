"""An inference that was seen and is not recorded yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel.inference.recipients import Recipients
from keras_otel.introspection.scope import Scope, current

_LONGEST_WAIT_S: Final = 1.0
"""For a thread that records the inference just now. Two may wait for each other: the program's hook
runs while one is recorded, and may need another."""


class _Process:
    """Which of the processes that were forked from one another this is."""

    generation = 0


def _count_child() -> None:
    _Process.generation += 1


run_in_child(_count_child)


class PendingInference:
    """Records an inference once, in the worker or in whatever thread needs it before.

    Args:
        record: Makes the span, records the metrics and tells the recipients.
    """

    __slots__ = ("_generation", "_is_done", "_lock", "_record")

    def __init__(self, record: Callable[[], object]) -> None:
        self._record: Callable[[], object] | None = record
        self._is_done = False
        self._lock = threading.RLock()
        self._generation = _Process.generation

    def promise_to(self, recipients: Recipients) -> bool:
        """Let the recipients know of it; False if it has to be recorded now.

        Another thread that finds it right away waits until they have taken note: what it settles
        would not be what was promised.
        """
        with self._lock:
            return recipients.await_later(self)

    def __call__(self) -> None:
        """Record it, or wait a moment for the thread that does so now."""
        if self._is_done or self._generation != _Process.generation:
            return  # or it is the parent process's, which records it
        if not self._lock.acquire(timeout=_LONGEST_WAIT_S):
            return
        try:
            record, self._record = self._record, None
            if record is not None:
                _recorded(record)
                self._is_done = True
        finally:
            self._lock.release()


def _recorded(record: Callable[[], object]) -> None:
    # The call itself has returned: a scope of our own keeps a hook from being observed.
    token = current.set(Scope())
    try:
        guarded(semconv.SITE_OBSERVE, record)
    finally:
        current.reset(token)
