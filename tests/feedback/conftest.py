"""Fixtures and readers: what was recorded, as the SDK's exporters get it."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import keras_otel
from keras_otel.feedback import emitters, log_once
from tests.backends.models import classifier

LABELS = ["refund", "order", "other"]
GENAI = {"gen_ai.operation.name": "chat"}
EVENT = "gen_ai.evaluation.result"


@pytest.fixture(autouse=True)
def fresh_state(monkeypatch):
    """Nothing has been logged yet, and no emitters are kept: they would keep a test's spans alive."""
    monkeypatch.setattr(log_once, "_logged", set())
    monkeypatch.setattr(emitters, "_cache", [])


@pytest.fixture
def intent():
    """A real classifier with a name, a version and labels."""
    return keras_otel.describe(classifier(), name="intent", version="v1", labels=LABELS)


def span_of(telemetry, name="chat", **attributes):
    """A span of the program, current while the block runs."""
    tracer = telemetry.tracer_provider.get_tracer("app")
    return tracer.start_as_current_span(name, attributes={**GENAI, **attributes})


def upstream(model="intent", **parts):
    """Attributes of a span that was stamped in another process."""
    return {f"keras.upstream.{model}.{part}": value for part, value in parts.items()}


def finished(telemetry, name) -> ReadableSpan:
    """The only ended span of this name."""
    (span,) = [s for s in telemetry.exporter.get_finished_spans() if s.name == name]
    return span


def event_of(telemetry):
    """Name, attributes, trace id and span id of the only log record."""
    (record,) = telemetry.logs()
    log = record.log_record
    assert record.instrumentation_scope.name == "keras_otel"
    return log.event_name, dict(log.attributes), log.trace_id, log.span_id


def counts(telemetry):
    """The evaluations counted, as (attributes, number)."""
    points = telemetry.metrics().get("keras.evaluations", [])
    return [(dict(point.attributes), point.value) for point in points]


def upstream_of(attributes):
    """Which models the attributes tell of, by the class of each."""
    predicted = "keras.upstream.{}.class"
    models = {key.split(".")[2] for key in attributes if key.startswith("keras.upstream.")}
    return {model: attributes[predicted.format(model)] for model in models}
