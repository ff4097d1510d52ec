"""What keras_otel is compared with: a span, and an evaluation, as a careful engineer writes them.

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
from opentelemetry._logs import Logger
from opentelemetry.context import get_current
from opentelemetry.metrics import Counter
from opentelemetry.trace import (
    Link,
    Span,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

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


def evaluation_by_hand(
    tracer: Tracer, logger: Logger, counter: Counter, prediction: Mapping[str, Any], model: str
) -> Callable[[Span | None], None]:
    """A function that records a verdict on a span, or the current one, as `record_evaluation` does.

    It knows the prediction that the span follows, and that the verdict is what it should be.

    Args:
        tracer: Tracer of the span that is made where the evaluated one has ended.
        logger: Logger of the event.
        counter: Counts the evaluations.
        prediction: The prediction's attributes as they stand on the evaluated span.
        model: Name of its model.
    """
    verdict = {"gen_ai.evaluation.name": "faithfulness", "keras.evaluation.passed": False}
    upstream = f"keras.upstream.{model}"
    facts = {
        **verdict,
        "gen_ai.evaluation.score.value": 0.2,
        "gen_ai.evaluation.score.label": "fail",
        **prediction,
    }
    counted = {
        **verdict,
        "keras.model.name": model,
        "keras.model.version": prediction[f"{upstream}.version"],
        "keras.prediction.class": prediction[f"{upstream}.class"],
        "keras.prediction.confidence_bin": "0.1-0.2",
    }

    def evaluate(span: Span | None) -> None:
        if span is None:
            context = get_current()
            get_current_span().add_event("gen_ai.evaluation.result", facts)
        else:
            context = set_span_in_context(span)
            link = Link(span.get_span_context(), {"keras.link.type": "evaluated"})
            tracer.start_span(
                "evaluate faithfulness", context, attributes=facts, links=(link,)
            ).end()
        logger.emit(
            timestamp=time.time_ns(),
            context=context,
            event_name="gen_ai.evaluation.result",
            attributes=facts,
        )
        counter.add(1, counted, context)

    return evaluate
