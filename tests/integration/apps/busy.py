"""Predicts much faster than a bad exporter sends, and prints what that did to the predictions.

`busy.py [TARGET]`; without a target nothing is instrumented.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
if len(sys.argv) > 1:
    import keras_otel

    keras_otel.instrument(export=sys.argv[1])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402

PREDICTIONS = 3000
PATIENCE_S = 30.0

model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Activation("softmax")])
rows = np.random.default_rng(7).normal(size=(PREDICTIONS, 1, 8)).astype("float32")
tracer = trace.get_tracer("busy")


def predict_all() -> dict[str, Any]:
    """Serve many requests: what was answered, and how long each prediction took."""
    answers, took_s = hashlib.sha256(), []
    for row in rows:
        with tracer.start_as_current_span("request"):
            start = time.perf_counter()
            answer = model.predict_on_batch(row)
            took_s.append(time.perf_counter() - start)
            with tracer.start_as_current_span("chat", attributes={"gen_ai.system": "test"}):
                answers.update(np.asarray(answer).tobytes())
    return {
        "answers": answers.hexdigest(),
        "median_s": statistics.median(took_s),
        "slowest_s": max(took_s),
        "total_s": sum(took_s),
    }


def lost() -> dict[str, int]:
    """What is counted as lost.

    The SDK counts the spans that its full queue dropped and the exports that were refused, and
    keras_otel what failed or was dropped in it.
    """
    data = reader.get_metrics_data()
    counts = {}
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    error = point.attributes.get("error.type")
                    status = point.attributes.get("http.response.status_code", 200)
                    if metric.name == "otel.sdk.processor.span.processed" and error:
                        counts[error] = point.value
                    elif metric.name == "otel.sdk.exporter.operation.duration" and status != 200:
                        counts[f"status {status}"] = point.count
                    elif metric.name.startswith("keras.telemetry."):
                        counts[metric.name] = point.value
    return counts


said = predict_all()
deadline = time.monotonic() + PATIENCE_S
while len(sys.argv) > 1 and not said.get("lost") and time.monotonic() < deadline:
    time.sleep(0.1)
    said["lost"] = lost()
print(json.dumps({**said, "ended_at_s": time.time()}), flush=True)
