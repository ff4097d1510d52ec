"""What recent spans of this process carried, for evaluations and outcomes that come later."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from opentelemetry.trace import SpanContext

from keras_otel._forks import run_in_child
from keras_otel.records import UpstreamPrediction

CAPACITY: Final = 2048
"""Spans that are remembered, as many as the SDK's own queue holds."""


class RecentSpans:
    """The newest spans by trace id and span id, and what was predicted for each."""

    def __init__(self) -> None:
        self._start_over()
        run_in_child(self._start_over)

    def add(self, span: SpanContext, predictions: tuple[UpstreamPrediction, ...]) -> None:
        """Remember a span, and forget the oldest beyond the capacity."""
        # Each step is one of CPython's own, so that it takes no lock. Of two threads that come here
        # at one time, both may forget a span: then one fewer is remembered.
        spans = self._spans
        spans[span.trace_id, span.span_id] = predictions
        if len(spans) > CAPACITY:
            spans.popitem(last=False)

    def get(self, span: SpanContext) -> tuple[UpstreamPrediction, ...] | None:
        """Return what was predicted for a span; None where it is not remembered."""
        return self._spans.get((span.trace_id, span.span_id))

    def __len__(self) -> int:
        return len(self._spans)

    def _start_over(self) -> None:
        # In a plain dict, finding the oldest takes the longer the more were deleted before it.
        self._spans: OrderedDict[tuple[int, int], tuple[UpstreamPrediction, ...]] = OrderedDict()


stamped_spans: Final = RecentSpans()
"""Spans that carry upstream predictions."""

inference_spans: Final = RecentSpans()
"""Inference spans; one prediction for each output."""
