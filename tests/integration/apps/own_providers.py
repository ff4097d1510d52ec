"""Set some providers, then ask keras_otel to export to a file, and say whose providers are there.

The arguments are the signals whose provider the program sets itself.
"""

from __future__ import annotations

import json
import sys

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
reader = InMemoryMetricReader()
mine = {
    "traces": TracerProvider(shutdown_on_exit=False),
    "metrics": MeterProvider(metric_readers=[reader], shutdown_on_exit=False),
    "logs": LoggerProvider(shutdown_on_exit=False),
}
mine["traces"].add_span_processor(SimpleSpanProcessor(spans))
setters = {
    "traces": trace.set_tracer_provider,
    "metrics": metrics.set_meter_provider,
    "logs": _logs.set_logger_provider,
}
for signal in sys.argv[1:]:
    setters[signal](mine[signal])

import keras_otel  # noqa: E402 - the providers are there first

keras_otel.instrument(export="file:filled.jsonl")

import keras  # noqa: E402
import numpy as np  # noqa: E402

keras.Sequential([keras.layers.Input((2,)), keras.layers.Activation("softmax")])(np.ones((1, 2)))
_logs.get_logger("app").emit(body="said")

getters = {
    "traces": trace.get_tracer_provider,
    "metrics": metrics.get_meter_provider,
    "logs": _logs.get_logger_provider,
}
kept = [signal for signal, provider in getters.items() if provider() is mine[signal]]
collected = reader.get_metrics_data()
json.dump(
    {"kept": kept, "spans": len(spans.get_finished_spans()), "has_metrics": collected is not None},
    sys.stdout,
)
