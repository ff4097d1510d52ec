"""What `apps/every_head.py` must send: every span, metric and log, by name, type and value."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import pytest
from received import Point, Span, Telemetry, Typed

from keras_otel import semconv

Attributes = dict[str, Typed]

_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{12}")
_INTERNAL, _UNSET, _ERROR, _CUMULATIVE = 1, 0, 2, 2


def _near(value: float) -> Any:
    return pytest.approx(value, abs=1e-6)


def _prediction(name: str, class_id: int, confidence: float, margin: float) -> Attributes:
    return {
        semconv.PREDICTION_CLASS: ("string", name),
        semconv.PREDICTION_CLASS_ID: ("int", class_id),
        semconv.PREDICTION_CONFIDENCE: ("double", _near(confidence)),
        semconv.PREDICTION_MARGIN: ("double", _near(margin)),
    }


_BATCH: Attributes = {
    semconv.BATCH_CONFIDENCE_MEAN: ("double", _near(0.7)),
    semconv.BATCH_CONFIDENCE_MIN: ("double", _near(0.7)),
}
_THREE_ROWS: Attributes = {
    semconv.PREDICTION_CLASSES: ("string[]", ["refund", "refund", "refund"]),
    semconv.PREDICTION_CONFIDENCES: ("double[]", [_near(0.7)] * 3),
}
_SPAM: Attributes = {
    semconv.PREDICTION_CLASS: ("string", "1"),
    semconv.PREDICTION_CLASS_ID: ("int", 1),
    semconv.PREDICTION_CONFIDENCE: ("double", _near(0.9)),
}
_ENCODED: Attributes = {
    semconv.EMBEDDING_DIMENSION: ("int", 2),
    semconv.EMBEDDING_NORM: ("double", _near(5.0)),
}
_TOPICS: Attributes = {
    semconv.MODEL_CLASS: ("string", "Functional"),
    semconv.PREDICTION_OPAQUE_REASON: ("string", "several outputs: see keras.output.*"),
    "keras.output.topic.task": ("string", "multiclass"),
    "keras.output.topic.class": ("string", "hardware"),
    "keras.output.topic.class_id": ("int", 0),
    "keras.output.topic.confidence": ("double", _near(0.5)),
    "keras.output.topic.margin": ("double", _near(0.0)),
    "keras.output.urgency.task": ("string", "regression"),
    "keras.output.urgency.value": ("double", _near(0.0)),
}
_BROKEN: Attributes = {
    semconv.MODEL_CLASS: ("string", "Broken"),
    semconv.ERROR_TYPE: ("string", "ValueError"),
}
_RETRAINED = {
    semconv.MODEL_VERSION_CONFLICT: ("boolean", True),
    **_prediction("other", 2, 0.6, 0.3),
}

# Operation, model, version, task, rows, cold, and what the prediction adds.
SPANS: list[tuple[str, str, str, str, int, bool, Attributes]] = [
    ("call", "intent", "2026-11-01", "multiclass", 1, True, _prediction("refund", 1, 0.7, 0.5)),
    ("predict", "intent", "2026-11-01", "multiclass", 3, True, {**_BATCH, **_THREE_ROWS}),
    ("predict", "intent", "2026-11-01", "multiclass", 40, False, _BATCH),
    (
        "predict_on_batch",
        "intent",
        "2026-11-01",
        "multiclass",
        1,
        False,
        _prediction("refund", 1, 0.7, 0.5),
    ),
    ("call", "spam", "7", "binary", 1, True, _SPAM),
    (
        "call",
        "toxicity",
        "7",
        "multilabel",
        1,
        True,
        {semconv.PREDICTION_LABELS: ("string[]", ["toxic", "insult"])},
    ),
    ("call", "price", "7", "regression", 1, True, {semconv.PREDICTION_VALUE: ("double", 17.25)}),
    ("call", "encoder", "7", "embedding", 1, True, _ENCODED),
    (
        "call",
        "mystery",
        "its fingerprint",
        "opaque",
        1,
        True,
        {semconv.PREDICTION_OPAQUE_REASON: ("string", "no head known")},
    ),
    ("call", "topics", "7", "opaque", 1, True, _TOPICS),
    ("call", "Broken", "7", "regression", 1, True, _BROKEN),
    ("call", "intent", "2026-11-01", "multiclass", 1, False, _RETRAINED),
]

# Rows by model and class.
PREDICTIONS: dict[tuple[str, str | None], int] = {
    ("intent", "refund"): 45,
    ("intent", "other"): 1,
    ("spam", "1"): 1,
    ("toxicity", "toxic"): 1,
    ("toxicity", "insult"): 1,
    ("price", None): 1,
    ("encoder", None): 1,
    ("mystery", None): 1,
    ("topics", "hardware"): 1,
    ("topics", None): 1,
}

# Inferences by operation, model and error.
DURATIONS: dict[tuple[str, str, str | None], int] = {
    ("call", "intent", None): 2,
    ("predict", "intent", None): 2,
    ("predict_on_batch", "intent", None): 1,
    ("call", "spam", None): 1,
    ("call", "toxicity", None): 1,
    ("call", "price", None): 1,
    ("call", "encoder", None): 1,
    ("call", "mystery", None): 1,
    ("call", "topics", None): 1,
    ("call", "Broken", "ValueError"): 1,
}

# Which series of confidences there are; large batches are sampled, so no counts.
CONFIDENT: set[tuple[str, str]] = {
    ("intent", "refund"),
    ("intent", "other"),
    ("spam", "1"),
    ("topics", "hardware"),
}

LOG_ATTRIBUTES: Attributes = {
    "text": ("string", "a"),
    "whole": ("int", 3),
    "real": ("double", 0.5),
    "flag": ("boolean", True),
    "list": ("string[]", ["a", "b"]),
}


def is_complete(telemetry: Telemetry) -> bool:
    """Whether all three signals are there, as far as counting goes."""
    return (
        len(telemetry.keras_spans()) >= len(SPANS)
        and bool(telemetry.logs)
        and len(telemetry.last_points(semconv.PREDICTIONS.name)) >= len(PREDICTIONS)
    )


def check(telemetry: Telemetry, backend: str) -> None:
    """Assert that everything arrived as it must: nothing missing, nothing more."""
    (request,) = (span for span in telemetry.spans if span.name == "request")
    spans = telemetry.keras_spans()
    assert [span.name for span in spans] == [f"{row[0]} {row[1]}" for row in SPANS]
    assert len(telemetry.spans) == len(SPANS) + 1
    for span, row in zip(spans, SPANS, strict=True):
        _check_span(span, row, backend, request)
    _check_error(next(span for span in spans if span.status == _ERROR))
    _check_metrics(telemetry, request.trace_id)
    _check_log(telemetry, request)


def _check_span(
    span: Span, row: tuple[str, str, str, str, int, bool, Attributes], backend: str, request: Span
) -> None:
    operation, model, version, task, rows, cold, more = row
    arrived = dict(span.attributes)
    kind, duration = arrived.pop(semconv.INFERENCE_DURATION)
    assert kind == "double"
    assert span.end_ns - span.start_ns == pytest.approx(duration * 1e9, abs=1)
    kind, fingerprint = arrived.pop(semconv.MODEL_FINGERPRINT)
    assert kind == "string"
    assert _FINGERPRINT.fullmatch(fingerprint)
    expected: Attributes = {
        semconv.OPERATION_NAME: ("string", operation),
        semconv.MODEL_NAME: ("string", model),
        semconv.MODEL_VERSION: ("string", fingerprint if model == "mystery" else version),
        semconv.MODEL_CLASS: ("string", "Sequential"),
        semconv.MODEL_PRECISION: ("string", "float32"),
        semconv.MODEL_TASK: ("string", task),
        semconv.BACKEND_NAME: ("string", backend),
        semconv.RUNTIME_NAME: ("string", "keras"),
        semconv.KERAS_VERSION: ("string", metadata.version("keras")),
        semconv.BATCH_SIZE: ("int", rows),
        semconv.INFERENCE_COLD: ("boolean", cold),
        **more,
    }
    if model == "Broken":
        del expected[semconv.MODEL_PRECISION]  # it has no weights
    assert arrived == expected
    for key, (kind, _) in span.attributes.items():
        if not key.startswith(semconv.OUTPUT_PREFIX):
            assert kind == semconv.ATTRIBUTES[key].type, key
    assert (span.kind, span.trace_id, span.parent_id) == (
        _INTERNAL,
        request.trace_id,
        request.span_id,
    )
    assert span.status == (_ERROR if model == "Broken" else _UNSET)
    assert span.resource["service.name"] == ("string", "integration")


def _check_error(span: Span) -> None:
    assert "bad shape" in span.message
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == ("string", "ValueError")
    assert event.attributes["exception.message"] == ("string", span.message)


def _check_metrics(telemetry: Telemetry, trace_id: str) -> None:
    durations = telemetry.last_points(semconv.DURATION.name)
    assert {_key(p, *_BY_CALL): p.count for p in durations} == DURATIONS
    confidences = telemetry.last_points(semconv.CONFIDENCE.name)
    assert {_key(p, *_BY_CLASS) for p in confidences} == CONFIDENT
    predictions = telemetry.last_points(semconv.PREDICTIONS.name)
    assert {_key(p, *_BY_CLASS): p.value for p in predictions} == {
        key: ("int", rows) for key, rows in PREDICTIONS.items()
    }
    for point in durations + confidences:
        assert point.exemplar_traces == {trace_id}
        assert sum(point.buckets) == point.count
    for point in durations + confidences + predictions:
        _check_shape(point)


_BY_CALL = (semconv.OPERATION_NAME, semconv.MODEL_NAME, semconv.ERROR_TYPE)
_BY_CLASS = (semconv.MODEL_NAME, semconv.PREDICTION_CLASS)


def _key(point: Point, *keys: str) -> Any:
    return tuple(point.attributes.get(key, ("", None))[1] for key in keys)


def _check_shape(point: Point) -> None:
    metric = semconv.METRICS[point.metric]
    assert point.kind == ("sum" if metric.kind == "counter" else "histogram")
    assert (point.unit, point.bounds) == (metric.unit, metric.boundaries)
    assert point.temporality == _CUMULATIVE
    assert set(point.attributes) <= set(metric.attributes)
    for key, (kind, _) in point.attributes.items():
        assert kind == semconv.ATTRIBUTES[key].type, key
    assert point.resource["service.name"] == ("string", "integration")


def _check_log(telemetry: Telemetry, request: Span) -> None:
    (log,) = telemetry.logs
    assert (log.event_name, log.severity, log.body) == (
        "app.answered",
        9,
        ("string", "refund paid"),
    )
    assert log.attributes == LOG_ATTRIBUTES
    assert (log.trace_id, log.span_id) == (request.trace_id, request.span_id)
    assert log.resource["service.name"] == ("string", "integration")
