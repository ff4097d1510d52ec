"""Feedback uses the process's own providers where nothing is instrumented."""

from __future__ import annotations

import subprocess
import sys

SERVICE = """
import sys
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import keras_otel

keras_otel.record_evaluation("early", passed=True)  # no provider is set yet: nothing to do

spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
tracers, loggers = TracerProvider(), LoggerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
trace.set_tracer_provider(tracers)
_logs.set_logger_provider(loggers)
metrics.set_meter_provider(MeterProvider([reader]))

keras_otel.record_evaluation("late", passed=False, span=("ab" * 16, "cd" * 8))

assert [span.name for span in spans.get_finished_spans()] == ["evaluate late"]
(record,) = logs.get_finished_logs()
assert record.log_record.trace_id == int("ab" * 16, 16)
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
(metric,) = [m for m in scope.metrics if m.name == "keras.evaluations"]
assert [point.value for point in metric.data.data_points] == [1]
assert "numpy" not in sys.modules and "keras" not in sys.modules
"""


def test_a_service_that_only_evaluates():
    """The process's own providers are used, also where they come later; Keras is not needed."""
    subprocess.run([sys.executable, "-W", "error", "-c", SERVICE], check=True, timeout=60)
