"""The child process of `keras-otel doctor`: one inference of the installed Keras, instrumented.

Writes one JSON object on stdout. What fails is raised as it is, on stderr: run
`python -m keras_otel.diagnostics.probe` to see it whole.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.instrumentor import patched
from keras_otel.metrics import dropped_counts
from keras_otel.options import ENVIRONMENT, resolve

MODEL_NAME = "doctor"


def probe(package: str) -> dict[str, Any]:
    """Instrument `package`, run a small model once, take the instrumentation out again."""
    started = time.perf_counter()
    keras = importlib.import_module(package)
    before = _own(keras.Model)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    keras_otel.instrument(tracer_provider=provider, meter_provider=meters)
    try:
        _infer(keras)
        names = patched()
    finally:
        keras_otel.uninstrument()
    return {
        "package": package,
        "version": keras.__version__,
        "backend": keras.backend.backend(),
        "patched": names,
        "spans": [_described(span) for span in exporter.get_finished_spans()],
        "metrics": _metric_names(reader),
        "failures": failure_counts(),
        "dropped": dropped_counts(),
        "is_undone": _own(keras.Model) == before,
        "duration_s": round(time.perf_counter() - started, 3),
    }


def _infer(keras: Any) -> None:
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(2, activation="softmax")]
    )
    keras_otel.describe(model, name=MODEL_NAME, labels=["no", "yes"])
    model.set_weights([np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2)])
    model.predict_on_batch(np.ones((1, 2), "float32"))


def _own(kind: type) -> dict[str, Any]:
    # Python makes an empty `__annotations__` when somebody, here Keras's serialisation, reads it.
    return {name: value for name, value in vars(kind).items() if name != "__annotations__"}


def _metric_names(reader: InMemoryMetricReader) -> list[str]:
    found = reader.get_metrics_data()
    return sorted(
        metric.name
        for resource in (found.resource_metrics if found else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _described(span: ReadableSpan) -> dict[str, Any]:
    return {"name": span.name, "attributes": dict(span.attributes or {})}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe, and load the hook if one is named."""
    parser = argparse.ArgumentParser(prog="python -m keras_otel.diagnostics.probe")
    parser.add_argument("--package", default="keras", help="keras or tf_keras")
    parser.add_argument("--hook", help="module:function of on_prediction, to load")
    parsed = parser.parse_args(arguments)
    # Keras and backends may print; stdout is for the result alone.
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Spans are looked at here, whatever the user's variables would make of them.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    facts = probe(parsed.package)
    if parsed.hook:
        resolve({}, {ENVIRONMENT["on_prediction"]: parsed.hook})
    with result:
        json.dump(facts, result, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main())
