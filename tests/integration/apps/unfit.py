"""Hand the SDK texts that are no valid UTF-8, in every place where a program's text can stand."""

from __future__ import annotations

import contextlib
import sys

import keras_otel

keras_otel.instrument(export=sys.argv[1])

from opentelemetry import _logs, metrics, trace  # noqa: E402 - instrumenting comes first

HALF = "half \ud83d"
tracer = trace.get_tracer("app")
for _ in range(20):
    tracer.start_span("fine", attributes={"app.text": "Rückgabe 😀"}).end()
tracer.start_span(HALF).end()
tracer.start_span("attribute", attributes={"app.text": HALF, "app.texts": [HALF], HALF: 1}).end()
with contextlib.suppress(ValueError), tracer.start_as_current_span("error"):
    raise ValueError(HALF)
with tracer.start_as_current_span("event") as span:
    span.add_event(HALF, {"app.text": HALF})
context = trace.SpanContext(1, 1, is_remote=True)
tracer.start_span("link", links=[trace.Link(context, {"app.text": HALF})]).end()
log = _logs.get_logger("app")
log.emit(body="fine")
log.emit(body=HALF, severity_text=HALF, attributes={"app.text": HALF})
log.emit(body={"messages": [{"content": HALF}]}, event_name=HALF)
metrics.get_meter("app").create_counter("app.counter").add(1, {"app.text": "fine"})
