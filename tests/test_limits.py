"""The SDK's attribute limits: what names an inference stays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel._span_limits import within_limit

NAMES = ("keras.operation.name", "keras.model.name", "keras.model.version")
PREDICTION = ("keras.prediction.class", "keras.prediction.confidence")


class Limited:
    """A provider whose spans have room for few attributes, and what it exported."""

    def __init__(self, limit: int | None) -> None:
        self.exporter = InMemorySpanExporter()
        limits = SpanLimits(max_span_attributes=limit)
        self.provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def instrument(self, **options: Any) -> None:
        """Instrument with this provider."""
        keras_otel.uninstrument()
        keras_otel.instrument(tracer_provider=self.provider, **options)

    def span(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.exporter.get_finished_spans()
        return span


@pytest.fixture(autouse=True)
def uninstrumented() -> Iterator[None]:
    """Leave nothing instrumented."""
    yield
    keras_otel.uninstrument()


def router() -> keras.Model:
    """A classifier of three classes."""
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")], name="intent"
    )


@pytest.mark.parametrize("limit", [5, 8, 12, 16])
def test_what_names_the_inference_stays(caplog, limit):
    """Name, version, operation, class and confidence are there, and the SDK has nothing to drop."""
    limited = Limited(limit)
    limited.instrument()
    with caplog.at_level(logging.WARNING):
        router()(np.ones((1, 4), "float32"))
    span = limited.span()

    assert set(NAMES + PREDICTION) <= set(span.attributes)
    assert len(span.attributes) == limit
    assert caplog.records == []


def test_a_failure_says_what_failed():
    """The type of the error is among what stays."""
    limited = Limited(4)
    limited.instrument()
    with pytest.raises(Exception, match=r"."):
        router()(np.ones((1, 7), "float32"))

    assert set(limited.span().attributes) == {*NAMES, "error.type"}


def test_several_outputs():
    """Each output's class goes before details of any."""
    limited = Limited(8)
    limited.instrument()
    x = keras.Input((4,))
    outputs = {
        name: keras.layers.Dense(3, activation="softmax", name=name)(x)
        for name in ("topic", "mood")
    }
    keras.Model(x, outputs, name="both")(np.ones((1, 4), "float32"))
    kept = set(limited.span().attributes)

    assert {*NAMES, "keras.output.topic.class", "keras.output.mood.class"} <= kept
    assert {"keras.output.topic.confidence", "keras.output.mood.confidence"} <= kept


def test_a_hook_that_adds_many():
    """What a hook adds pushes details out, and not what names the inference."""
    limited = Limited(128)
    limited.instrument(
        on_prediction=lambda span, _: span.set_attributes({f"mine{n}": n for n in range(120)})
    )
    router()(np.ones((1, 4), "float32"))

    assert set(NAMES + PREDICTION) <= set(limited.span().attributes)


def test_no_limit():
    """Without a limit all is there, in the order in which it was made."""
    limited = Limited(None)
    limited.instrument()
    router()(np.ones((1, 4), "float32"))

    assert set(NAMES + PREDICTION) < set(limited.span().attributes)


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_an_order_of_importance(limit):
    """The most important ones are kept, and stand last."""
    attributes = {"other": 1, "keras.model.name": "m", "keras.operation.name": "call"}
    kept = within_limit(dict(attributes), limit)

    expected = ["other", "keras.model.name", "keras.operation.name"]
    assert list(kept) == (expected if limit == 5 else expected[len(expected) - limit :])


def test_an_evaluation_keeps_its_name():
    """The span of a verdict on an answer that has ended says which evaluation it was."""
    limited = Limited(4)
    limited.instrument()
    tracer = limited.provider.get_tracer("app")
    with tracer.start_as_current_span("server"):
        router()(np.ones((1, 4), "float32"))
        with tracer.start_as_current_span("chat", attributes={"gen_ai.system": "x"}) as chat:
            pass
        keras_otel.record_evaluation("tone", passed=True, span=chat)
    spans = {span.name: span for span in limited.exporter.get_finished_spans()}

    assert spans["evaluate tone"].attributes["gen_ai.evaluation.name"] == "tone"
