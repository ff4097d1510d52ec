"""What a span keeps where the SDK's attribute limit leaves no room for all.

The SDK would drop the oldest attributes, and write a line into the log for each of them.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv

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


def limit_of(tracer: Any) -> int | None:
    """How many attributes a span of this tracer may have; None if that is not known.

    The API's stand-in for a tracer is looked through.
    """
    limits = getattr(getattr(tracer, "_tracer", tracer), "_span_limits", None)
    limit: int | None = getattr(limits, "max_span_attributes", None)
    return limit


def within_limit(attributes: dict[str, AttributeValue], limit: int) -> dict[str, AttributeValue]:
    """As many attributes as there is room for; what names the inference stays, and comes last."""
    if len(attributes) <= limit:
        return attributes
    kept = sorted(attributes, key=_rank)[:limit]
    return {key: attributes[key] for key in reversed(kept)}


def _rank(key: str) -> int:
    if key.startswith(_OUTPUT):  # of a model with several outputs
        key = f"{_PREDICTION}.{key.rpartition('.')[2]}"
    return _RANKS.get(key, len(_RANKS))
