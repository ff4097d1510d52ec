"""Upstream predictions as list-members of a W3C baggage header, and back.

The form and the limits are those of https://www.w3.org/TR/baggage/. What is said of a model is sent
whole or not at all, and read so: half a prediction would be another prediction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, unquote

from keras_otel import semconv
from keras_otel.records import UpstreamPrediction

MAX_MEMBERS: Final = 64
"""Members of one header that every platform must pass on."""

MAX_BYTES: Final = 8192
"""Length of one header that every platform must pass on."""

MAX_TEXT: Final = 256
"""Characters of a model's name, a class or a version; what is longer does not travel."""

_TEXTS: Final = {semconv.UPSTREAM_CLASS: "class_name", semconv.UPSTREAM_VERSION: "version"}
_NUMBERS: Final = {semconv.UPSTREAM_CONFIDENCE: "confidence", semconv.UPSTREAM_VALUE: "value"}
_FIELDS: Final = {**_TEXTS, **_NUMBERS}
"""The parts of a prediction that may travel, and nothing else, with their fields."""

_SPACE: Final = " \t"
_PREFIX: Final = f"{semconv.UPSTREAM_PREFIX}."
_KEY: Final = re.compile(
    rf"{re.escape(_PREFIX)}([a-z0-9_-]{{1,{MAX_TEXT}}})\.({'|'.join(_FIELDS)})"
)
# What the specification allows in a value, but for `+`: some platforms write a space so, some a plus.
_VALUE: Final = re.compile(r"(?:[!#$&-*\--:<-\[\]-~]|%[0-9A-Fa-f]{2})*")
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MAX_NUMBER: Final = 32
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def merge(header: str, predictions: Iterable[UpstreamPrediction]) -> str:
    """Return the user's members of `header` as they stand there, then those of these predictions.

    Members of ours that stand in `header` are dropped. The user's go first: a model that would
    exceed a limit of the specification is left out. Of two predictions whose models share a key,
    the first one counts.
    """
    members = [
        member for member in header.split(",") if member.strip(_SPACE) and not _is_ours(member)
    ]
    length = len(",".join(members).encode())
    for group in _groups(predictions):
        longer = length + len(",".join(group)) + bool(members)
        if len(members) + len(group) <= MAX_MEMBERS and longer <= MAX_BYTES:
            members += group
            length = longer
    return ",".join(members)


def predictions_in(header: str) -> tuple[UpstreamPrediction, ...]:
    """Return the predictions in a header, at most eight, in its order; anything else is ignored.

    A model with a part that is malformed, out of range or there twice is ignored as a whole.
    """
    if len(header) > MAX_BYTES:
        return ()
    models: dict[str, dict[str, Any]] = {}
    for member in header.split(","):
        key, _, rest = member.partition("=")
        match = _KEY.fullmatch(key.strip(_SPACE))
        if match is None:
            continue
        model, part = match.groups()
        if model not in models and len(models) == semconv.MAX_UPSTREAM_MODELS:
            continue
        fields, field = models.setdefault(model, {}), _FIELDS[part]
        value = rest.partition(";")[0].strip(_SPACE)
        fields[field] = None if field in fields or "=" not in member else _decoded(part, value)
    read = (
        UpstreamPrediction(model=model, **fields)
        for model, fields in models.items()
        if None not in fields.values()
    )
    return tuple(prediction for prediction in read if _is_sound(prediction))


def _is_ours(member: str) -> bool:
    # A platform in between may have percent-encoded the key.
    return unquote(member.strip(_SPACE)).startswith(_PREFIX)


def _groups(predictions: Iterable[UpstreamPrediction]) -> Iterator[list[str]]:
    """Yield the members of each of the first eight models that can be sent."""
    seen: set[str] = set()
    sent = 0
    for prediction in predictions:
        segment = semconv.key_segment(prediction.model)
        # A model whose newest prediction cannot be sent is not sent: an older one would be wrong.
        if segment not in seen and _is_sound(prediction) and sent < semconv.MAX_UPSTREAM_MODELS:
            sent += 1
            yield [
                f"{semconv.upstream_key(prediction.model, part)}={_encoded(part, value)}"
                for part, field in _FIELDS.items()
                if (value := getattr(prediction, field)) is not None
            ]
        seen.add(segment)


def _encoded(part: str, value: Any) -> str:
    return quote(value if part in _TEXTS else repr(float(value)), safe="")


def _decoded(part: str, value: str) -> str | float | None:
    """Return a value as its type; None where it is malformed."""
    if part in _NUMBERS:
        number = unquote(value)
        is_number = len(number) <= _MAX_NUMBER and _NUMBER.fullmatch(number)
        return float(number) if is_number else None
    if not _VALUE.fullmatch(value):
        return None
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None


def _is_sound(prediction: UpstreamPrediction) -> bool:
    """Return True if it says something that can be sent and read again as it is."""
    texts = (prediction.model, prediction.class_name, prediction.version)
    confidence, value = prediction.confidence, prediction.value
    return (
        bool(prediction.model)
        and (prediction.class_name is not None or value is not None)
        and all(len(text) <= MAX_TEXT and not _SURROGATE.search(text) for text in texts if text)
        and (confidence is None or 0 <= confidence <= 1)
        and (value is None or math.isfinite(value))
    )
