"""A service whose model is loaded, and used once, before the server forks its workers.

`/2` predicts class 2 in a span of its own; the answer is the class and the worker's process id.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import keras_otel

keras_otel.instrument(export=os.environ["TARGET"])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
from opentelemetry import trace  # noqa: E402

CLASSES = 5

model = keras.Sequential(
    [keras.layers.Input((CLASSES,)), keras.layers.Activation("softmax")], name="echo"
)
keras_otel.describe(model, version="7", labels=[f"class-{i}" for i in range(CLASSES)])
model(np.zeros((3, CLASSES), "float32"))
tracer = trace.get_tracer("app")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    label = int(environ["PATH_INFO"].strip("/"))
    row = 9 * np.eye(CLASSES, dtype="float32")[label : label + 1]
    with tracer.start_as_current_span("request", attributes={"app.asked": f"class-{label}"}):
        answer = int(np.argmax(np.asarray(model(row))))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{answer} {os.getpid()}".encode()]
