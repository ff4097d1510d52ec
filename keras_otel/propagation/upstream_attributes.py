"""An upstream prediction as the attributes that later spans carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.records import UpstreamPrediction


def first_per_model(predictions: Iterable[UpstreamPrediction]) -> Iterator[UpstreamPrediction]:
    """Yield the first prediction of each model; models that share an attribute key are one."""
    seen: set[str] = set()
    for prediction in predictions:
        segment = semconv.key_segment(prediction.model)
        if segment not in seen:
            seen.add(segment)
            yield prediction


def upstream_attributes(predictions: Iterable[UpstreamPrediction]) -> dict[str, AttributeValue]:
    """Return the `keras.upstream.<model>.*` attributes of the first eight models.

    Of two predictions whose models share a key, the first one counts.
    """
    attributes: dict[str, AttributeValue] = {}
    for prediction in islice(first_per_model(predictions), semconv.MAX_UPSTREAM_MODELS):
        attributes.update(attributes_of(prediction))
    return attributes


def attributes_to_set(*predictions: UpstreamPrediction) -> dict[str, AttributeValue]:
    """Return the same in the order in which a span sets them, what matters most last.

    Of what the program sets later on a full span, the oldest would make room: the class comes last.
    """
    return dict(reversed(upstream_attributes(predictions).items()))


def attributes_of(prediction: UpstreamPrediction) -> dict[str, AttributeValue]:
    """Return the attributes of one upstream prediction, what matters most first.

    What it does not say is left out.
    """
    return {
        key: value
        for field, key in _fields(prediction.model)
        if (value := getattr(prediction, field)) is not None
    }


def plain(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    """Return a copy to look into: the SDK's own mapping takes several times as long for each look."""
    copy: Callable[[], dict[str, AttributeValue]] | None = getattr(attributes, "copy", None)
    return dict(attributes or {}) if copy is None else copy()


def stamp(
    span: Span,
    present: Mapping[str, AttributeValue],
    attributes: Mapping[str, AttributeValue],
    limit: int | None,
) -> bool:
    """Set upstream attributes on a span of the SDK, as far as it has room for them.

    A key that the span has already stays as it is. The SDK would drop a full span's oldest
    attributes, its own; so what has no room is left out, of the newest prediction the version first
    and the class last.

    Args:
        span: The span; recording, or ending.
        present: What it carries already.
        attributes: What it is to carry, in the order of `attributes_to_set`.
        limit: How many attributes it may have; see `limit_of_span`.

    Returns:
        True if it carries anything of them now.
    """
    if not present.keys().isdisjoint(attributes):
        attributes = {key: value for key, value in attributes.items() if key not in present}
    if limit is not None and len(present) + len(attributes) > limit:
        surplus = len(attributes) - max(0, limit - len(present))
        attributes = dict(islice(attributes.items(), surplus, None))
    return bool(attributes) and _set(span, attributes)


def _set(span: Span, attributes: Mapping[str, AttributeValue]) -> bool:
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


_FIELDS: Final = (
    ("class_name", semconv.UPSTREAM_CLASS),
    ("confidence", semconv.UPSTREAM_CONFIDENCE),
    ("value", semconv.UPSTREAM_VALUE),
    ("labels", semconv.UPSTREAM_LABELS),
    ("version", semconv.UPSTREAM_VERSION),
)


@lru_cache(maxsize=1024)
def _fields(model: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of a prediction that become attributes, each with its key."""
    return tuple([(field, semconv.upstream_key(model, part)) for field, part in _FIELDS])
