"""The span that keras_otel is compared with: what a careful engineer writes by hand.

The same facts under the same names as keras_otel's own span. What never changes is prepared once
and passed when the span starts; what the call says is passed in one go when it is known. Numbers
are converted, because OpenTelemetry stores numpy scalars as text. Errors are recorded by hand,
because `start_as_current_span` sets no `error.type`. It knows its own model: ten columns of
probabilities, one output, a result on the CPU. keras_otel has to find that out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from opentelemetry.trace import Span, Status, StatusCode, Tracer

Call = Callable[[Any], Any]

MOST_ROWS = 32
"""Rows of a batch that are told one by one; keras_otel's own default."""


def traced_by_hand(
    call: Call, tracer: Tracer, static: Mapping[str, Any], labels: list[str]
) -> Call:
    """Wrap a call of the model in a hand-written span.

    Args:
        call: Takes the input, returns the probabilities as something numpy can read.
        tracer: Tracer of the span.
        static: The attributes that are the same at each call.
        labels: Class names in the order of the columns.
    """
    name = f"{static['keras.operation.name']} {static['keras.model.name']}"

    def traced(x: Any) -> Any:
        with tracer.start_as_current_span(
            name, attributes=static, record_exception=False, set_status_on_exception=False
        ) as span:
            started = time.perf_counter()
            try:
                result = call(x)
            except Exception as error:
                _record_error(span, error)
                raise
            duration_s = time.perf_counter() - started
            if span.is_recording():
                scores = np.asarray(result)
                span.set_attributes(_facts(scores, duration_s, labels))
            return result

    return traced


def _facts(scores: np.ndarray, duration_s: float, labels: list[str]) -> dict[str, Any]:
    rows = scores.shape[0]
    facts: dict[str, Any] = {
        "keras.inference.duration": duration_s,
        "keras.inference.cold": False,
        "keras.batch.size": rows,
    }
    if rows == 1:
        second, first = np.partition(scores[0], -2)[-2:].tolist()
        class_id = int(scores[0].argmax())
        facts["keras.prediction.class"] = labels[class_id]
        facts["keras.prediction.class_id"] = class_id
        facts["keras.prediction.confidence"] = first
        facts["keras.prediction.margin"] = first - second
    else:
        confidence = scores.max(axis=1)
        if rows <= MOST_ROWS:
            facts["keras.prediction.classes"] = [labels[i] for i in scores.argmax(axis=1).tolist()]
            facts["keras.prediction.confidences"] = confidence.tolist()
        facts["keras.batch.confidence_mean"] = float(confidence.mean())
        facts["keras.batch.confidence_min"] = float(confidence.min())
    return facts


def _record_error(span: Span, error: Exception) -> None:
    span.record_exception(error)
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, str(error)))
