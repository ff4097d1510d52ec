"""An upstream prediction as the attributes that later spans carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._span_limits import limit_of_span
from keras_otel.records import UpstreamPrediction


def upstream_attributes(predictions: Iterable[UpstreamPrediction]) -> dict[str, AttributeValue]:
    """The `keras.upstream.<model>.*` attributes of the first eight models.

    Of two predictions whose models share a key, the first one counts.
    """
    attributes: dict[str, AttributeValue] = {}
    stamped: list[str] = []
    for prediction in predictions:
        segment = semconv.key_segment(prediction.model)
        if segment in stamped:
            continue
        if len(stamped) == semconv.MAX_UPSTREAM_MODELS:
            break
        stamped.append(segment)
        attributes.update(attributes_of(prediction))
    return attributes


def first_per_model(predictions: Iterable[UpstreamPrediction]) -> Iterator[UpstreamPrediction]:
    """Yield the first prediction of each model; models that share an attribute key are one."""
    seen: set[str] = set()
    for prediction in predictions:
        segment = semconv.key_segment(prediction.model)
        if segment not in seen:
            seen.add(segment)
            yield prediction


def attributes_of(prediction: UpstreamPrediction) -> dict[str, AttributeValue]:
    """The attributes of one upstream prediction, what matters most first.

    What it does not say is left out.
    """
    keys = _keys(prediction.model)
    attributes: dict[str, AttributeValue] = {}
    if prediction.class_name is not None:
        attributes[keys.class_name] = prediction.class_name
    if prediction.confidence is not None:
        attributes[keys.confidence] = prediction.confidence
    if prediction.value is not None:
        attributes[keys.value] = prediction.value
    if prediction.labels is not None:
        attributes[keys.labels] = prediction.labels
    if prediction.version is not None:
        attributes[keys.version] = prediction.version
    return attributes


def plain(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    """A copy to look into: the SDK's own mapping takes several times as long for each look."""
    copy: Callable[[], dict[str, AttributeValue]] | None = getattr(attributes, "copy", None)
    return dict(attributes or {}) if copy is None else copy()


def stamp(
    span: Span, present: Mapping[str, AttributeValue], predictions: Iterable[UpstreamPrediction]
) -> bool:
    """Set the attributes on a span of the SDK, as far as it has room for them.

    A key that the span has already stays as it is. The SDK would drop a full span's oldest
    attributes, its own; so what has no room is left out, of the newest prediction the version first
    and the class last.

    Args:
        span: The span; recording, or ending.
        present: What it carries already.
        predictions: What it follows.

    Returns:
        True if it carries anything of them now.
    """
    attributes = upstream_attributes(predictions)
    if not present.keys().isdisjoint(attributes):
        attributes = {key: value for key, value in attributes.items() if key not in present}
    limit = limit_of_span(span)
    if limit is not None and len(present) + len(attributes) > limit:
        room = max(0, limit - len(present))
        attributes = dict(islice(attributes.items(), room))
    # Of what the program sets later, the oldest would make room: the class comes last.
    return bool(attributes) and _put(span, dict(reversed(attributes.items())))


def _put(span: Span, attributes: Mapping[str, AttributeValue]) -> bool:
    if span.is_recording():
        span.set_attributes(attributes)
        return True
    # The SDK calls `_on_ending` for such changes, and has closed the attributes by then.
    bounded = getattr(span, "_attributes", None)
    if not isinstance(bounded, BoundedAttributes):
        return False
    was_closed = bounded._immutable  # noqa: SLF001 - there is no public way
    bounded._immutable = False  # noqa: SLF001
    try:
        for key, value in attributes.items():
            bounded[key] = value
    finally:
        bounded._immutable = was_closed  # noqa: SLF001
    return True


class _Keys(NamedTuple):
    class_name: str
    confidence: str
    version: str
    value: str
    labels: str


@lru_cache(maxsize=1024)
def _keys(model: str) -> _Keys:
    return _Keys(
        class_name=semconv.upstream_key(model, semconv.UPSTREAM_CLASS),
        confidence=semconv.upstream_key(model, semconv.UPSTREAM_CONFIDENCE),
        version=semconv.upstream_key(model, semconv.UPSTREAM_VERSION),
        value=semconv.upstream_key(model, semconv.UPSTREAM_VALUE),
        labels=semconv.upstream_key(model, semconv.UPSTREAM_LABELS),
    )
