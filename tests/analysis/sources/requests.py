"""Requests as the real SDK and the official file exporter write them, with known ids and times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from keras_otel import semconv
from keras_otel.semconv import upstream_key

START_NS = 1_780_000_000_000_000_000
MS = 1_000_000


class CountingIds(IdGenerator):
    """The same ids in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)


@dataclass(frozen=True, kw_only=True)
class Inference:
    """One inference span, ms after the request's start."""

    at: int = 1
    lasts: int = 2
    model: str = "intent"
    class_name: str | None = "refund"
    confidence: float | None = 0.93
    version: str = "v1"
    more: dict[str, Any] = field(default_factory=dict)

    def attributes(self) -> dict[str, Any]:
        attributes = {
            semconv.OPERATION_NAME: "predict",
            semconv.MODEL_NAME: self.model,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_FINGERPRINT: f"sha256:{self.version}",
            semconv.KERAS_VERSION: "3.15.1",
            semconv.BACKEND_NAME: "jax",
            semconv.RUNTIME_NAME: "keras",
            semconv.BATCH_SIZE: 1,
            semconv.INFERENCE_DURATION: self.lasts / 1000,
            semconv.INFERENCE_COLD: False,
            semconv.PREDICTION_CLASS: self.class_name,
            semconv.PREDICTION_CONFIDENCE: self.confidence,
        }
        return {
            key: value for key, value in {**attributes, **self.more}.items() if value is not None
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One evaluation, and how it is delivered: `event`, `log`, `attributes`, `span` (`evaluate …`)."""

    name: str = "correct"
    passed: bool | None = None
    score: float | None = None
    label: str | None = None
    error: str | None = None
    explanation: str | None = None
    by: tuple[str, ...] = ("event",)
    at: int = 20

    def attributes(self) -> dict[str, Any]:
        attributes = {
            semconv.EVALUATION_NAME: self.name,
            semconv.EVALUATION_PASSED: self.passed,
            semconv.EVALUATION_SCORE: self.score,
            semconv.EVALUATION_LABEL: self.label,
            semconv.EVALUATION_EXPLANATION: self.explanation,
            semconv.ERROR_TYPE: self.error,
        }
        return {key: value for key, value in attributes.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: a server span, inferences, one LLM span, its evaluations."""

    inferences: Sequence[Inference] = (Inference(),)
    verdicts: Sequence[Verdict] = ()
    stamps: dict[str, Any] = field(default_factory=dict)
    llm_at: int = 10
    llm_more: dict[str, Any] = field(default_factory=dict)
    root_more: dict[str, Any] = field(default_factory=dict)
    tracestate: dict[str, str] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)


def stamp(class_name: str, confidence: float, version: str = "v1", model: str = "intent"):
    """The keys that propagation sets on a later span."""
    return {
        upstream_key(model, "class"): class_name,
        upstream_key(model, "confidence"): confidence,
        upstream_key(model, "version"): version,
    }


def write(path: Path, requests: Sequence[Request]) -> list[str]:
    """Write the requests as OTLP JSON lines, and return their trace ids as hex."""
    resource = Resource({"service.name": "router", "deployment.environment.name": "test"})
    with path.open("a", encoding="utf-8") as stream:
        tracers = TracerProvider(
            resource=resource, id_generator=CountingIds(), shutdown_on_exit=False
        )
        tracers.add_span_processor(SimpleSpanProcessor(FileSpanExporter(stream=stream)))
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(FileLogExporter(stream=stream)))
        writer = _Writer(tracers, loggers)
        return [writer.write(number, request) for number, request in enumerate(requests)]


class _Writer:
    def __init__(self, tracers: TracerProvider, loggers: LoggerProvider) -> None:
        self._app = tracers.get_tracer("app")
        self._keras = tracers.get_tracer(semconv.SCOPE_NAME)
        self._llm = tracers.get_tracer("llm")
        self._logger = loggers.get_logger(semconv.SCOPE_NAME)

    def write(self, number: int, request: Request) -> str:
        start = START_NS + number * 1000 * MS
        root = self._app.start_span(
            "POST /ask",
            context=_remote(number, request.tracestate) if request.tracestate else None,
            start_time=start,
            attributes={"http.request.method": "POST", **request.root_more},
        )
        context = trace.set_span_in_context(root)
        for inference in request.inferences:
            at = start + inference.at * MS
            span = self._keras.start_span(
                f"predict {inference.model}",
                context=context,
                start_time=at,
                attributes=inference.attributes(),
            )
            span.end(at + inference.lasts * MS)
        llm_start = start + request.llm_at * MS
        llm = self._llm.start_span(
            "chat m",
            context=context,
            start_time=llm_start,
            attributes={
                "gen_ai.request.model": "m",
                "session.id": f"s{number // 3}",
                **request.stamps,
                **request.llm_more,
            },
        )
        for verdict in request.verdicts:
            self._evaluate(verdict, llm, start + verdict.at * MS)
        llm.end(llm_start + 5 * MS)
        if request.outcome:
            outcome = self._keras.start_span(
                "outcome intent",
                context=trace.set_span_in_context(llm),
                start_time=start + 25 * MS,
                attributes=request.outcome,
            )
            outcome.end(start + 25 * MS)
        root.end(start + 30 * MS)
        return f"{root.get_span_context().trace_id:032x}"

    def _evaluate(self, verdict: Verdict, llm: Any, at: int) -> None:
        attributes = verdict.attributes()
        if "event" in verdict.by:
            llm.add_event(semconv.EVALUATION_EVENT.name, attributes, at)
        if "attributes" in verdict.by:
            llm.set_attributes(attributes)
        if "log" in verdict.by:
            self._logger.emit(
                LogRecord(
                    timestamp=at,
                    context=trace.set_span_in_context(llm),
                    severity_number=SeverityNumber.INFO,
                    event_name=semconv.EVALUATION_EVENT.name,
                    attributes=attributes,
                )
            )
        if "span" in verdict.by:
            link = trace.Link(llm.get_span_context(), {semconv.LINK_TYPE: semconv.LINK_EVALUATED})
            span = self._keras.start_span(
                f"evaluate {verdict.name}",
                context=trace.set_span_in_context(llm),
                links=[link],
                start_time=at,
                attributes=attributes,
            )
            span.end(at)


def _remote(number: int, tracestate: dict[str, str]):
    """A sampled parent in another service, with its tracestate."""
    parent = SpanContext(
        trace_id=0xABC0000 + number,
        span_id=0xDEF0000 + number,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState(list(tracestate.items())),
    )
    return trace.set_span_in_context(NonRecordingSpan(parent))


def many(count: int, seed: int = 5) -> list[Request]:
    """Random requests of every kind that a source must tell the same of."""
    rng = random.Random(seed)
    requests = []
    for _ in range(count):
        inference = Inference(
            class_name=rng.choice(["refund", "shipping", "größe"]),
            confidence=rng.choice([0.2, 0.93, 0.995, 1.0, 1e-7]),
            version=rng.choice(["v1", "v2"]),
        )
        earlier = Inference(at=0, lasts=1, class_name="order", confidence=0.55)
        verdict = rng.choice(
            [
                Verdict(passed=rng.random() < 0.7, by=("event", "log")),
                Verdict(label=rng.choice(["pass", "Fail"]), by=("event",)),
                Verdict(passed=True, score=0.75, by=("span",)),
                Verdict(name="faithful", score=rng.choice([0.1, 0.9]), by=("attributes",)),
                Verdict(error="TimeoutError", by=("event",)),
                None,
            ]
        )
        stamped = rng.random() < 0.5
        requests.append(
            Request(
                inferences=rng.choice([(inference,), (earlier, inference)]),
                verdicts=[verdict] if verdict else [],
                stamps=stamp(inference.class_name, inference.confidence, inference.version)
                if stamped
                else {},
                tracestate=rng.choice([{}, {"ot": "th:8"}, {"ot": "th:c;rv:1"}]),
            )
        )
    return requests
