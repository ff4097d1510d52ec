"""The child process of `keras-otel doctor`: one inference of the installed Keras, instrumented.

It writes one JSON object to standard output. What fails is raised unchanged: run
`python -m keras_otel.diagnostics.probe` for the full traceback.
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
    """Instrument `package`, run one inference of a small model, and uninstrument it again.

    Args:
        package: `keras` or `tf_keras`.

    Returns:
        What was patched, recorded and dropped, as JSON values.
    """
    started = time.perf_counter()
    keras = importlib.import_module(package)
    attributes_before = _class_attributes(keras.Model)
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)
    keras_otel.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    try:
        _run_inference(keras)
        names = patched()
    finally:
        keras_otel.uninstrument()
    return {
        "package": package,
        "version": keras.__version__,
        "backend": keras.backend.backend(),
        "patched": names,
        "spans": [_span_as_json(span) for span in exporter.get_finished_spans()],
        "metrics": _metric_names(reader),
        "failures": failure_counts(),
        "dropped": dropped_counts(),
        "is_undone": _class_attributes(keras.Model) == attributes_before,
        "duration_s": round(time.perf_counter() - started, 3),
    }


def _run_inference(keras: Any) -> None:
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(2, activation="softmax")]
    )
    keras_otel.describe(model, name=MODEL_NAME, labels=["no", "yes"])
    model.set_weights([np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2)])
    model.predict_on_batch(np.ones((1, 2), "float32"))


def _class_attributes(model_class: type) -> dict[str, Any]:
    # Python creates an empty `__annotations__` when it is read, here by Keras's serialisation.
    return {name: value for name, value in vars(model_class).items() if name != "__annotations__"}


def _metric_names(reader: InMemoryMetricReader) -> list[str]:
    metrics = reader.get_metrics_data()
    return sorted(
        metric.name
        for resource in (metrics.resource_metrics if metrics else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _span_as_json(span: ReadableSpan) -> dict[str, Any]:
    return {"name": span.name, "attributes": dict(span.attributes or {})}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe, load the hook if one is named, and print the result as JSON.

    Args:
        arguments: The command-line arguments; those of the process by default.

    Returns:
        The exit code, always 0: every failure is raised.
    """
    parser = argparse.ArgumentParser(prog="python -m keras_otel.diagnostics.probe")
    parser.add_argument("--package", default="keras", help="keras or tf_keras")
    parser.add_argument("--hook", help="module:function of on_prediction, to load")
    parsed = parser.parse_args(arguments)
    # Keras and its backends may print to standard output, which is for the result alone.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The probe uses its own providers and default options, whatever the user's variables say.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    result = probe(parsed.package)
    if parsed.hook:
        resolve({}, {ENVIRONMENT["on_prediction"]: parsed.hook})
    with output:
        json.dump(result, output, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main())
