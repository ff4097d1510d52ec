"""Select the usable predictions among spans: one row for each prediction of an output of a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows.attributes import in_map
from keras_otel.analysis.sources.tables.fetch import fetch_row, fetch_values
from keras_otel.analysis.sources.tables.schema import OUTPUTS
from keras_otel.analysis.sources.tables.writer import Window

_SINGLE: Final = (
    semconv.PREDICTION_CLASS,
    semconv.PREDICTION_VALUE,
    semconv.PREDICTION_LABELS,
    semconv.EMBEDDING_NORM,
)
_OUTPUT_KEY = re.compile(
    rf"{re.escape(semconv.OUTPUT_PREFIX)}\.([a-z0-9_-]+)\.(?:class|value|labels|norm)"
)
_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionCounts:
    """What became of the inference spans, in counts; `usable` and the others add up to `spans`.

    Attributes:
        spans: Inference spans read.
        duplicates: Second deliveries of a span.
        failed: Inferences that raised.
        batches: Batches without a span for each item: it is unknown which row belongs to which request.
        usable: The rest.
    """

    spans: int
    duplicates: int
    failed: int
    batches: int
    usable: int


def inferences(spans: ir.Table, window: Window) -> ir.Table:
    """Return the inference spans, with `is_failed` and `is_batch`."""
    # The span of a recorded outcome also has a model name and a class, and is no inference.
    is_outcome = in_map(spans, "attributes", semconv.OUTCOME_CLASS).notnull()
    table = spans.filter(spans[semconv.MODEL_NAME].notnull(), ~is_outcome)
    if window.since_ns is not None:
        table = table.filter(table.start_ns >= window.since_ns)
    if window.until_ns is not None:
        table = table.filter(table.start_ns < window.until_ns)
    confidence = table[semconv.PREDICTION_CONFIDENCE]
    has_prediction = _any_present(table, _SINGLE) | _has_outputs(table)
    return table.mutate(
        **{semconv.PREDICTION_CONFIDENCE: ibis.cases((confidence.isnan(), None), else_=confidence)},
        model=table[semconv.MODEL_NAME],
        end_ns=table.start_ns + table.duration_ns,
        latency_s=ibis.coalesce(
            table[semconv.INFERENCE_DURATION], table.duration_ns.cast("float64") / _NS
        ),
        is_failed=ibis.coalesce(table.status == "error", False),
        is_batch=ibis.coalesce(table[semconv.BATCH_SIZE] > 1, False) & ~has_prediction,
    )


def _any_present(table: ir.Table, columns: tuple[str, ...]) -> ir.BooleanValue:
    return ibis.or_(*(table[column].notnull() for column in columns))


def _has_outputs(table: ir.Table) -> ir.BooleanValue:
    """Return True where a span has the prediction of some output: then its batch has a single row."""
    # Not a filter of the list: Ibis writes that with a lambda syntax that DuckDB 2 no longer reads.
    keys = table[OUTPUTS].keys().join(",")
    return ibis.coalesce(
        keys.re_search(f"(?:^|,){_OUTPUT_KEY.pattern}(?:,|$)"),
        False,
    )


def deduplicated(table: ir.Table) -> tuple[ir.Table, PredictionCounts]:
    """Return each of `inferences` once, and counts; sorts only if some were delivered twice."""
    ids = table.group_by("trace_id", "span_id").aggregate(deliveries=table.count())
    repeated = ids.filter(ids.deliveries > 1)
    duplicates = fetch_row(repeated.aggregate(n=(repeated.deliveries - 1).sum()))["n"]
    if duplicates:
        marked = table.mutate(
            delivery=ibis.row_number().over(
                group_by=[table.trace_id, table.span_id],
                order_by=[table.duration_ns.desc(), table.start_ns],
            )
        )
        table = marked.filter(marked.delivery == 0).drop("delivery")
    row = fetch_row(
        table.aggregate(
            unique=table.count(),
            failed=table.is_failed.sum(),
            batches=(~table.is_failed & table.is_batch).sum(),
        )
    )
    unique, failed, batches = (int(row[key] or 0) for key in ("unique", "failed", "batches"))
    counts = PredictionCounts(
        spans=unique + int(duplicates or 0),
        duplicates=int(duplicates or 0),
        failed=failed,
        batches=batches,
        usable=unique - failed - batches,
    )
    return table, counts


def usable(table: ir.Table) -> ir.Table:
    """Return the predictions that count, one row for each output."""
    kept = table.filter(~table.is_failed & ~table.is_batch)
    outputs = output_names(kept)
    if not outputs:
        return kept
    has_none = ~_any_present(kept, _SINGLE)
    several = kept.filter(has_none)
    parts = [kept.filter(~(has_none & _has_outputs(kept)))]
    for output in outputs:
        part = several.mutate(
            model=several.model.concat(f".{output}"),
            **{
                key: _of_output(several, output, key)
                for key in (
                    semconv.PREDICTION_CLASS,
                    semconv.PREDICTION_CONFIDENCE,
                    semconv.PREDICTION_VALUE,
                    semconv.PREDICTION_LABELS,
                    semconv.EMBEDDING_NORM,
                )
            },
        )
        parts.append(part.filter(_any_present(part, _SINGLE)))
    return ibis.union(*parts)


def output_names(table: ir.Table) -> list[str]:
    """Return the names of outputs, of models with several that predicted one row."""
    bare = table.filter(~_any_present(table, _SINGLE) & table[OUTPUTS].notnull())
    keys = bare.select(key=bare[OUTPUTS].keys().unnest()).distinct()
    return sorted(
        {match[1] for key in fetch_values(keys.key) if (match := _OUTPUT_KEY.fullmatch(key))}
    )


def _of_output(table: ir.Table, output: str, key: str) -> ir.Value:
    text = table[OUTPUTS].get(semconv.output_key(output, key), ibis.null("string"))
    type_ = table[key].type()
    return text if type_.is_string() else text.try_cast(type_)
