"""The SDK's limit on a span's attributes, and which attributes to keep under a low one.

The SDK itself would drop the oldest attributes, and write a log line for each of them.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv

SDK_DEFAULT_LIMIT: Final = 128
"""Attributes that the SDK keeps of a span unless it is configured otherwise."""

_MOST_IMPORTANT_FIRST: Final = (
    semconv.OPERATION_NAME,
    semconv.MODEL_NAME,
    semconv.MODEL_VERSION,
    semconv.ERROR_TYPE,
    semconv.PREDICTION_CLASS,
    semconv.PREDICTION_CONFIDENCE,
    semconv.PREDICTION_VALUE,
    semconv.PREDICTION_LABELS,
    semconv.PREDICTION_CLASSES,
    semconv.PREDICTION_CONFIDENCES,
    semconv.MODEL_TASK,
    semconv.MODEL_VERSION_CONFLICT,
    semconv.OPENINFERENCE_SPAN_KIND,
    semconv.PREDICTION_OPAQUE_REASON,
    semconv.BATCH_CONFIDENCE_MEAN,
    semconv.BATCH_CONFIDENCE_MIN,
    semconv.BATCH_SIZE,
    semconv.PREDICTION_CLASS_ID,
    semconv.INFERENCE_DURATION,
)
_RANKS: Final = {key: rank for rank, key in enumerate(_MOST_IMPORTANT_FIRST)}
_PREDICTION: Final = semconv.PREDICTION_CLASS.rpartition(".")[0]
_OUTPUT: Final = f"{semconv.OUTPUT_PREFIX}."


def limit_of_tracer(tracer: Any) -> int | None:
    """Return how many attributes a span of this tracer may have; None if that is not known."""
    # The API's ProxyTracer holds the SDK's tracer, once there is one, in `_tracer`.
    limits = getattr(getattr(tracer, "_tracer", tracer), "_span_limits", None)
    limit: int | None = getattr(limits, "max_span_attributes", None)
    return limit


def limit_of_span(span: Any) -> int | None:
    """Return how many attributes this span may have; None for any number."""
    # `_limits` is private to the SDK; where it is missing, the SDK's default is assumed.
    limits = getattr(span, "_limits", None)
    limit: int | None = getattr(limits, "max_span_attributes", SDK_DEFAULT_LIMIT)
    return limit


def within_limit(attributes: dict[str, AttributeValue], limit: int) -> dict[str, AttributeValue]:
    """Return the most important attributes, at most `limit` of them, the most important one last.

    Last, because the SDK drops the oldest ones when the program sets more later.
    """
    if len(attributes) <= limit:
        return attributes
    kept = sorted(attributes, key=_rank)[:limit]
    return {key: attributes[key] for key in reversed(kept)}


def _rank(key: str) -> int:
    if key.startswith(_OUTPUT):  # a model with several outputs has one such key for each
        key = f"{_PREDICTION}.{key.rpartition('.')[2]}"
    return _RANKS.get(key, len(_RANKS))
