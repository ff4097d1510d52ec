"""Translate OpenTelemetry's names to Prometheus.

The names are those of its OTLP receiver (`translation_strategy: UnderscoreEscapingWithSuffixes`, the default) and of the
Collector's Prometheus exporters:
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from __future__ import annotations

import re
from typing import Final

from keras_otel import semconv

# An annotation such as `{prediction}` adds no suffix, and `1` adds one to gauges only.
_UNITS: Final = {"s": "_seconds", "1": ""}


def label(key: str) -> str:
    """Return the label of an attribute: `keras.model.name` is `keras_model_name`."""
    return re.sub(r"\W", "_", key)


def series(metric: semconv.Metric) -> str:
    """Return the name of a counter's series, or of a histogram's without `_bucket`, `_sum` or `_count`.

    Raises:
        KeyError: The metric has a unit that none of the package's own has.
    """
    unit = "" if metric.unit.startswith("{") else _UNITS[metric.unit]
    return f"{label(metric.name)}{unit}{'_total' if metric.kind == 'counter' else ''}"


MODEL: Final = label(semconv.MODEL_NAME)
VERSION: Final = label(semconv.MODEL_VERSION)
FINGERPRINT: Final = label(semconv.MODEL_FINGERPRINT)
CONFLICT: Final = label(semconv.MODEL_VERSION_CONFLICT)
CLASS: Final = label(semconv.PREDICTION_CLASS)
BIN: Final = label(semconv.CONFIDENCE_BIN)
OPERATION: Final = label(semconv.OPERATION_NAME)
EVALUATION: Final = label(semconv.EVALUATION_NAME)
PASSED: Final = label(semconv.EVALUATION_PASSED)
ERROR: Final = label(semconv.ERROR_TYPE)
SITE: Final = label(semconv.TELEMETRY_SITE)

EVALUATIONS: Final = series(semconv.EVALUATIONS)
PREDICTIONS: Final = series(semconv.PREDICTIONS)
CONFIDENCE: Final = series(semconv.CONFIDENCE)
DURATION: Final = series(semconv.DURATION)
TELEMETRY_ERRORS: Final = series(semconv.TELEMETRY_ERRORS)
TELEMETRY_DROPPED: Final = series(semconv.TELEMETRY_DROPPED)

SPAN_CALLS: Final = "traces_span_metrics_calls_total"
"""The Collector's count of spans, by the attributes in `SPAN_DIMENSIONS`."""

SPAN_DIMENSIONS: Final = (
    semconv.MODEL_NAME,
    semconv.MODEL_VERSION,
    semconv.MODEL_FINGERPRINT,
    semconv.MODEL_VERSION_CONFLICT,
)
"""Dimensions that the span metrics connector needs, for the alert on silent retrains."""
