"""What a span keeps where the SDK's attribute limit leaves no room for all.

The SDK would drop the oldest attributes, and write a line into the log for each of them.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv as names

_MOST_IMPORTANT_FIRST: Final = (
    names.OPERATION_NAME,
    names.MODEL_NAME,
    names.MODEL_VERSION,
    names.ERROR_TYPE,
    names.PREDICTION_CLASS,
    names.PREDICTION_CONFIDENCE,
    names.PREDICTION_VALUE,
    names.PREDICTION_LABELS,
    names.PREDICTION_CLASSES,
    names.PREDICTION_CONFIDENCES,
    names.MODEL_TASK,
    names.MODEL_VERSION_CONFLICT,
    names.OPENINFERENCE_SPAN_KIND,
    names.PREDICTION_OPAQUE_REASON,
    names.BATCH_CONFIDENCE_MEAN,
    names.BATCH_CONFIDENCE_MIN,
    names.BATCH_SIZE,
    names.PREDICTION_CLASS_ID,
    names.INFERENCE_DURATION,
)
_RANKS: Final = {key: rank for rank, key in enumerate(_MOST_IMPORTANT_FIRST)}
_PREDICTION: Final = names.PREDICTION_CLASS.rpartition(".")[0]
_OUTPUT: Final = f"{names.OUTPUT_PREFIX}."


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
