"""Other people's providers: stamped through, and left as they were."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs._internal import ConcurrentMultiLogRecordProcessor
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.options import Options
from keras_otel.propagation.attachment import Attachment
from keras_otel.propagation.processor_pipeline import SPANS, pipeline_of
from keras_otel.propagation.processors import KerasSpanProcessor
from tests.propagation.conftest import CLASSES, Service


class Resetting(TracerProvider):
    """As those of traceAI and Arize: the first processor that is added replaces all there are."""

    def __init__(self, default: SpanProcessor) -> None:
        super().__init__(shutdown_on_exit=False)
        super().add_span_processor(default)
        self._default_processor = True

    def add_span_processor(self, *args: Any, **kwargs: Any) -> None:
        """Shut all down and start with this one, the first time."""
        if self._default_processor:
            self._active_span_processor.shutdown()
            self._active_span_processor._span_processors = ()
            self._default_processor = False
        super().add_span_processor(*args, **kwargs)


class Replacing(TracerProvider):
    """As Phoenix's: the first processor that is added replaces its own, unless told otherwise."""

    def __init__(self, default: SpanProcessor) -> None:
        super().__init__(shutdown_on_exit=False)
        super().add_span_processor(default)
        self._default: SpanProcessor | None = default

    def add_span_processor(
        self, *args: Any, replace_default_processor: bool = True, **kwargs: Any
    ) -> None:
        """Take the default one out, the first time."""
        default = self._default
        if default is not None and replace_default_processor:
            active = self._active_span_processor
            others = [p for p in active._span_processors if p is not default]
            active._span_processors = tuple(others)
            self._default = None
            default.shutdown()
        super().add_span_processor(*args, **kwargs)


@dataclass
class Proxy(trace.TracerProvider):
    """As Logfire's: it stands in front of one that is replaced, and has no hash."""

    provider: TracerProvider

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """A tracer of the provider behind."""
        return self.provider.get_tracer(*args, **kwargs)

    def add_span_processor(self, processor: SpanProcessor) -> None:
        """Hand on."""
        self.provider.add_span_processor(processor)


class Silent(trace.TracerProvider):
    """As ddtrace's: it makes spans, and has no place for a processor."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """A tracer that makes spans of no SDK."""
        return trace.NoOpTracer()


def exporting() -> tuple[SpanProcessor, InMemorySpanExporter]:
    """A processor, and the exporter that it hands each span to."""
    exporter = InMemorySpanExporter()
    return SimpleSpanProcessor(exporter), exporter


def instrument(provider: Any) -> None:
    """Instrument with this provider alone."""
    keras_otel.uninstrument()
    keras_otel.instrument(tracer_provider=provider)


def ours(provider: TracerProvider) -> list[Any]:
    """The processors of ours that a provider has."""
    found = provider._active_span_processor._span_processors
    return [processor for processor in found if isinstance(processor, KerasSpanProcessor)]


def names(exporter: InMemorySpanExporter) -> list[str]:
    """The spans that arrived."""
    return [span.name for span in exporter.get_finished_spans()]


@pytest.fixture(autouse=True)
def nothing_hidden() -> Iterator[None]:
    """Leave nothing instrumented; no fault of ours may have hidden behind the guard."""
    before = failure_counts()
    yield
    keras_otel.uninstrument()
    assert failure_counts() == before


# -- providers that take their own exporter out ----------------------------------------------------


@pytest.mark.parametrize("kind", [Resetting, Replacing])
def test_the_exporter_stays(kind):
    """Every span still arrives, the LLM's with its label."""
    processor, exporter = exporting()
    provider = kind(processor)
    instrument(provider)
    service = Service(provider.get_tracer("app"))
    with service.span():
        label = service.predict(1)
        assert service.llm() == label

    assert names(exporter) == ["predict_on_batch intent", "chat", "server"]


@pytest.mark.parametrize("kind", [Resetting, Replacing])
def test_the_user_s_exporter_still_replaces_it(kind):
    """What the user adds afterwards replaces the default as without us, and labels go on."""
    processor, default = exporting()
    provider = kind(processor)
    instrument(provider)
    mine, exporter = exporting()
    provider.add_span_processor(mine)
    service = Service(provider.get_tracer("app"))
    with service.span():
        label = service.predict(1)
        assert service.llm() == label

    assert names(default) == []
    assert names(exporter) == ["predict_on_batch intent", "chat", "server"]
    assert len(ours(provider)) == 1


# -- providers in front of others ------------------------------------------------------------------


def test_a_proxy_without_a_hash():
    """The provider behind is found, and stamps."""
    provider = Proxy(TracerProvider(shutdown_on_exit=False))
    instrument(provider)
    service = Service(provider.get_tracer("app"))
    with service.span():
        label = service.predict(2)
        assert service.llm() == label

    assert len(ours(provider.provider)) == 1


def test_the_provider_behind_is_replaced():
    """As when Logfire is configured twice: the next inference finds the new one."""
    provider = Proxy(TracerProvider(shutdown_on_exit=False))
    instrument(provider)
    Service(provider.get_tracer("app")).predict(0)
    provider.provider = TracerProvider(shutdown_on_exit=False)
    service = Service(provider.get_tracer("app"))
    with service.span():
        label = service.predict(2)
        assert service.llm() == label

    assert len(ours(provider.provider)) == 1


def test_proxies_of_proxies_and_of_themselves():
    """Several in a row lead to the SDK's; a circle ends."""
    inner = TracerProvider(shutdown_on_exit=False)
    outer: Any = Proxy(Proxy(inner))  # type: ignore[arg-type]  # stands for one
    instrument(outer)
    service = Service(inner.get_tracer("app"))
    with service.span():
        label = service.predict(2)
        assert service.llm() == label
    outer.provider = outer

    found = pipeline_of(outer, SPANS)
    assert found is not None
    assert found.target is outer


def test_one_provider_by_two_ways():
    """A provider that is also reached through a proxy is stamped once."""
    inner = TracerProvider(shutdown_on_exit=False)
    instrument(inner)
    instrument(Proxy(inner))

    assert len(ours(inner)) == 1


def test_processors_that_somebody_takes_out():
    """Ours comes back at the next inference, and is the same one."""
    provider = TracerProvider(shutdown_on_exit=False)
    instrument(provider)
    (before,) = ours(provider)
    provider._active_span_processor._span_processors = ()
    service = Service(provider.get_tracer("app"))
    with service.span():
        label = service.predict(1)
        assert service.llm() == label

    assert ours(provider) == [before]


def test_the_process_s_provider_is_replaced(monkeypatch):
    """Inference spans and labels follow the provider that is the process's own now."""
    first, second = exporting(), exporting()
    for processor, exporter in (first, second):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        keras_otel.instrument()
        service = Service(trace.get_tracer("app"))
        with service.span():
            label = service.predict(1)
            assert service.llm() == label
        assert names(exporter) == ["predict_on_batch intent", "chat", "server"]

    assert len(names(first[1])) == 3


def test_threads_that_find_one_provider(monkeypatch):
    """Several first inferences at once add one processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    add = provider._active_span_processor.add_span_processor

    def slowly(processor: SpanProcessor) -> None:
        time.sleep(0.02)
        add(processor)

    monkeypatch.setattr(provider._active_span_processor, "add_span_processor", slowly)
    attachments = [Attachment(Options(tracer_provider=provider)) for _ in range(4)]
    threads = [threading.Thread(target=each.refresh) for each in attachments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ours(provider)) == 1


def test_the_api_s_stand_in(monkeypatch):
    """`trace.get_tracer_provider()` of before the SDK's set-up leads to the one that is set."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    instrument(trace.get_tracer_provider())
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    service = Service(trace.get_tracer("app"))
    with service.span():
        label = service.predict(1)
        assert service.llm() == label


# -- providers that run their processors in threads ------------------------------------------------


@pytest.fixture
def concurrent() -> Iterator[TracerProvider]:
    """A provider with the SDK's concurrent processor, which exports."""
    active = ConcurrentMultiSpanProcessor(num_threads=2)
    provider = TracerProvider(active_span_processor=active, shutdown_on_exit=False)
    yield provider
    provider.shutdown()
    active._executor.shutdown()


@pytest.mark.parametrize("more", [0, 1])
def test_a_concurrent_processor(concurrent, more):
    """Spans that start after or before `instrument()`, in one request after another, are stamped."""
    processor, exporter = exporting()
    concurrent.add_span_processor(processor)
    early = concurrent.get_tracer("early")
    for _ in range(more):
        concurrent.add_span_processor(KerasSpanProcessor())
    instrument(concurrent)
    instrument(concurrent)
    for index in (0, 1, 2, 0):
        service = Service(early)
        with service.span():
            assert service.llm() is None
            label = service.predict(index)
            assert label[0] == CLASSES[index]
            assert service.llm() == label

    assert names(exporter).count("chat") == 8


def test_a_processor_in_a_thread_stamps_nothing_wrong(concurrent):
    """Where only the user's own is there, in a thread that knows no request, nothing is stamped."""
    concurrent.add_span_processor(KerasSpanProcessor())
    instrument(TracerProvider(shutdown_on_exit=False))
    service = Service(concurrent.get_tracer("app"))
    for index in (0, 1):
        with service.span():
            assert service.llm() is None
            service.predict(index)
            assert service.llm() is None


def test_concurrent_log_records():
    """Log records are stamped in the thread that emits them, too."""
    active = ConcurrentMultiLogRecordProcessor(max_workers=2)
    loggers = LoggerProvider(multi_log_record_processor=active, shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)
    kept: list[Any] = []

    class Keep(SimpleSpanProcessor):
        def on_emit(self, log_record: Any) -> None:
            kept.append(log_record.log_record.attributes)

    loggers.add_log_record_processor(Keep(InMemorySpanExporter()))  # type: ignore[arg-type]  # on_emit
    keras_otel.instrument(tracer_provider=tracers, logger_provider=loggers)
    service = Service(tracers.get_tracer("app"))
    with service.span():
        label = service.predict(1)
        loggers.get_logger("app").emit(event_name="gen_ai.evaluation.result", attributes={"a": 1})
    loggers.shutdown()
    active._executor.shutdown()

    assert kept[-1].get("keras.upstream.intent.class") == label[0]


# -- providers that cannot be stamped --------------------------------------------------------------


@pytest.mark.parametrize(("propagate", "lines"), [("genai", 1), ("none", 0)])
def test_a_provider_that_takes_no_processors(caplog, monkeypatch, propagate, lines):
    """One line names it and what to do; none where nothing was to be stamped."""
    monkeypatch.setattr("keras_otel.propagation.attachment._mentioned", set())
    with caplog.at_level(logging.WARNING, "keras_otel"):
        for _ in range(2):
            keras_otel.uninstrument()
            keras_otel.instrument(tracer_provider=Silent(), propagate=propagate)
            Service(trace.NoOpTracer()).predict(0)

    texts = [record.getMessage() for record in caplog.records]
    assert [text for text in texts if "Silent" in text and "OTLP" in text] == texts
    assert len(texts) == lines


def test_a_provider_that_makes_no_spans(caplog):
    """A switched-off SDK has nothing to stamp: nothing is said."""
    with caplog.at_level(logging.WARNING, "keras_otel"):
        instrument(trace.NoOpTracerProvider())
        Service(trace.NoOpTracer()).predict(0)

    assert caplog.records == []
