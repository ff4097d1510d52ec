"""An upstream prediction as the attributes that later spans carry."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv as names
from keras_otel.records import UpstreamPrediction


def upstream_attributes(predictions: Iterable[UpstreamPrediction]) -> dict[str, AttributeValue]:
    """The `keras.upstream.<model>.*` attributes of the first eight models.

    Of two predictions whose models share a key, the first one counts.
    """
    attributes: dict[str, AttributeValue] = {}
    stamped: set[str] = set()
    for prediction in predictions:
        segment = names.key_segment(prediction.model)
        if segment in stamped:
            continue
        if len(stamped) == names.MAX_UPSTREAM_MODELS:
            break
        stamped.add(segment)
        attributes.update(attributes_of(prediction))
    return attributes


def attributes_of(prediction: UpstreamPrediction) -> dict[str, AttributeValue]:
    """The attributes of one upstream prediction; what it does not say is left out."""
    prefix = f"{names.UPSTREAM_PREFIX}.{names.key_segment(prediction.model)}."
    said: tuple[tuple[str, AttributeValue | None], ...] = (
        (names.UPSTREAM_CLASS, prediction.class_name),
        (names.UPSTREAM_CONFIDENCE, prediction.confidence),
        (names.UPSTREAM_VERSION, prediction.version),
        (names.UPSTREAM_VALUE, prediction.value),
        (names.UPSTREAM_LABELS, prediction.labels),
    )
    return {prefix + part: value for part, value in said if value is not None}
