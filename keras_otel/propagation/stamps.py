"""An upstream prediction as the attributes that later spans carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv as names
from keras_otel.records import UpstreamPrediction


def upstream_attributes(predictions: Iterable[UpstreamPrediction]) -> dict[str, AttributeValue]:
    """The `keras.upstream.<model>.*` attributes of the first eight models.

    Of two predictions whose models share a key, the first one counts.
    """
    attributes: dict[str, AttributeValue] = {}
    stamped: list[str] = []
    for prediction in predictions:
        segment = names.key_segment(prediction.model)
        if segment in stamped:
            continue
        if len(stamped) == names.MAX_UPSTREAM_MODELS:
            break
        stamped.append(segment)
        attributes.update(attributes_of(prediction))
    return attributes


def attributes_of(prediction: UpstreamPrediction) -> dict[str, AttributeValue]:
    """The attributes of one upstream prediction; what it does not say is left out."""
    keys = _keys(prediction.model)
    attributes: dict[str, AttributeValue] = {}
    if prediction.class_name is not None:
        attributes[keys.class_name] = prediction.class_name
    if prediction.confidence is not None:
        attributes[keys.confidence] = prediction.confidence
    if prediction.version is not None:
        attributes[keys.version] = prediction.version
    if prediction.value is not None:
        attributes[keys.value] = prediction.value
    if prediction.labels is not None:
        attributes[keys.labels] = prediction.labels
    return attributes


def plain(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    """A copy to look into: the SDK's own mapping takes several times as long for each look."""
    copy: Callable[[], dict[str, AttributeValue]] | None = getattr(attributes, "copy", None)
    return dict(attributes or {}) if copy is None else copy()


def stamp(
    span: Span, present: Mapping[str, AttributeValue], predictions: Iterable[UpstreamPrediction]
) -> bool:
    """Set the attributes on a span of the SDK, unless that would cost it one of its own.

    A key that the span has already stays as it is. A full span is left alone: the SDK would drop
    its oldest attributes.

    Args:
        span: The span.
        present: What it carries already.
        predictions: What it follows.

    Returns:
        True if the span carries them now.
    """
    attributes = upstream_attributes(predictions)
    if not present.keys().isdisjoint(attributes):
        attributes = {key: value for key, value in attributes.items() if key not in present}
    # Not public; where it is not there, the SDK's default is assumed.
    limit = getattr(getattr(span, "_limits", None), "max_span_attributes", _SDK_LIMIT)
    if not attributes or (limit is not None and len(present) + len(attributes) > limit):
        return False
    span.set_attributes(attributes)
    return True


_SDK_LIMIT = 128


class _Keys(NamedTuple):
    class_name: str
    confidence: str
    version: str
    value: str
    labels: str


@lru_cache(maxsize=1024)
def _keys(model: str) -> _Keys:
    return _Keys(
        class_name=names.upstream_key(model, names.UPSTREAM_CLASS),
        confidence=names.upstream_key(model, names.UPSTREAM_CONFIDENCE),
        version=names.upstream_key(model, names.UPSTREAM_VERSION),
        value=names.upstream_key(model, names.UPSTREAM_VALUE),
        labels=names.upstream_key(model, names.UPSTREAM_LABELS),
    )
