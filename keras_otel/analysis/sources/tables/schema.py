"""The two tables that every source is read into.

`SPANS` has one row for each span. The attributes that slicing always needs are columns named as the
attribute (`keras.model.name`); `keras.upstream.*` and `keras.output.*` are maps of their own,
null where a span has none; all other attributes are in `attributes` and `resource`, for `--by`.
Values in maps are text (see `text`), and those longer than `LONGEST_VALUE` are left out: prompts
and answers are no categories.

`EVALUATIONS` has one row for each delivery of an evaluation, as it was given.

A Parquet file with these columns is a source itself; only `REQUIRED` ones must be there.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from keras_otel import semconv

LONGEST_VALUE: Final = 256
LONGEST_EXPLANATION: Final = 500
"""Characters of an evaluator's reason: the rest is cut off."""

TEXT_MAP: Final = pa.map_(pa.string(), pa.string())

PROMOTED: Final[dict[str, pa.DataType]] = {
    semconv.MODEL_NAME: pa.string(),
    semconv.MODEL_VERSION: pa.string(),
    semconv.MODEL_FINGERPRINT: pa.string(),
    semconv.KERAS_VERSION: pa.string(),
    semconv.BACKEND_NAME: pa.string(),
    semconv.RUNTIME_NAME: pa.string(),
    semconv.BATCH_SIZE: pa.int64(),
    semconv.INFERENCE_DURATION: pa.float64(),
    semconv.INFERENCE_COLD: pa.bool_(),
    semconv.PREDICTION_CLASS: pa.string(),
    semconv.PREDICTION_CONFIDENCE: pa.float64(),
    semconv.PREDICTION_VALUE: pa.float64(),
    semconv.PREDICTION_LABELS: pa.string(),
    semconv.EMBEDDING_NORM: pa.float64(),
}
"""Attributes that have a column of their own."""

UPSTREAM: Final = "upstream"
OUTPUTS: Final = "outputs"

SPANS: Final = pa.schema(
    [
        pa.field("trace_id", pa.string(), nullable=False),
        pa.field("span_id", pa.string(), nullable=False),
        pa.field("parent_span_id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("scope", pa.string()),
        pa.field("service", pa.string()),
        pa.field("start_ns", pa.int64(), nullable=False),
        pa.field("duration_ns", pa.int64(), nullable=False),
        pa.field("status", pa.string()),
        pa.field("tracestate", pa.string()),
        *(pa.field(key, type_) for key, type_ in PROMOTED.items()),
        pa.field(UPSTREAM, TEXT_MAP),
        pa.field(OUTPUTS, TEXT_MAP),
        pa.field("attributes", TEXT_MAP),
        pa.field("resource", TEXT_MAP),
    ]
)

EVALUATIONS: Final = pa.schema(
    [
        pa.field("trace_id", pa.string(), nullable=False),
        pa.field("span_id", pa.string()),
        pa.field("name", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("passed", pa.bool_()),
        pa.field("error", pa.string()),
        pa.field("time_ns", pa.int64()),
        pa.field("explanation", pa.string()),
        pa.field(UPSTREAM, TEXT_MAP),
    ]
)

REQUIRED: Final = {
    "spans": ("trace_id", "span_id", "start_ns", "duration_ns"),
    "evaluations": ("trace_id", "name"),
}
