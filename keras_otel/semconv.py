"""Every attribute, metric and event name that leaves the process, each written once.

A name is a plain `str` constant; `ATTRIBUTES` and `METRICS` describe them for documentation,
dashboards and tests. The project's own names live under `keras.*`: never `gen_ai.*` on a
classifier, because backends take any `gen_ai.` key for an LLM span.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

AttributeType = Literal["string", "string[]", "int", "double", "double[]", "boolean"]
Cardinality = Literal["low", "medium", "high"]

SCOPE_NAME: Final = "keras_otel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute: its key, its OpenTelemetry type, how many values it takes, when it is set."""

    key: str
    type: AttributeType
    cardinality: Cardinality
    when: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One instrument: its name, kind, unit, and bucket boundaries where it is a histogram."""

    name: str
    kind: Literal["histogram", "counter"]
    unit: str
    description: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()


ATTRIBUTES: dict[str, Attribute] = {}
METRICS: dict[str, Metric] = {}


def _attribute(
    key: str, type_: AttributeType, cardinality: Cardinality, when: str, unit: str = ""
) -> str:
    ATTRIBUTES[key] = Attribute(key=key, type=type_, cardinality=cardinality, when=when, unit=unit)
    return key


def _metric(metric: Metric) -> Metric:
    METRICS[metric.name] = metric
    return metric


# -- The call ----------------------------------------------------------------------------------

OPERATION_NAME: Final = _attribute("keras.operation.name", "string", "low", "always")
RUNTIME_NAME: Final = _attribute("keras.runtime.name", "string", "low", "always")
BACKEND_NAME: Final = _attribute("keras.backend.name", "string", "low", "always")
KERAS_VERSION: Final = _attribute("keras.version", "string", "low", "always")
INFERENCE_DURATION: Final = _attribute(
    "keras.inference.duration", "double", "high", "always: the call alone", unit="s"
)
INFERENCE_COLD: Final = _attribute(
    "keras.inference.cold",
    "boolean",
    "low",
    "always: first call of this function (tracing, compiling)",
)
ERROR_TYPE: Final = _attribute("error.type", "string", "low", "failure")

# -- The model ---------------------------------------------------------------------------------

MODEL_NAME: Final = _attribute("keras.model.name", "string", "low", "always")
MODEL_VERSION: Final = _attribute("keras.model.version", "string", "medium", "always, once known")
MODEL_FINGERPRINT: Final = _attribute(
    "keras.model.fingerprint", "string", "medium", "when computed"
)
MODEL_VERSION_CONFLICT: Final = _attribute(
    "keras.model.version_conflict",
    "boolean",
    "low",
    "when the version label was seen with another fingerprint",
)
MODEL_CLASS: Final = _attribute("keras.model.class", "string", "low", "always")
MODEL_TASK: Final = _attribute("keras.model.task", "string", "low", "always")
MODEL_PRECISION: Final = _attribute("keras.model.precision", "string", "low", "when known")

# -- The prediction ----------------------------------------------------------------------------

BATCH_SIZE: Final = _attribute("keras.batch.size", "int", "medium", "always", unit="{row}")
BATCH_CONFIDENCE_MEAN: Final = _attribute(
    "keras.batch.confidence_mean", "double", "high", "classification, several rows", unit="1"
)
BATCH_CONFIDENCE_MIN: Final = _attribute(
    "keras.batch.confidence_min", "double", "high", "classification, several rows", unit="1"
)
PREDICTION_CLASS: Final = _attribute(
    "keras.prediction.class", "string", "medium", "classification, one row"
)
PREDICTION_CLASS_ID: Final = _attribute(
    "keras.prediction.class_id", "int", "medium", "classification, one row"
)
PREDICTION_CONFIDENCE: Final = _attribute(
    "keras.prediction.confidence",
    "double",
    "high",
    "classification, one row, output is a probability",
    unit="1",
)
PREDICTION_MARGIN: Final = _attribute(
    "keras.prediction.margin",
    "double",
    "high",
    "multiclass, one row: first minus second probability",
    unit="1",
)
PREDICTION_VALUE: Final = _attribute(
    "keras.prediction.value", "double", "high", "regression, one row"
)
PREDICTION_LABELS: Final = _attribute(
    "keras.prediction.labels", "string[]", "medium", "multilabel, one row: labels over threshold"
)
PREDICTION_CLASSES: Final = _attribute(
    "keras.prediction.classes", "string[]", "high", "classification, 2 to max_rows rows"
)
PREDICTION_CONFIDENCES: Final = _attribute(
    "keras.prediction.confidences", "double[]", "high", "classification, 2 to max_rows rows"
)
PREDICTION_OPAQUE_REASON: Final = _attribute(
    "keras.prediction.opaque_reason", "string", "low", "when the output could not be decoded"
)
EMBEDDING_DIMENSION: Final = _attribute("keras.embedding.dimension", "int", "low", "embedding")
EMBEDDING_NORM: Final = _attribute("keras.embedding.norm", "double", "high", "embedding, one row")

# Models with several outputs repeat the prediction's keys for each one, under this prefix.
OUTPUT_PREFIX: Final = "keras.output"
_PER_OUTPUT: Final = {
    PREDICTION_CLASS: "class",
    PREDICTION_CLASS_ID: "class_id",
    PREDICTION_CONFIDENCE: "confidence",
    PREDICTION_MARGIN: "margin",
    PREDICTION_VALUE: "value",
    PREDICTION_LABELS: "labels",
    PREDICTION_CLASSES: "classes",
    PREDICTION_CONFIDENCES: "confidences",
    PREDICTION_OPAQUE_REASON: "opaque_reason",
    BATCH_CONFIDENCE_MEAN: "confidence_mean",
    BATCH_CONFIDENCE_MIN: "confidence_min",
    EMBEDDING_DIMENSION: "dimension",
    EMBEDDING_NORM: "norm",
    MODEL_TASK: "task",
}

# -- OpenInference, only with `openinference=True` ---------------------------------------------

OPENINFERENCE_SPAN_KIND: Final = _attribute(
    "openinference.span.kind", "string", "low", "openinference=True"
)
OPENINFERENCE_EMBEDDING_MODEL: Final = _attribute(
    "embedding.model_name", "string", "low", "openinference=True, embedding"
)

# -- Metrics -----------------------------------------------------------------------------------

TELEMETRY_SITE: Final = _attribute(
    "keras.telemetry.site", "string", "low", "metrics of the telemetry itself"
)

DURATION: Final = _metric(
    Metric(
        name=INFERENCE_DURATION,
        kind="histogram",
        unit="s",
        description="Duration of an inference: the call alone.",
        attributes=(
            OPERATION_NAME,
            MODEL_NAME,
            MODEL_VERSION,
            BACKEND_NAME,
            RUNTIME_NAME,
            ERROR_TYPE,
        ),
        boundaries=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    )
)
CONFIDENCE: Final = _metric(
    Metric(
        name=PREDICTION_CONFIDENCE,
        kind="histogram",
        unit="1",
        description="Probability of the predicted class.",
        attributes=(MODEL_NAME, MODEL_VERSION, PREDICTION_CLASS),
        boundaries=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
    )
)
PREDICTIONS: Final = _metric(
    Metric(
        name="keras.predictions",
        kind="counter",
        unit="{prediction}",
        description="Rows predicted, by class.",
        attributes=(MODEL_NAME, MODEL_VERSION, PREDICTION_CLASS),
    )
)
TELEMETRY_ERRORS: Final = _metric(
    Metric(
        name="keras.telemetry.errors",
        kind="counter",
        unit="{error}",
        description="Errors inside keras_otel, kept away from the prediction.",
        attributes=(TELEMETRY_SITE,),
    )
)
TELEMETRY_DROPPED: Final = _metric(
    Metric(
        name="keras.telemetry.dropped",
        kind="counter",
        unit="{inference}",
        description="Inferences without a span because the background queue was full.",
        attributes=(TELEMETRY_SITE,),
    )
)

# Class values beyond this many, or outside a known label set, share one value in metrics.
MAX_METRIC_CLASSES: Final = 64
OTHER_CLASS: Final = "__other__"

_UNSAFE = re.compile(r"[^a-z0-9_-]")


def key_segment(name: str) -> str:
    """A user's name as one segment of an attribute key: lower case, the rest becomes `_`."""
    return _UNSAFE.sub("_", name.lower())


def output_key(output: str, key: str) -> str:
    """The key for one output of a model with several, such as `keras.output.topic.class`.

    Raises:
        KeyError: `key` is not a key that is repeated for each output.
    """
    return f"{OUTPUT_PREFIX}.{key_segment(output)}.{_PER_OUTPUT[key]}"
