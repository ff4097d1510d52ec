"""What recent spans of this process carried, for evaluations and outcomes that come later."""

from __future__ import annotations

import os
import threading
from typing import Final

from opentelemetry.trace import SpanContext

from keras_otel.records import UpstreamPrediction

CAPACITY: Final = 2048
"""Spans that are remembered, as many as the SDK's own queue holds."""


class Recent:
    """The newest spans by trace id and span id, and what was predicted for each."""

    def __init__(self) -> None:
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)

    def note(self, span: SpanContext, predictions: tuple[UpstreamPrediction, ...]) -> None:
        """Remember a span, and forget the oldest beyond the capacity."""
        key = (span.trace_id, span.span_id)
        with self._lock:
            self._spans[key] = predictions
            if len(self._spans) > CAPACITY:
                del self._spans[next(iter(self._spans))]

    def of(self, span: SpanContext) -> tuple[UpstreamPrediction, ...] | None:
        """What was noted of a span; None where it is not remembered."""
        return self._spans.get((span.trace_id, span.span_id))

    def __len__(self) -> int:
        return len(self._spans)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._spans: dict[tuple[int, int], tuple[UpstreamPrediction, ...]] = {}


stamped: Final = Recent()
"""Spans that carry upstream predictions."""

inferences: Final = Recent()
"""Inference spans; one prediction for each output."""
