"""ddtrace as the process's OpenTelemetry provider: what it gets, as JSON on standard output.

The argument is the model server.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

os.environ.update(
    DD_TRACE_OTEL_ENABLED="true",
    DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
    DD_REMOTE_CONFIGURATION_ENABLED="false",
    DD_CRASHTRACKING_ENABLED="false",
    DD_TRACE_STARTUP_LOGS="false",
    DD_TRACE_AGENT_URL="http://127.0.0.1:9",
)
import ddtrace
from ddtrace.opentelemetry import TracerProvider
from ddtrace.trace import TraceFilter, tracer
from opentelemetry import trace

import keras_otel

base_url = sys.argv[1]
logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
logging.getLogger("ddtrace").setLevel(logging.CRITICAL)  # no agent listens
spans: list[dict[str, Any]] = []


class Keep(TraceFilter):
    """Keeps what would go to the agent."""

    def process_trace(self, finished: Any) -> None:
        for span in finished:
            tags = {**span.get_tags(), **span.get_metrics()}
            spans.append({"name": span.resource, "error": span.error, "tags": tags})


trace.set_tracer_provider(TracerProvider())
tracer.configure(trace_processors=[Keep()])
keras_otel.instrument()
ddtrace.patch(openai=True)

from intents import answering, classify  # noqa: E402 - telemetry first
from openai import AsyncOpenAI, OpenAI  # noqa: E402
from openai_clients import client_of, turns  # noqa: E402


def own_span(text: str) -> None:
    model = answering(classify(text))
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    with trace.get_tracer("app").start_as_current_span("chat", attributes=attributes):
        pass


client = client_of(OpenAI, AsyncOpenAI, base_url)
turns("own spans", own_span)
turns("turns", lambda label: client.answer(classify(label)))
json.dump(spans, sys.stdout)
