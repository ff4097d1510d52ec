"""The chat service: route a question, retrieve within its topic, ask the LLM, judge the answer.

    KERAS_BACKEND=jax MODELS=demo-output/models OPENAI_BASE_URL=http://localhost:8001/v1 \
        OPENAI_API_KEY=none uvicorn --app-dir examples/intent_router service:app

`keras_otel.instrument()` is all that the upstream model's telemetry needs; where it goes is said
by `OTEL_PYTHON_KERAS_EXPORT`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras_otel

keras_otel.instrument()

from opentelemetry import _logs, trace  # noqa: E402 - instrumenting comes first, before Keras
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor  # noqa: E402

OpenAIInstrumentor().instrument()

from assistant import Assistant  # noqa: E402
from fastapi import BackgroundTasks, FastAPI, HTTPException  # noqa: E402
from judge import Judge  # noqa: E402
from library import Library  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402
from router import Router  # noqa: E402


class Message(BaseModel):
    """What a user says.

    Attributes:
        question: The text.
        session: The conversation it belongs to.
        case: The question of the corpus that it asks, where that is known; only then can the answer be
            judged.
    """

    question: str = Field(min_length=1, max_length=1000)
    session: str = ""
    case: str = ""


class Answer(BaseModel):
    """What the service says, and where it looked."""

    answer: str
    topic: str
    confidence: float


def keep_a_copy(path: str) -> None:
    """Write spans and log records that go to a server to a file of OTLP JSON lines as well."""
    from opentelemetry.exporter.otlp.json.file import FileSpanExporter
    from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    stream = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - open as long as the process is
    tracers: Any = trace.get_tracer_provider()
    tracers.add_span_processor(BatchSpanProcessor(FileSpanExporter(stream=stream)))
    loggers: Any = _logs.get_logger_provider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(FileLogExporter(stream=stream)))


if "TRACES_COPY" in os.environ:
    keep_a_copy(os.environ["TRACES_COPY"])

app = FastAPI()
router = Router(Path(os.environ.get("MODELS", "demo-output/models")))
library, assistant, judge = Library(), Assistant(), Judge()
tracer = trace.get_tracer("intent_router")


@app.post("/chat")
def chat(message: Message, background: BackgroundTasks) -> Answer:
    """Answer a question."""
    route = router.route(message.question)
    agent = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": route.topic,
        "session.id": message.session,
    }
    with tracer.start_as_current_span(f"invoke_agent {route.topic}", attributes=agent) as span:
        notes = library.search(route.topic, message.question)
        answer = assistant.answer(message.question, notes)
    background.add_task(judge.judge, message.case, answer, span.get_span_context())
    return Answer(answer=answer, topic=route.topic, confidence=route.confidence)


@app.put("/model/{version}")
def deploy(version: str) -> dict[str, str]:
    """Route by another version of the model from now on."""
    try:
        router.deploy(version)
    except KeyError:
        known = ", ".join(router.versions)
        raise HTTPException(404, f"there is no version {version!r}, only {known}") from None
    return health()


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the service answers, and by which version it routes."""
    return {"status": "ok", "version": router.version}


FastAPIInstrumentor.instrument_app(
    app, excluded_urls="health,model", exclude_spans=["receive", "send"]
)
