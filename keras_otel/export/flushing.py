"""`flush` and `shutdown`: everything that was recorded leaves the process."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry import _logs, metrics, trace

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._worker import flush_workers
from keras_otel.export.deadline import in_time
from keras_otel.export.delivery import pipelines
from keras_otel.export.exits import close_endpoints, log_losses, unwatch_stop_signal
from keras_otel.options import Options, in_force

_SHUTDOWN_S: Final = 30.0
_LONGEST_S: Final = 86_400.0  # what waits for longer overflows, here or in an exporter


def flush(timeout_s: float = 5.0) -> bool:
    """Send everything that was recorded so far, and wait until it has been sent.

    First what keras_otel itself still works on, then the spans, log records and metrics of every
    provider in use: those given to `instrument()`, those of `export=`, and the process's own.
    A coroutine calls it as `await asyncio.to_thread(keras_otel.flush)`.

    Args:
        timeout_s: The longest time to wait, in seconds. What takes longer goes on in the
            background.

    Returns:
        True if everything was sent in time; False if something was late or is known to be lost.

    Raises:
        TypeError: `timeout_s` is no number.
    """
    timeout_s = _seconds(timeout_s)
    deadline_s = time.monotonic() + timeout_s
    return in_time(lambda: _flush_all(deadline_s), timeout_s)


def shutdown(timeout_s: float = _SHUTDOWN_S) -> bool:
    """Flush, and shut every provider in use down: nothing that is recorded later is sent.

    `export=` does this by itself when the interpreter exits. What could not be sent is said in one
    line of the log. Harmless twice.

    Args:
        timeout_s: The longest time to wait, in seconds.

    Returns:
        True if everything was sent in time.

    Raises:
        TypeError: `timeout_s` is no number.
    """
    timeout_s = _seconds(timeout_s)
    deadline_s = time.monotonic() + timeout_s
    is_sent = in_time(lambda: _shut_all_down(deadline_s), timeout_s)
    unwatch_stop_signal()
    return is_sent


def _seconds(timeout_s: float) -> float:
    if not isinstance(timeout_s, int | float) or math.isnan(timeout_s):
        raise TypeError(f"timeout_s must be a number of seconds such as 5.0, got {timeout_s!r}")
    return min(float(timeout_s), _LONGEST_S)


def _flush_all(deadline_s: float) -> bool:
    failed = [each.tally.failed for each in pipelines]
    is_done = flush_workers(_left_s(deadline_s))
    flushed = [_force_flush(provider, deadline_s) for provider in _providers()]
    return is_done and all(flushed) and failed == [each.tally.failed for each in pipelines]


def _force_flush(provider: Any, deadline_s: float) -> bool:
    force_flush = getattr(provider, "force_flush", None)
    if not callable(force_flush):
        return True
    arguments = (int(_left_s(deadline_s) * 1000),) if _takes_timeout(force_flush) else ()
    answers: list[Any] = []
    guarded(semconv.SITE_FLUSH_A_PROVIDER, lambda: answers.append(force_flush(*arguments)))
    return bool(answers) and answers[0] is not False


def _takes_timeout(method: Callable[..., Any]) -> bool:
    try:
        inspect.signature(method).bind(1)
    except (TypeError, ValueError):
        return False
    return True


def _shut_all_down(deadline_s: float) -> bool:
    close_endpoints()
    is_done = flush_workers(_left_s(deadline_s))
    shut = [each.provider for each in pipelines if each.tally.is_shut_down]
    for provider in _providers():
        if not any(provider is other for other in (*shut, *_shut_down)):
            _shut_down.append(provider)
            if callable(getattr(provider, "shutdown", None)):
                guarded(semconv.SITE_SHUT_A_PROVIDER_DOWN, provider.shutdown)
    return log_losses(is_done=is_done)


_shut_down: Final[list[Any]] = []


def _providers() -> Iterator[Any]:
    """Every provider in use once: of spans, then of log records, then of metrics, which count both."""
    options = in_force() or Options()
    of_signals = (
        (options.tracer_provider, trace.get_tracer_provider(), trace.TracerProvider),
        (options.logger_provider, _logs.get_logger_provider(), _logs.LoggerProvider),
        (options.meter_provider, metrics.get_meter_provider(), metrics.MeterProvider),
    )
    seen: set[int] = set()
    for given, of_process, kind in of_signals:
        own = [each.provider for each in pipelines if isinstance(each.provider, kind)]
        for provider in (given, of_process, *own):
            if provider is not None and id(provider) not in seen:
                seen.add(id(provider))
                yield provider


def _left_s(deadline_s: float) -> float:
    return max(0.0, deadline_s - time.monotonic())
