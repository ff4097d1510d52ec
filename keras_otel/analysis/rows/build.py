"""Spans and evaluations become rows: one for each trace, upstream model and evaluation name.

Everything here is an Ibis expression, so that it runs where the data is; only counts come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows import matching, predictions, sampling_weights, verdicts
from keras_otel.analysis.rows.accounting import Accounting, RowCounts, row_counts
from keras_otel.analysis.rows.attribute_selection import CLUSTER, Keys, key_warnings, keys_of
from keras_otel.analysis.rows.attributes import attribute, own_columns
from keras_otel.analysis.rows.clusters import clustered
from keras_otel.analysis.rows.evaluated_spans import joined_answers, slim_answers
from keras_otel.analysis.rows.feature_columns import column_of
from keras_otel.analysis.rows.fixed_bins import confidence_bin, duration_bin
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.rows.requested_names import (
    models_of,
    values_of,
    wanted_evaluations,
    wanted_models,
)
from keras_otel.analysis.rows.row_table import FEATURES, Question, Rows
from keras_otel.analysis.rows.sampling_detection import signs_of_sampling
from keras_otel.analysis.rows.trace_attributes import SEVERAL, with_trace_values
from keras_otel.analysis.rows.trace_sample import Sample, trace_sample
from keras_otel.analysis.rows.version_warnings import lineage_warnings
from keras_otel.analysis.sources.reader import Telemetry
from keras_otel.analysis.sources.tables.schema import PROMOTED

_OF_ACCOUNTING: Final = ("left_out", "choices", "tier", "is_answered")


def build_rows(telemetry: Telemetry, question: Question) -> Rows:
    """Join predictions and evaluations.

    Raises:
        SourceError: There is no prediction, no evaluation, an evaluation that does not say whether it
            failed, or no such model, evaluation or attribute.
    """
    spans = telemetry.spans
    inferences, counted = predictions.deduplicated(predictions.inferences(spans, telemetry.window))
    evaluations = wanted_evaluations(telemetry.evaluations, question.evals, telemetry.unread_prefix)
    judged = materialised(verdicts.verdicts(evaluations, question.rules), "verdicts")
    verdicts.require_verdicts(judged)
    sample = trace_sample(spans)
    keys = keys_of(sample, FEATURES, question.by, question.cluster)
    answered, segments = slim_answers(joined_answers(judged, spans), keys.of_answers)
    usable = _slim(predictions.usable(inferences), keys.of_inferences)
    models = models_of(usable, segments, telemetry.unread_prefix)
    wanted = wanted_models(models, question.models)
    if question.models:
        usable = usable.filter(usable.model.isin(wanted))
    named = {segment: model for segment, model in models.named.items() if model in wanted}
    thresholds = _thresholds(spans)
    one = matching.paired(
        usable, answered, values_of(judged.name), named, until_ns=telemetry.window.until_ns
    )
    one = with_trace_values(one, spans, keys.of_traces, told=keys.asked)
    marked = materialised(_columns(one, question, keys, thresholds), "rows")
    told_of_keys = [*key_warnings(marked, spans, keys)]
    rows, clustering = clustered(
        marked.filter(marked.left_out.isnull()),
        question.cluster,
        {key: f"{CLUSTER}{key}" for key in keys.clusters},
    )
    accounting = Accounting(
        predictions=counted,
        evaluations=verdicts.counts(judged),
        rows=row_counts(marked),
    )
    return Rows(
        table=rows.drop(
            *_OF_ACCOUNTING,
            *(f"{SEVERAL}{key}" for key in keys.asked),
            *(f"{CLUSTER}{key}" for key in keys.clusters),
        ),
        features=keys.features,
        asked=tuple(dict.fromkeys(question.by)),
        is_weighted=bool(thresholds) or question.sample_rate not in (None, 1.0),
        is_clustered=clustering.name is not None,
        accounting=accounting,
        warnings=(
            *lineage_warnings(usable),
            *told_of_keys,
            *clustering.warnings,
            *_sampling_warnings(sample, thresholds, question, accounting.rows),
        ),
    )


def _slim(usable: ir.Table, asked: Sequence[str]) -> ir.Table:
    """What of a prediction goes into a row or decides whether it does."""
    return usable.select(
        "trace_id",
        "span_id",
        "model",
        "start_ns",
        "end_ns",
        "tracestate",
        "latency_s",
        *PROMOTED,
        **own_columns(usable, asked),
    )


def _thresholds(spans: ir.Table) -> list[str]:
    found = values_of(sampling_weights.threshold(spans.tracestate).name("threshold"))
    return [threshold for threshold in found if threshold]


def _columns(one: ir.Table, question: Question, keys: Keys, thresholds: Sequence[str]) -> ir.Table:
    is_answered = one.eval.notnull()
    left_out = ibis.cases(
        (~is_answered, ibis.null("string")),
        (one.tier == matching.AFTER, "after"),
        (one.is_ambiguous, "ambiguous"),
        else_=ibis.null("string"),
    )
    more: dict[str, ir.Value] = {column_of(key): _feature(one, key) for key in keys.features}
    more |= {f"{SEVERAL}{key}": one[f"{SEVERAL}{key}"] for key in keys.asked}
    more |= {f"{CLUSTER}{key}": attribute(one, key) for key in keys.clusters}
    return one.select(
        trace_id=one.trace_id,
        model=one.model,
        eval=one.family,
        failed=one.failed,
        error=ibis.coalesce(one.is_error, False),
        explanation=one.explanation,
        count=ibis.literal(1, "int64"),
        weight=_weight(one, question.sample_rate, thresholds),
        cluster=attribute(one, keys.cluster) if keys.cluster else ibis.null("string"),
        latency_s=one.latency_s,
        confidence=one[semconv.PREDICTION_CONFIDENCE],
        **more,
        left_out=left_out,
        choices=one.choices,
        tier=one.tier,
        is_answered=is_answered,
    )


def _weight(one: ir.Table, rate: float | None, thresholds: Sequence[str]) -> ir.Value:
    usual = ibis.literal(1.0 / (rate or 1.0))
    told = [
        sampling_weights.weight(sampling_weights.threshold(one[column]), thresholds)
        for column in ("tracestate", "answer_tracestate")
    ]
    if not thresholds:
        return usual
    # Null where neither says; `greatest` of a null and a number differs between engines.
    first, second = (ibis.coalesce(weight, 0.0) for weight in told)
    larger = ibis.greatest(first, second)
    return ibis.cases((larger > 0, larger), else_=usual)


def _feature(one: ir.Table, key: str) -> ir.Value:
    if key == semconv.CONFIDENCE_BIN:
        return confidence_bin(one[semconv.PREDICTION_CONFIDENCE])
    if key == semconv.DURATION_BIN:
        return duration_bin(one.latency_s)
    return attribute(one, key)


def _sampling_warnings(
    sample: Sample, thresholds: Sequence[str], question: Question, counts: RowCounts
) -> Iterable[str]:
    """Say so where traces seem to be sampled, and nothing says which share of them was kept."""
    if thresholds or question.sample_rate is not None or not counts.evaluated:
        return
    sign = signs_of_sampling(sample.spans)
    if sign is not None:
        yield (
            f"traces seem to be sampled: {sign}; without a threshold in the tracestate every trace counts "
            "once, unless their share is given with --sample-rate"
        )
