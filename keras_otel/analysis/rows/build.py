"""Build rows from spans and evaluations: one for each trace, upstream model and evaluation name.

Tables are Ibis expressions, computed in the engine that holds the data; only counts come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows import matching, predictions, sampling_weights, verdicts
from keras_otel.analysis.rows.accounting import Accounting, RowCounts, row_counts
from keras_otel.analysis.rows.attribute_selection import (
    CLUSTER,
    RowAttributes,
    attribute_warnings,
    select_attributes,
)
from keras_otel.analysis.rows.attributes import attribute, own_columns
from keras_otel.analysis.rows.clusters import with_clusters
from keras_otel.analysis.rows.evaluated_spans import join_evaluated_spans, slim_answers
from keras_otel.analysis.rows.feature_columns import column_of
from keras_otel.analysis.rows.fixed_bins import confidence_bin, duration_bin
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.rows.requested_names import (
    distinct_values,
    known_models,
    requested_evaluations,
    requested_models,
)
from keras_otel.analysis.rows.row_table import FEATURES, Question, Rows
from keras_otel.analysis.rows.sampling_detection import signs_of_sampling
from keras_otel.analysis.rows.trace_attributes import SEVERAL, with_trace_attributes
from keras_otel.analysis.rows.trace_sample import Sample, trace_sample
from keras_otel.analysis.rows.version_warnings import lineage_warnings
from keras_otel.analysis.sources.reader import Telemetry
from keras_otel.analysis.sources.tables.schema import PROMOTED

_ACCOUNTING_COLUMNS: Final = ("left_out", "choices", "tier", "is_answered")


def build_rows(telemetry: Telemetry, question: Question) -> Rows:
    """Join predictions and evaluations.

    Raises:
        SourceError: There is no prediction, no evaluation, an evaluation without a verdict, or no such model,
            evaluation or attribute.
    """
    spans = telemetry.spans
    inferences, prediction_counts = predictions.deduplicated(
        predictions.inferences(spans, telemetry.window)
    )
    evaluations = requested_evaluations(
        telemetry.evaluations, question.evals, telemetry.unread_prefix
    )
    judged = materialised(verdicts.verdicts(evaluations, question.rules), "verdicts")
    verdicts.require_verdicts(judged)
    sample = trace_sample(spans)
    attributes = select_attributes(sample, FEATURES, question.by, question.cluster)
    answered, segments = slim_answers(join_evaluated_spans(judged, spans), attributes.on_answers)
    usable = _slim(predictions.usable(inferences), attributes.on_inferences)
    known = known_models(usable, segments, telemetry.unread_prefix)
    models = requested_models(known, question.models)
    if question.models:
        usable = usable.filter(usable.model.isin(models))
    by_segment = {segment: model for segment, model in known.by_segment.items() if model in models}
    thresholds = _thresholds(spans)
    matched = matching.match(
        usable,
        answered,
        distinct_values(judged.name),
        by_segment,
        until_ns=telemetry.window.until_ns,
    )
    matched = with_trace_attributes(
        matched, spans, attributes.on_traces, requested=attributes.requested_in_maps
    )
    marked = materialised(_columns(matched, question, attributes, thresholds), "rows")
    warnings_of_attributes = [*attribute_warnings(marked, spans, attributes)]
    rows, clustering = with_clusters(
        marked.filter(marked.left_out.isnull()),
        question.cluster,
        {key: f"{CLUSTER}{key}" for key in attributes.possible_clusters},
    )
    accounting = Accounting(
        predictions=prediction_counts,
        evaluations=verdicts.counts(judged),
        rows=row_counts(marked),
    )
    return Rows(
        table=rows.drop(
            *_ACCOUNTING_COLUMNS,
            *(f"{SEVERAL}{key}" for key in attributes.requested_in_maps),
            *(f"{CLUSTER}{key}" for key in attributes.possible_clusters),
        ),
        features=attributes.features,
        requested=tuple(dict.fromkeys(question.by)),
        is_weighted=bool(thresholds) or question.sample_rate not in (None, 1.0),
        is_clustered=clustering.name is not None,
        accounting=accounting,
        warnings=(
            *lineage_warnings(usable),
            *warnings_of_attributes,
            *clustering.warnings,
            *_sampling_warnings(sample, thresholds, question, accounting.rows),
        ),
    )


def _slim(usable: ir.Table, attributes: Sequence[str]) -> ir.Table:
    """Keep the columns of predictions that go into rows, or decide whether they do."""
    return usable.select(
        "trace_id",
        "span_id",
        "model",
        "start_ns",
        "end_ns",
        "tracestate",
        "latency_s",
        *PROMOTED,
        **own_columns(usable, attributes),
    )


def _thresholds(spans: ir.Table) -> list[str]:
    thresholds = distinct_values(sampling_weights.threshold(spans.tracestate))
    return [threshold for threshold in thresholds if threshold]


def _columns(
    matched: ir.Table, question: Question, attributes: RowAttributes, thresholds: Sequence[str]
) -> ir.Table:
    is_answered = matched.eval.notnull()
    left_out = ibis.cases(
        (~is_answered, ibis.null("string")),
        (matched.tier == matching.AFTER, "after"),
        (matched.is_ambiguous, "ambiguous"),
        else_=ibis.null("string"),
    )
    cluster = attribute(matched, attributes.cluster) if attributes.cluster else ibis.null("string")
    more: dict[str, ir.Value] = {
        column_of(key): _feature(matched, key) for key in attributes.features
    }
    more |= {f"{SEVERAL}{key}": matched[f"{SEVERAL}{key}"] for key in attributes.requested_in_maps}
    more |= {f"{CLUSTER}{key}": attribute(matched, key) for key in attributes.possible_clusters}
    return matched.select(
        trace_id=matched.trace_id,
        model=matched.model,
        eval=matched.family,
        failed=matched.failed,
        error=ibis.coalesce(matched.is_error, False),
        explanation=matched.explanation,
        count=ibis.literal(1, "int64"),
        weight=_weight(matched, question.sample_rate, thresholds),
        cluster=cluster,
        latency_s=matched.latency_s,
        confidence=matched[semconv.PREDICTION_CONFIDENCE],
        **more,
        left_out=left_out,
        choices=matched.choices,
        tier=matched.tier,
        is_answered=is_answered,
    )


def _weight(matched: ir.Table, rate: float | None, thresholds: Sequence[str]) -> ir.Value:
    default = ibis.literal(1.0 / (rate or 1.0))
    weights = [
        sampling_weights.weight(sampling_weights.threshold(matched[column]), thresholds)
        for column in ("tracestate", "answer_tracestate")
    ]
    if not thresholds:
        return default
    # Zero for null: `greatest` of a null and a number differs between engines.
    first, second = (ibis.coalesce(weight, 0.0) for weight in weights)
    larger = ibis.greatest(first, second)
    return ibis.cases((larger > 0, larger), else_=default)


def _feature(matched: ir.Table, key: str) -> ir.Value:
    if key == semconv.CONFIDENCE_BIN:
        return confidence_bin(matched[semconv.PREDICTION_CONFIDENCE])
    if key == semconv.DURATION_BIN:
        return duration_bin(matched.latency_s)
    return attribute(matched, key)


def _sampling_warnings(
    sample: Sample, thresholds: Sequence[str], question: Question, counts: RowCounts
) -> Iterable[str]:
    """Warn where traces seem to be sampled with an unknown probability."""
    if thresholds or question.sample_rate is not None or not counts.evaluated:
        return
    sign = signs_of_sampling(sample.spans)
    if sign is not None:
        yield (
            f"traces seem to be sampled: {sign}; without a threshold in the tracestate every trace counts "
            "once, unless their share is given with --sample-rate"
        )
