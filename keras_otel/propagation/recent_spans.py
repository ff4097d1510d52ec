"""What recent spans of this process carried, for evaluations and outcomes that come later."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from opentelemetry.trace import SpanContext

from keras_otel._forks import run_in_child
from keras_otel.records import UpstreamPrediction

CAPACITY: Final = 2048
"""Spans that are remembered, as many as the SDK's own queue holds."""


class Recent:
    """The newest spans by trace id and span id, and what was predicted for each."""

    def __init__(self) -> None:
        self._start_over()
        run_in_child(self._start_over)

    def note(self, span: SpanContext, predictions: tuple[UpstreamPrediction, ...]) -> None:
        """Remember a span, and forget the oldest beyond the capacity."""
        key = (span.trace_id, span.span_id)
        with self._lock:
            self._spans[key] = predictions
            if len(self._spans) > CAPACITY:
                self._spans.popitem(last=False)

    def of(self, span: SpanContext) -> tuple[UpstreamPrediction, ...] | None:
        """What was noted of a span; None where it is not remembered."""
        return self._spans.get((span.trace_id, span.span_id))

    def __len__(self) -> int:
        return len(self._spans)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        # In a plain dict, finding the oldest takes the longer the more were deleted before it.
        self._spans: OrderedDict[tuple[int, int], tuple[UpstreamPrediction, ...]] = OrderedDict()


stamped: Final = Recent()
"""Spans that carry upstream predictions."""

inferences: Final = Recent()
"""Inference spans; one prediction for each output."""
