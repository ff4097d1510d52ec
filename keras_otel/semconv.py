"""Every attribute, metric and event name that leaves the process, each written once.

A name is a plain `str` constant; `ATTRIBUTES`, `UPSTREAM_ATTRIBUTES`, `METRICS` and `EVENTS` describe
them for documentation, dashboards and tests. The project's own names live under `keras.*`: never
`gen_ai.*` on a classifier, because backends take any `gen_ai.` key for an LLM span. Evaluations are
of LLM answers and use the GenAI conventions' own names, written here because those conventions have
moved to a repository without a package.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from keras_otel._unicode import name_of

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, as a log record and on spans: its name and the attributes it may carry."""

    name: str
    attributes: tuple[str, ...]


ATTRIBUTES: dict[str, Attribute] = {}
METRICS: dict[str, Metric] = {}
EVENTS: dict[str, Event] = {}


def _attribute(
    key: str, type_: AttributeType, cardinality: Cardinality, when: str, unit: str = ""
) -> str:
    ATTRIBUTES[key] = Attribute(key=key, type=type_, cardinality=cardinality, when=when, unit=unit)
    return key


def _metric(metric: Metric) -> Metric:
    METRICS[metric.name] = metric
    return metric


def _event(event: Event) -> Event:
    EVENTS[event.name] = event
    return event


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
PREDICTION_CLASS_COUNTS: Final = _attribute(
    "keras.prediction.class_counts",
    "string[]",
    "high",
    "sequence (a class for each position), one row: at most 16 classes, most frequent first",
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
    PREDICTION_CLASS_COUNTS: "class_counts",
    PREDICTION_OPAQUE_REASON: "opaque_reason",
    BATCH_CONFIDENCE_MEAN: "confidence_mean",
    BATCH_CONFIDENCE_MIN: "confidence_min",
    EMBEDDING_DIMENSION: "dimension",
    EMBEDDING_NORM: "norm",
    MODEL_TASK: "task",
}

# -- Upstream predictions, stamped on later spans of the request ---------------------------------

UPSTREAM_PREFIX: Final = "keras.upstream"

UPSTREAM_ATTRIBUTES: Final[dict[str, Attribute]] = {}
"""The last parts of the keys of a template attribute, one group for each upstream model."""


def _upstream(part: str, type_: AttributeType, cardinality: Cardinality, when: str) -> str:
    UPSTREAM_ATTRIBUTES[part] = Attribute(
        key=f"{UPSTREAM_PREFIX}.<model>.{part}", type=type_, cardinality=cardinality, when=when
    )
    return part


UPSTREAM_CLASS: Final = _upstream("class", "string", "medium", "classification")
UPSTREAM_CONFIDENCE: Final = _upstream(
    "confidence", "double", "high", "classification, output is a probability"
)
UPSTREAM_VERSION: Final = _upstream("version", "string", "medium", "once known")
UPSTREAM_VALUE: Final = _upstream("value", "double", "high", "regression")
UPSTREAM_LABELS: Final = _upstream("labels", "string[]", "medium", "multilabel")

MAX_UPSTREAM_MODELS: Final = 8
"""Upstream models that one span carries: a span holds 128 attributes."""

LINK_TYPE: Final = _attribute(
    "keras.link.type", "string", "low", "on links of ours: what they mean"
)
LINK_UPSTREAM: Final = "upstream_prediction"
LINK_SHARED_CALL: Final = "shared_call"
LINK_EVALUATED: Final = "evaluated"
LINK_PREDICTION: Final = "prediction"

# -- Evaluations and outcomes ------------------------------------------------------------------

EVALUATION_NAME: Final = _attribute("gen_ai.evaluation.name", "string", "low", "evaluation: always")
EVALUATION_SCORE: Final = _attribute(
    "gen_ai.evaluation.score.value", "double", "high", "evaluation: if there is a score"
)
EVALUATION_LABEL: Final = _attribute(
    "gen_ai.evaluation.score.label", "string", "low", "evaluation: if there is a label"
)
EVALUATION_EXPLANATION: Final = _attribute(
    "gen_ai.evaluation.explanation", "string", "high", "evaluation: if there is an explanation"
)
EVALUATION_PASSED: Final = _attribute(
    "keras.evaluation.passed", "boolean", "low", "evaluation: if it says so"
)
OUTCOME_CLASS: Final = _attribute(
    "keras.outcome.class", "string", "medium", "outcome: the true class"
)
CONFIDENCE_BIN: Final = _attribute(
    "keras.prediction.confidence_bin", "string", "low", "metric of evaluations"
)

# OpenInference's form of an evaluation, on the span that it is about:
# https://github.com/Arize-ai/openinference/blob/main/spec/annotations.md
OPENINFERENCE_EVALUATIONS: Final = "evaluations"
_PER_OPENINFERENCE_EVALUATION: Final = {
    EVALUATION_NAME: "name",
    EVALUATION_SCORE: "score",
    EVALUATION_LABEL: "label",
    EVALUATION_EXPLANATION: "explanation",
}

# FutureAGI's form: the GenAI conventions' keys on the span, the score under the evaluation's name
# as well, because the others have room for only one, and the span it is about. Its older
# `eval.<name>.reason` is left out: a backend that nests keys has no place for it below a score.
FUTUREAGI_SCORES: Final = "eval"
FUTUREAGI_TARGET: Final = _attribute(
    "gen_ai.evaluation.target_span_id",
    "string",
    "high",
    'conventions="futureagi": on a span of its own',
)

# What the analysis reads or makes; nothing here is set on a span.
TRACE_EVALUATIONS: Final = "trace.evaluations"
DURATION_BIN: Final = "keras.inference.duration_bin"

EVALUATION_EVENT: Final = _event(
    Event(
        name="gen_ai.evaluation.result",
        attributes=(
            EVALUATION_NAME,
            EVALUATION_SCORE,
            EVALUATION_LABEL,
            EVALUATION_EXPLANATION,
            EVALUATION_PASSED,
            ERROR_TYPE,
        ),
    )
)
OUTCOME_EVENT: Final = _event(
    Event(
        name="keras.prediction.outcome",
        attributes=(MODEL_NAME, PREDICTION_CLASS, OUTCOME_CLASS),
    )
)

# -- OpenInference, only with `openinference=True` ---------------------------------------------

OPENINFERENCE_SPAN_KIND: Final = _attribute(
    "openinference.span.kind", "string", "low", "openinference=True"
)
OPENINFERENCE_EMBEDDING_MODEL: Final = _attribute(
    "embedding.model_name", "string", "low", "openinference=True, embedding"
)

# -- Names of others, which are only read --------------------------------------------------------

GENAI_OPERATION: Final = "gen_ai.operation.name"
GENAI_SPAN_KIND: Final = "gen_ai.span.kind"
GENAI_AGENT: Final = "gen_ai.agent.name"
GENAI_CONVERSATION: Final = "gen_ai.conversation.id"
FI_SPAN_KIND: Final = "fi.span.kind"

# -- Metrics -----------------------------------------------------------------------------------

TELEMETRY_SITE: Final = _attribute(
    "keras.telemetry.site", "string", "low", "metrics of the telemetry itself"
)

# The values of `keras.telemetry.site`: what was being done when telemetry failed or was dropped.
SITE_ACCELERATOR_QUEUE: Final = "accelerator queue"
SITE_ATTACH_TO_THE_LOGGER_PROVIDER: Final = "attach to the logger provider"
SITE_ATTACH_TO_THE_TRACER_PROVIDER: Final = "attach to the tracer provider"
SITE_BACKGROUND_WORKER: Final = "background worker"
SITE_BEFORE_A_FORK: Final = "before a fork"
SITE_BEGIN: Final = "begin"
SITE_COMPARE_OUTPUTS: Final = "compare outputs"
SITE_DECODE: Final = "decode"
SITE_ERROR_MESSAGE: Final = "error message"
SITE_EVALUATION: Final = "evaluation"
SITE_EVALUATION_METRIC: Final = "evaluation metric"
SITE_EVALUATOR_MESSAGE: Final = "evaluator's message"
SITE_EXCEPTION_EVENT: Final = "exception event"
SITE_EXIT_OF_A_CHILD: Final = "exit of a child"
SITE_EXIT_OF_CHILDREN: Final = "exit of children"
SITE_FEEDBACK_EVENT: Final = "feedback event"
SITE_FEEDBACK_SPAN: Final = "feedback span"
SITE_FINGERPRINT: Final = "fingerprint"
SITE_FIT_A_BATCH: Final = "fit a batch"
SITE_FLUSH: Final = "flush"
SITE_FLUSH_A_PROVIDER: Final = "flush a provider"
SITE_FLUSH_OF_A_PROCESS_THAT_ENDS: Final = "flush of a process that ends"
SITE_FOLLOW_WHO_WAITS: Final = "follow who waits"
SITE_FORGET_WEIGHTS: Final = "forget weights"
SITE_INSPECT_THE_MODEL: Final = "inspect the model"
SITE_LOG: Final = "log"
SITE_LOG_RECORD: Final = "log record"
SITE_LOOK_AT_AN_ITEM: Final = "look at an item"
SITE_LOOK_AT_THE_WEIGHTS: Final = "look at the weights"
SITE_LOOK_FOR_NAMESAKES: Final = "look for namesakes"
SITE_MODEL_NAME: Final = "model name"
SITE_MODEL_PARTS: Final = "model parts"
SITE_MODEL_SOURCE: Final = "model source"
SITE_NOTE_A_LOADED_MODEL: Final = "note a loaded model"
SITE_NOTE_A_TRACED_CALL: Final = "note a traced call"
SITE_NOTE_AN_ASSIGNMENT: Final = "note an assignment"
SITE_NOTE_SHAPES: Final = "note shapes"
SITE_OBSERVE: Final = "observe"
SITE_OBSERVE_A_FAILURE: Final = "observe a failure"
SITE_ON_PREDICTION: Final = "on_prediction"
SITE_PATCH_KERAS: Final = "patch Keras"
SITE_PRECISION: Final = "precision"
SITE_PREDICTION_OF_AN_OUTCOME: Final = "prediction of an outcome"
SITE_PUBLISH: Final = "publish"
SITE_READ_THE_OUTPUT: Final = "read the output"
SITE_READING_SENT_PREDICTIONS: Final = "reading sent predictions"
SITE_RECORD_AN_EVALUATION: Final = "record an evaluation"
SITE_RECORD_AN_OUTCOME: Final = "record an outcome"
SITE_ROW: Final = "row"
SITE_SENDING_PREDICTIONS: Final = "sending predictions"
SITE_SETTLE_A_PREDICTION: Final = "settle a prediction"
SITE_SHUT_A_PROVIDER_DOWN: Final = "shut a provider down"
SITE_SPAN_END: Final = "span end"
SITE_SPAN_START: Final = "span start"
SITE_START_OF_A_CHILD: Final = "start of a child"
SITE_STOP_SIGNAL: Final = "stop signal"
SITE_TRACER: Final = "tracer"
SITE_UPSTREAM_OF_AN_EVALUATION: Final = "upstream of an evaluation"
SITE_WATCH_THE_WEIGHTS: Final = "watch the weights"
SITE_WEIGHT_SIZE: Final = "weight size"
SITE_WRAP_OVERRIDES: Final = "wrap overrides"

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
EVALUATIONS: Final = _metric(
    Metric(
        name="keras.evaluations",
        kind="counter",
        unit="{evaluation}",
        description="Evaluations of LLM answers, once for each upstream model.",
        attributes=(
            EVALUATION_NAME,
            EVALUATION_PASSED,
            MODEL_NAME,
            MODEL_VERSION,
            PREDICTION_CLASS,
            CONFIDENCE_BIN,
            ERROR_TYPE,
        ),
    )
)

CONFIDENCE_EDGES: Final = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Fixed, so that counts add up over processes and time."""

MAX_KEY_SEGMENT: Final = 256
# Class values beyond this many, or outside a known label set, share one value in metrics.
MAX_METRIC_CLASSES: Final = 64
MAX_METRIC_VERSIONS: Final = 64
OTHER: Final = "__other__"

_UNSAFE = re.compile(r"[^a-z0-9_-]")


@lru_cache(maxsize=1024)
def key_segment(name: str) -> str:
    """A user's name as one segment of an attribute key: lower case, the rest becomes `_`.

    At most `MAX_KEY_SEGMENT` characters of it.
    """
    return _UNSAFE.sub("_", name.lower())[:MAX_KEY_SEGMENT]


def output_key(output: str, key: str) -> str:
    """The key for one output of a model with several, such as `keras.output.topic.class`.

    Raises:
        KeyError: `key` is not a key that is repeated for each output.
    """
    return f"{OUTPUT_PREFIX}.{key_segment(output)}.{_PER_OUTPUT[key]}"


def upstream_key(model: str, part: str) -> str:
    """The key of one part of an upstream prediction, such as `keras.upstream.intent.class`."""
    return f"{UPSTREAM_PREFIX}.{key_segment(model)}.{part}"


def openinference_evaluation_key(index: int, key: str) -> str:
    """OpenInference's key of one evaluation of a span, such as `evaluations.0.evaluation.name`.

    Raises:
        KeyError: OpenInference has no counterpart of `key`.
    """
    part = _PER_OPENINFERENCE_EVALUATION[key]
    return f"{OPENINFERENCE_EVALUATIONS}.{index}.evaluation.{part}"


def evaluation_span_name(name: str) -> str:
    """The name of the short span below an evaluated one that has ended."""
    return f"evaluate {name}"


def futureagi_score_key(name: str) -> str:
    """FutureAGI's key of an evaluation's score, such as `eval.faithfulness`."""
    return f"{FUTUREAGI_SCORES}.{name}"


def confidence_bin(confidence: float) -> str:
    """The bin of a confidence, such as `[0.9,0.95)`; the last one includes 1."""
    index = min(bisect_right(CONFIDENCE_EDGES, confidence), len(CONFIDENCE_EDGES) - 1)
    low, high = CONFIDENCE_EDGES[max(index, 1) - 1], CONFIDENCE_EDGES[max(index, 1)]
    return f"[{low:g},{high:g}{']' if high == CONFIDENCE_EDGES[-1] else ')'}"


def error_type(error: BaseException) -> str:
    """The exception's class, with its module unless it is built in, as OpenTelemetry names it."""
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return name_of(kind.__qualname__)
    return name_of(f"{kind.__module__}.{kind.__qualname__}")
