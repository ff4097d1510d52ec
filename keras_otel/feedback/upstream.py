"""The upstream predictions that a span follows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.feedback.target_span import TargetSpan
from keras_otel.propagation.resolution import carried_by, stamped_on
from keras_otel.propagation.upstream_attributes import first_per_model, plain
from keras_otel.records import UpstreamPrediction


def carried_predictions(target: TargetSpan) -> tuple[UpstreamPrediction, ...]:
    """Return the predictions in the span's own attributes, where these can be read.

    An attribute's key holds the model's name only in a normalised form; the name as it is written
    comes from what this process remembers of the span.
    """
    parts_by_model = _parts_by_model(target.attributes)
    if not parts_by_model:
        return ()
    remembered = {
        semconv.key_segment(prediction.model): prediction
        for prediction in stamped_on(target.span_context) or ()
    }
    return tuple(
        [
            remembered.get(model) or _prediction(model, parts_by_model[model])
            for model in parts_by_model
        ]
    )


def known_predictions(target: TargetSpan) -> tuple[UpstreamPrediction, ...]:
    """Return what this process knows the span to follow, one prediction for each model."""
    if target.is_current:
        predictions = carried_by(target.span, target.context)
    else:
        predictions = stamped_on(target.span_context) or ()
    return tuple(islice(first_per_model(predictions), semconv.MAX_UPSTREAM_MODELS))


def _parts_by_model(attributes: Mapping[str, AttributeValue]) -> dict[str, dict[str, Any]]:
    """Return the values of `keras.upstream.<model>.<part>` attributes, by model and part."""
    parts_by_model: dict[str, dict[str, Any]] = {}
    for key, value in plain(attributes).items():
        model, part = _model_and_part(key)
        if model:
            parts_by_model.setdefault(model, {})[part] = value
    return parts_by_model


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
