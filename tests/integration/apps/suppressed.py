"""A program with a span of its own and two inferences, one of them suppressed."""

from __future__ import annotations

import keras
import numpy as np
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

model = keras.Sequential(
    [keras.layers.Input((2,)), keras.layers.Dense(3, activation="softmax")], name="plain"
)
one = np.ones((1, 2), "float32")

with trace.get_tracer("app").start_as_current_span("request"):
    with suppress_instrumentation():
        model(one)
    model.predict_on_batch(one)
