"""The second of two services: knows no model, makes an LLM span, and echoes what it was sent."""

from __future__ import annotations

import os
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from opentelemetry import baggage, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import keras_otel

provider = TracerProvider()
provider.add_span_processor(keras_otel.KerasSpanProcessor())
provider.add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(f"{os.environ['TARGET']}/v1/traces"))
)
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("answering")
app = FastAPI()


@app.get("/answer")
async def answer(request: Request, label: int) -> dict[str, Any]:
    """Answer as an LLM would be asked to, and say what arrived."""
    asked = {"gen_ai.operation.name": "chat", "app.asked": label}
    with tracer.start_as_current_span("chat", attributes=asked):
        return {
            "headers": dict(request.headers),
            "tenant": baggage.get_baggage("tenant"),
            "has_keras": "keras" in sys.modules,
        }


if __name__ == "__main__":
    FastAPIInstrumentor.instrument_app(app)
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
