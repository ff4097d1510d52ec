"""Telemetry may fail, predictions may not.

No other module of the package holds an `except Exception`. What raises behind it is logged once for
each site and counted always; the caller gets a default and goes on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from keras_otel._forks import run_in_child
from keras_otel._unicode import message_of

_log = logging.getLogger("keras_otel")

P = ParamSpec("P")
R = TypeVar("R")


class SiteCounts:
    """How often something happened at each site, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        # Another thread may hold the lock at the moment of a fork; the child must not wait for it.
        run_in_child(self._start_over)

    def add(self, site: str) -> bool:
        """Count once more; True if it was the site's first."""
        with self._lock:
            self._counts[site] += 1
            return self._counts[site] == 1

    def snapshot(self) -> dict[str, int]:
        """The counts so far."""
        with self._lock:
            return dict(self._counts)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._counts.clear()


_failures = SiteCounts()


def guarded(site: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Call `function`; on an `Exception`, count it and return None.

    `BaseException` (KeyboardInterrupt, SystemExit) passes: it is not ours to keep.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the one place where telemetry's errors end
        record_failure(site, error)
        return None


def guarded_retry(site: str, function: Callable[[], R], *, pauses_s: Iterable[float]) -> R | None:
    """The same, after as many tries as there are pauses; only the failure of the last one counts."""
    for pause_s in pauses_s:
        try:
            return function()
        except Exception:  # noqa: BLE001 - the last try tells
            time.sleep(pause_s)
    return guarded(site, function)


def record_failure(site: str, error: BaseException) -> None:
    """Count a failure at `site`, and log it if it is the site's first."""
    if _failures.add(site):
        # The error's text or a log handler of the program may raise in turn.
        with contextlib.suppress(Exception):
            _log.warning(
                "keras_otel: %s failed: %s: %s (predictions are not affected; "
                "further failures there are only counted)",
                site,
                type(error).__name__,
                message_of(str(error)),
                exc_info=error if _log.isEnabledFor(logging.DEBUG) else None,
            )


def failure_counts() -> dict[str, int]:
    """How often each site failed since the process started."""
    return _failures.snapshot()
