"""Fixtures: an instrumented process whose spans, metrics and log records can be read back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel._worker import flush_workers

# TensorFlow prints its build facts at import; a test's output is about the test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_LONG_S = 60.0


@dataclass
class Telemetry:
    """What the instrumented process has emitted so far."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    log_exporter: InMemoryLogRecordExporter

    def spans(self) -> list[ReadableSpan]:
        """The inference spans since the last call."""
        flush_workers(_LONG_S)  # where OTEL_PYTHON_KERAS_RECORD is `background`
        spans = [
            span
            for span in self.exporter.get_finished_spans()
            if span.instrumentation_scope.name == "keras_otel"
        ]
        self.exporter.clear()
        return spans

    def span(self) -> ReadableSpan:
        """The only inference span since the last call."""
        (span,) = self.spans()
        return span

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        flush_workers(_LONG_S)
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def logs(self) -> list[ReadableLogRecord]:
        """The log records since the last call."""
        records = list(self.log_exporter.get_finished_logs())
        self.log_exporter.clear()
        return records

    def instrument(self, **options: Any) -> None:
        """Instrument (again) with these options and this telemetry's providers."""
        keras_otel.uninstrument()
        keras_otel.instrument(
            **{
                "tracer_provider": self.tracer_provider,
                "meter_provider": self.meter_provider,
                "logger_provider": self.logger_provider,
                **options,
            }
        )


@pytest.fixture
def providers() -> Iterator[Telemetry]:
    """Providers that keep what they are given; nothing is instrumented."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    log_exporter = InMemoryLogRecordExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    yield Telemetry(tracers, meters, loggers, exporter, reader, log_exporter)
    tracers.shutdown()
    meters.shutdown()
    loggers.shutdown()


@pytest.fixture
def telemetry(providers: Telemetry) -> Iterator[Telemetry]:
    """An instrumented process; at the end no error may have hidden behind the guard."""
    before = failure_counts()
    providers.instrument()
    yield providers
    keras_otel.uninstrument()
    assert failure_counts() == before


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of a device, played by the CPU's own: the framework's real arrays, never waited for."""
    import keras

    from keras_otel.introspection import arrays
    from keras_otel.introspection.arrays import Place

    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        pytest.skip("this backend has no accelerators")
    module = {"tensorflow": "_TENSORFLOW", "jax": "_JAX", "torch": "_TORCH"}[backend]
    kind = getattr(arrays, module)
    device = arrays._Kind(
        lambda leaf: Place.DEVICE if kind.place(leaf) is Place.HOST else kind.place(leaf),
        kind.to_numpy,
    )
    monkeypatch.setattr(arrays, module, device)
    monkeypatch.setitem(arrays._kinds, type(keras.ops.convert_to_tensor([0.0])), device)
