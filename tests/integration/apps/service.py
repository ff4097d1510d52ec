"""One request of a service: a server span, under it an intent that a Keras model predicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import keras_otel

QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is my refund?"},
]
LABELS = ["refund", "invoice", "delivery"]

_intent = keras_otel.describe(
    keras.Sequential(
        [keras.layers.Input((len(LABELS),)), keras.layers.Activation("softmax")], name="intent"
    ),
    name="intent",
    version="2026-11-01",
    labels=LABELS,
)
_tracer = trace.get_tracer("service")
_turns = itertools.count()


@contextmanager
def request(name: str, *, predicts: bool = True) -> Iterator[None]:
    """Serve one request; each predicts another class, with another confidence."""
    with _tracer.start_as_current_span(name, kind=SpanKind.SERVER, record_exception=False):
        if predicts:
            turn = next(_turns)
            row = np.zeros((1, len(LABELS)), "float32")
            row[0, turn % len(LABELS)] = 2 + turn / 8
            _intent.predict(row, verbose=0)
        yield
