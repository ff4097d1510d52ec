"""Which predictions an evaluated span follows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.feedback.target_span import Subject
from keras_otel.propagation.resolution import carried_by, stamped_on
from keras_otel.propagation.upstream_attributes import first_per_model, plain
from keras_otel.records import UpstreamPrediction


def carried_predictions(subject: Subject) -> tuple[UpstreamPrediction, ...]:
    """What the span itself carries, where it can be read.

    A key holds only a segment of the model's name; the name itself is taken from what this process
    remembers of the span.
    """
    read = _parts_of_each(subject.attributes)
    if not read:
        return ()
    known = {
        semconv.key_segment(prediction.model): prediction
        for prediction in stamped_on(subject.span_context) or ()
    }
    return tuple([known.get(model) or _prediction(model, read[model]) for model in read])


def known_predictions(subject: Subject) -> tuple[UpstreamPrediction, ...]:
    """What this process knows the span to follow, one prediction for each model."""
    if subject.is_current:
        predictions = carried_by(subject.span, subject.context)
    else:
        predictions = stamped_on(subject.span_context) or ()
    return tuple(islice(first_per_model(predictions), semconv.MAX_UPSTREAM_MODELS))


def _parts_of_each(attributes: Mapping[str, AttributeValue]) -> dict[str, dict[str, Any]]:
    """What `keras.upstream.<model>.*` attributes say of each model."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in plain(attributes).items():
        model, part = _model_and_part(key)
        if model:
            found.setdefault(model, {})[part] = value
    return found


@lru_cache(maxsize=1024)
def _model_and_part(key: str) -> tuple[str, str]:
    prefix = f"{semconv.UPSTREAM_PREFIX}."
    if key.startswith(prefix):
        model, _, part = key.removeprefix(prefix).rpartition(".")
        if part in semconv.UPSTREAM_ATTRIBUTES:
            return model, part
    return "", ""


def _prediction(model: str, parts: Mapping[str, Any]) -> UpstreamPrediction:
    return UpstreamPrediction(
        model=model,
        version=parts.get(semconv.UPSTREAM_VERSION),
        class_name=parts.get(semconv.UPSTREAM_CLASS),
        confidence=parts.get(semconv.UPSTREAM_CONFIDENCE),
        value=parts.get(semconv.UPSTREAM_VALUE),
        labels=parts.get(semconv.UPSTREAM_LABELS),
    )
