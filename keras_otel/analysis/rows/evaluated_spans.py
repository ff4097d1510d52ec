"""Join verdicts and the spans that they evaluate: one row for each trace and evaluation name."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import answer_columns
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.rows.upstream_keys import segments, upstream_columns
from keras_otel.analysis.sources.tables.fetch import fetch_count
from keras_otel.analysis.sources.tables.schema import UPSTREAM

_UPSTREAM_MAPS = ("eval_upstream", "span_upstream")


def join_evaluated_spans(verdicts: ir.Table, spans: ir.Table) -> ir.Table:
    """Return the verdicts that count, each with its evaluated span and the maps of both."""
    counted = verdicts.filter(verdicts.place == 0).select(
        answer_trace="trace_id",
        eval="name",
        evaluated="span_id",
        failed="failed",
        is_error="is_error",
        evaluated_ns="time_ns",
        explanation="explanation",
        eval_upstream=UPSTREAM,
    )
    evaluated = spans.select(
        evaluated_trace=spans.trace_id,
        evaluated_span=spans.span_id,
        answer_start_ns=spans.start_ns,
        answer_end_ns=spans.start_ns + spans.duration_ns,
        answer_tracestate=spans.tracestate,
        span_upstream=spans[UPSTREAM],
        answer_attributes=spans["attributes"],
        answer_resource=spans["resource"],
    )
    return counted.left_join(
        evaluated,
        [
            counted.answer_trace == evaluated.evaluated_trace,
            counted.evaluated == evaluated.evaluated_span,
        ],
    ).drop("evaluated_trace", "evaluated_span")


def slim_answers(joined: ir.Table, keys: Iterable[str]) -> tuple[ir.Table, list[str]]:
    """Replace the maps of answers by columns: the attributes `keys`, and the upstream predictions.

    Returns:
        The table, and the models of its upstream keys, as segments of keys.
    """
    models = segments(joined, _UPSTREAM_MAPS)
    slim = joined.select(
        "answer_trace",
        "eval",
        "evaluated",
        "failed",
        "is_error",
        "evaluated_ns",
        "explanation",
        "answer_start_ns",
        "answer_end_ns",
        "answer_tracestate",
        **answer_columns(joined, ("answer_attributes", "answer_resource"), _UPSTREAM_MAPS, keys),
        **upstream_columns(joined, _UPSTREAM_MAPS, models),
    )
    table = materialised(slim, "answers")
    return _without_repeats(table), models


def _without_repeats(table: ir.Table) -> ir.Table:
    """Keep one row for each answer, where its span was delivered twice."""
    group = [table.answer_trace, table.eval]
    repeated = table.group_by(group).aggregate(n=table.count())
    repeated = repeated.filter(repeated.n > 1)
    if not fetch_count(repeated):
        return table
    ranked = table.mutate(
        place=ibis.row_number().over(
            group_by=group, order_by=[table.answer_end_ns.desc(), table.answer_start_ns]
        )
    )
    return materialised(ranked.filter(ranked.place == 0).drop("place"), "answers_once")
