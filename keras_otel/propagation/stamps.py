"""An upstream prediction as the attributes that later spans carry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

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
    said: tuple[AttributeValue | None, ...] = (
        prediction.class_name,
        prediction.confidence,
        prediction.version,
        prediction.value,
        prediction.labels,
    )
    keys = _keys(prediction.model)
    return {key: value for key, value in zip(keys, said, strict=True) if value is not None}


def stamp(span: Any, predictions: Iterable[UpstreamPrediction]) -> bool:
    """Set the attributes on a span of the SDK, unless that would cost it one of its own.

    A key that the span has already stays as it is. A full span is left alone: the SDK would drop
    its oldest attributes.

    Returns:
        True if the span carries them now.
    """
    attributes = upstream_attributes(predictions)
    present = span.attributes
    attributes = {key: value for key, value in attributes.items() if key not in present}
    # Not public; where it is not there, the SDK's default is assumed.
    limit = getattr(getattr(span, "_limits", None), "max_span_attributes", _SDK_LIMIT)
    if not attributes or (limit is not None and len(present) + len(attributes) > limit):
        return False
    span.set_attributes(attributes)
    return True


_SDK_LIMIT = 128


@lru_cache(maxsize=1024)
def _keys(model: str) -> tuple[str, ...]:
    return tuple(
        names.upstream_key(model, part)
        for part in (
            names.UPSTREAM_CLASS,
            names.UPSTREAM_CONFIDENCE,
            names.UPSTREAM_VERSION,
            names.UPSTREAM_VALUE,
            names.UPSTREAM_LABELS,
        )
    )
