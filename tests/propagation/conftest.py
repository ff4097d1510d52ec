"""A router whose predictions the test chooses, and LLM spans that tell what they carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

import keras_otel

CLASSES = ("order", "refund", "other")

Label = tuple[str, float]
"""A class and its confidence, as a span carries them or a prediction has them."""


class Service:
    """What a service does: spans of its own, predictions, and LLM calls."""

    def __init__(self, tracer: trace.Tracer, name: str = "intent") -> None:
        self.tracer = tracer
        self.name = name
        self.model = _router(name)
        self.is_late = False
        """Whether its LLM spans say only after their start that they are about GenAI."""

    def predict(self, index: int, strength: float = 1.0) -> Label:
        """Route one question to the class of this index, the surer the greater the strength."""
        x = np.zeros((1, len(CLASSES)), "float32")
        x[0, index] = strength
        row = self.model.predict_on_batch(x)[0]
        return CLASSES[index], float(row[index])

    def llm(self, context: Context | None = None) -> Label | None:
        """Call an LLM: the label that its span carries."""
        attributes = {"gen_ai.operation.name": "chat"}
        given = None if self.is_late else attributes
        with self.tracer.start_as_current_span("chat", context, attributes=given) as span:
            span.set_attributes(attributes)
        return label_of(span, self.name)

    @contextmanager
    def span(self, name: str = "server", context: Context | None = None) -> Iterator[Span]:
        """A span of the service's own."""
        with self.tracer.start_as_current_span(name, context) as span:
            yield span


def label_of(span: Any, model: str = "intent") -> Label | None:
    """The class and confidence that a span carries for a model."""
    attributes = span.attributes
    found = attributes.get(f"keras.upstream.{model}.class")
    confidence = attributes.get(f"keras.upstream.{model}.confidence")
    if found is None:
        assert confidence is None
        return None
    return found, confidence


def _router(name: str) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((len(CLASSES),)), keras.layers.Dense(len(CLASSES), activation="softmax")]
    )
    model.set_weights([4.0 * np.eye(len(CLASSES)), np.zeros(len(CLASSES))])
    return keras_otel.describe(model, name=name, version="v1", labels=CLASSES)


@pytest.fixture
def service(telemetry) -> Service:
    """A service whose every span is recorded."""
    return Service(telemetry.tracer_provider.get_tracer("service"))


@pytest.fixture
def guard(telemetry) -> Service:
    """A second model of the same service."""
    return Service(telemetry.tracer_provider.get_tracer("service"), "guard")
