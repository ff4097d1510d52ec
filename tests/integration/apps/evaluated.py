"""A service of one line of keras_otel: answers are evaluated in every way, then, later and elsewhere.

    evaluated.py FILE

Refunds fail. It prints how many requests there were, and how many failed.
"""

from __future__ import annotations

import json
import sys

import keras_otel

keras_otel.instrument(export=f"file:{sys.argv[1]}")

from opentelemetry import _logs, metrics, trace  # noqa: E402
from service import LABELS, request  # noqa: E402

REQUESTS = 96
CONVENTIONS = ((), ("openinference",), ("futureagi",), ("openinference", "futureagi"))

tracer = trace.get_tracer("llm")
ended = []
failed = 0
for number in range(REQUESTS):
    fails = number % len(LABELS) == 0  # those that are predicted as refunds
    failed += fails
    verdict = {"passed": not fails, "score": 0.1 if fails else 0.9}
    with request("POST /ask"):
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat"}
        ) as span:
            if number % 2:
                keras_otel.record_evaluation(
                    "correct", **verdict, conventions=CONVENTIONS[number % 4]
                )
        if number % 4 == 2:
            keras_otel.record_evaluation(
                "correct", **verdict, span=span, conventions=CONVENTIONS[number % 3]
            )
    if number % 4 == 0:
        context = span.get_span_context()
        ended.append((f"{context.trace_id:032x}", f"{context.span_id:016x}", verdict))
for trace_id, span_id, verdict in ended:
    keras_otel.record_evaluation("correct", **verdict, span=(trace_id, span_id))

for provider in (
    trace.get_tracer_provider(),
    _logs.get_logger_provider(),
    metrics.get_meter_provider(),
):
    provider.force_flush()
print(json.dumps({"requests": REQUESTS, "failed": failed}))
