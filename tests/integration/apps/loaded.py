"""A service under load: every way in which a request may predict first and ask an LLM then.

`GET /<way>?label=2&strength=1.5` predicts class 2, the surer the greater the strength; the answer is what
the LLM's span carries. Each process checks what it exports too, and writes `figures-<pid>.json` as it ends.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import keras_otel

keras_otel.instrument()

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import Depends, FastAPI  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from opentelemetry import _logs, trace  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord  # noqa: E402
from opentelemetry.sdk._logs.export import (  # noqa: E402
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import (  # noqa: E402
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from keras_otel._guard import failure_counts  # noqa: E402
from keras_otel.metrics import dropped_counts  # noqa: E402
from keras_otel.propagation.request_tree import tree  # noqa: E402

CLASSES = [f"class {i}" for i in range(10)]
ROUNDS = 100
"""Requests between two looks at the memory."""

found: Counter[str] = Counter()
"""What the exporters saw: spans and log records by whether they carry what was asked for."""

resident: list[int] = []
"""Bytes of resident memory, every few requests and at the end."""


def look_at_memory() -> None:
    """Note how much memory is resident now."""
    resident.append(psutil.Process().memory_info().rss)


def count(kind: str, asked: Any, carried: Any) -> None:
    """Count one span, event or record as right, wrong or without a label."""
    says = "none" if carried is None else "right" if carried == asked else "wrong"
    found[f"{kind} {says}"] += 1


class CheckingSpans(SpanExporter):
    """Compares what each LLM span and its evaluation carry with what the request asked for."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            asked = (span.attributes or {}).get("app.asked")
            if asked is None:
                continue
            count("span", asked, span.attributes.get("keras.upstream.intent.class"))
            for event in span.events:
                carried = event.attributes.get("keras.upstream.intent.class")
                count("event", asked, carried)
        return SpanExportResult.SUCCESS


class CheckingLogs(LogRecordExporter):
    """Does the same with the log records of evaluations."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        for readable in batch:
            attributes = readable.log_record.attributes
            asked = attributes["gen_ai.evaluation.score.label"]
            count("record", asked, attributes.get("keras.upstream.intent.class"))
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held."""
        return True


tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(CheckingSpans(), max_queue_size=200_000))
trace.set_tracer_provider(tracers)
loggers = LoggerProvider()
loggers.add_log_record_processor(BatchLogRecordProcessor(CheckingLogs(), max_queue_size=200_000))
_logs.set_logger_provider(loggers)
tracer = trace.get_tracer("loaded")

model = keras.Sequential([keras.layers.Input((10,)), keras.layers.Activation("softmax")])
keras_otel.describe(model, name="intent", version="v1", labels=CLASSES)
with tracer.start_as_current_span("before any worker is forked"):
    model.predict_on_batch(np.eye(10, dtype="float32")[:1])

pool = ThreadPoolExecutor(4)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Write the figures when the process ends."""
    yield
    await asyncio.to_thread(write_figures)


def write_figures() -> None:
    """Write what this process saw, after everything was exported."""
    tracers.force_flush()
    loggers.force_flush()
    gc.collect()
    look_at_memory()
    figures = {
        "found": found,
        "resident": resident,
        "registry": len(tree),
        "failures": failure_counts(),
        "dropped": dropped_counts(),
    }
    Path(f"figures-{os.getpid()}.json").write_text(json.dumps(figures))


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def watch_memory(request: Any, call_next: Callable[[Any], Any]) -> Any:
    """Look at the memory every so many requests."""
    found["requests"] += 1
    if found["requests"] % ROUNDS == 0:
        look_at_memory()
    return await call_next(request)


Label = list[Any]


def predict(label: int, strength: float) -> None:
    """Predict this class."""
    model.predict_on_batch(strength * np.eye(10, dtype="float32")[label : label + 1])


def ask(label: int | None) -> Label:
    """Ask the LLM and judge its answer: what its span carries."""
    attributes = {"gen_ai.operation.name": "chat"}
    asked = {} if label is None else {"app.asked": CLASSES[label]}
    with tracer.start_as_current_span("chat", attributes=attributes | asked) as span:
        if label is not None:
            keras_otel.record_evaluation("faithfulness", passed=True, label=CLASSES[label])
        return [
            span.attributes.get(f"keras.upstream.intent.{part}")
            for part in ("class", "confidence", "version")
        ]


def predicted(label: int, strength: float) -> int:
    """A dependency that predicts; FastAPI runs it in a thread of its own."""
    predict(label, strength)
    return label


@app.get("/sync")
def sync(label: int, strength: float) -> Label:
    """All in one thread of FastAPI's pool."""
    predict(label, strength)
    return ask(label)


@app.get("/async")
async def asynchronous(label: int, strength: float) -> Label:
    """All in one task, which waits in between."""
    predict(label, strength)
    await asyncio.sleep(0)
    return ask(label)


@app.get("/thread")
async def thread(label: int, strength: float) -> Label:
    """The prediction in a thread."""
    await asyncio.to_thread(predict, label, strength)
    return ask(label)


@app.get("/task")
async def task(label: int, strength: float) -> Label:
    """The LLM in another task."""

    async def answer() -> Label:
        await asyncio.sleep(0)
        return ask(label)

    predict(label, strength)
    return await asyncio.create_task(answer())


@app.get("/child")
async def child(label: int, strength: float) -> Label:
    """The prediction in another task."""

    async def route() -> None:
        await asyncio.sleep(0)
        predict(label, strength)

    await asyncio.create_task(route())
    return ask(label)


@app.get("/executor")
async def executor(label: int, strength: float) -> Label:
    """The LLM in a pool's thread that is given the context."""
    predict(label, strength)
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(pool, run, ask, label)


@app.get("/step")
async def step(label: int, strength: float) -> Label:
    """The prediction in a step that has a span of its own and runs in a thread."""
    with tracer.start_as_current_span("route"):
        await asyncio.to_thread(predict, label, strength)
    with tracer.start_as_current_span("answer"):
        return await asyncio.to_thread(ask, label)


@app.get("/dependency")
async def dependency(label: Annotated[int, Depends(predicted)]) -> Label:
    """The prediction in a dependency."""
    await asyncio.sleep(0)
    return ask(label)


@app.get("/turns")
async def turns(label: int, strength: float) -> Label:
    """Another prediction and its answer come first."""
    predict((label + 1) % 10, strength)
    ask((label + 1) % 10)
    await asyncio.to_thread(predict, label, strength)
    return ask(label)


@app.get("/fan")
async def fan(label: int, strength: float) -> list[Label]:
    """Three items side by side, each of which predicts, waits and asks in a thread of its own."""

    def item(number: int) -> Label:
        predict(number, strength)
        time.sleep(0.002)  # else one thread is done before the next one starts
        return ask(number)

    return await asyncio.gather(
        *(asyncio.to_thread(item, (label + offset) % 10) for offset in range(3))
    )


@app.get("/gather")
async def gather(label: int, strength: float) -> list[Label]:
    """The same in tasks, which take turns."""

    async def item(number: int) -> Label:
        predict(number, strength)
        await asyncio.sleep(0)
        return ask(number)

    return await asyncio.gather(*(item((label + offset) % 10) for offset in range(3)))


@app.get("/stream")
async def stream(label: int, strength: float) -> StreamingResponse:
    """The answer is streamed from a generator that the server runs."""
    predict(label, strength)

    async def answer() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        yield json.dumps(ask(label))

    return StreamingResponse(answer(), media_type="application/json")


@app.get("/generator")
def generator(label: int, strength: float) -> StreamingResponse:
    """The same in threads."""
    predict(label, strength)

    def answer() -> Iterator[str]:
        yield json.dumps(ask(label))

    return StreamingResponse(answer(), media_type="application/json")


@app.get("/nothing")
async def nothing(label: int, strength: float) -> Label:
    """A request that predicts nothing."""
    del label, strength
    await asyncio.sleep(0)
    return ask(None)


FastAPIInstrumentor.instrument_app(app)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
