"""Requests whose LLM calls name, in the name of their model, the intent that they answer.

So whatever a framework does between a prediction and a call, the call's span says itself which class
it follows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import keras
import numpy as np
from opentelemetry import trace

import keras_otel

LABELS = ["order", "refund", "other"]
QUESTION = [{"role": "user", "content": "Where is it?"}]

_intent = keras_otel.describe(
    keras.Sequential(
        [keras.layers.Input((len(LABELS),)), keras.layers.Activation("softmax")], name="intent"
    ),
    name="intent",
    version="2026-11-01",
    labels=LABELS,
)


def classify(text: str) -> str:
    """The intent that the model predicts for a text: one of its labels, which it says itself."""
    row = np.zeros((1, len(LABELS)), "float32")
    row[0, LABELS.index(text)] = 3
    return LABELS[int(np.argmax(_intent.predict_on_batch(row)))]


def answering(intent: str) -> str:
    """The name of the chat model that answers this intent."""
    return f"answer-{intent}"


def request(name: str) -> AbstractContextManager[trace.Span]:
    """The span of one request of a service."""
    return trace.get_tracer("service").start_as_current_span(name)
