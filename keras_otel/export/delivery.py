"""What an endpoint was given, and what arrived there: counted, so that losses can be named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel._secrets import safe_url

_PATIENCE_S: Final = 2.5
"""Time that failing exports may take of a process that ends; a refusal at once costs nothing."""


class Tally:
    """One signal's telemetry in this process: how much was handed over, and how much arrived."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.is_shut_down = False
        self.start_over()
        run_in_child(self.start_over)

    def start_over(self) -> None:
        """Count from zero: what was queued before a fork is the parent's to send."""
        self._lock = threading.Lock()
        self.taken = 0
        self.delivered = 0
        self.failed = 0
        self.last_has_failed = False

    def take(self) -> None:
        """Count one more that is to be sent; after a shutdown none is."""
        with self._lock:
            self.taken += not self.is_shut_down

    def settle(self, count: int, *, is_delivered: bool) -> None:
        """Count what an export ended with."""
        with self._lock:
            self.last_has_failed = not is_delivered
            if is_delivered:
                self.delivered += count
            else:
                self.failed += count

    @property
    def missing(self) -> int:
        """How much is still queued, or lost."""
        with self._lock:
            return max(0, self.taken - self.delivered)


class Endpoint:
    """Where all signals go.

    While the process runs every export is tried. Once it ends, an endpoint that does not answer is
    not waited for again and again: each signal and each batch would wait for its timeout.
    """

    def __init__(self, target: str) -> None:
        self.shown = target if target.startswith("file:") else safe_url(target)
        self.is_closing = False
        self._failing_s = 0.0

    def watch(
        self,
        exporter: Any,
        tally: Tally,
        results: Any,
        fit: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Count what an exporter delivers.

        Args:
            exporter: An exporter of the SDK; its `export` is replaced.
            tally: Where to count.
            results: The exporter's enumeration of results.
            fit: Makes a batch fit to be sent.

        Returns:
            The exporter itself.
        """
        export: Callable[..., Any] = exporter.export

        def counted(batch: Any, *args: Any, **kwargs: Any) -> Any:
            count = len(batch) if isinstance(batch, Sized) else 1
            if self.is_closing and self._failing_s >= _PATIENCE_S:
                tally.settle(count, is_delivered=False)
                return results.FAILURE
            is_delivered = False
            start_s = time.monotonic()
            try:
                sent = (
                    batch if fit is None else guarded(semconv.SITE_FIT_A_BATCH, fit, batch) or batch
                )
                result = export(sent, *args, **kwargs)
                is_delivered = result is results.SUCCESS
            finally:
                if self.is_closing and not is_delivered:
                    self._failing_s += time.monotonic() - start_s
                tally.settle(count, is_delivered=is_delivered)
            return result

        exporter.export = counted
        return exporter


class CountedSpanProcessor(BatchSpanProcessor):
    """The SDK's own, counting the spans that it is to send."""

    def __init__(self, exporter: Any, tally: Tally) -> None:
        super().__init__(exporter)
        self._tally = tally

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span, and count it if it was sampled."""
        super().on_end(span)
        if span.context is not None and span.context.trace_flags.sampled:
            self._tally.take()

    def shutdown(self) -> None:
        """Send what is queued, and take no more."""
        self._tally.is_shut_down = True
        super().shutdown()  # type: ignore[no-untyped-call]  # untyped upstream


class CountedLogRecordProcessor(BatchLogRecordProcessor):
    """The SDK's own, counting the log records that it is to send."""

    def __init__(self, exporter: Any, tally: Tally) -> None:
        super().__init__(exporter)
        self._tally = tally

    def on_emit(self, log_record: Any) -> None:
        """Queue the log record, and count it."""
        super().on_emit(log_record)
        self._tally.take()

    def shutdown(self) -> None:
        """Send what is queued, and take no more."""
        self._tally.is_shut_down = True
        super().shutdown()  # type: ignore[no-untyped-call]  # untyped upstream


class NotedMetricReader(PeriodicExportingMetricReader):
    """The SDK's own, which notes that it was shut down."""

    def __init__(self, exporter: Any, tally: Tally) -> None:
        super().__init__(exporter)
        self._tally = tally

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Send the last metrics."""
        self._tally.is_shut_down = True
        super().shutdown(timeout_millis, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One signal that keras_otel set up: its provider, and what that has sent."""

    provider: Any
    tally: Tally
    endpoint: Endpoint


pipelines: Final[list[Pipeline]] = []
"""What `export=` has set up in this process: traces, then logs, then metrics, which count both."""
