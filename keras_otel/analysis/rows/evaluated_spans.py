"""The evaluated answers: one row for each trace and evaluation name, with the span that was evaluated."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import answer_columns
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.rows.upstream_keys import segments, stamp_columns
from keras_otel.analysis.sources.tables.schema import UPSTREAM

_UPSTREAMS = ("eval_upstream", "span_upstream")


def joined_answers(verdicts: ir.Table, spans: ir.Table) -> ir.Table:
    """The verdicts that count, each beside its evaluated span; with the maps of both."""
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
    """The answers without their maps: what is asked for, and what is said of upstream models.

    Returns:
        The table, and the segments of the models that it speaks of.
    """
    stamped = segments(joined, _UPSTREAMS)
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
        **answer_columns(joined, ("answer_attributes", "answer_resource"), _UPSTREAMS, keys),
        **stamp_columns(joined, _UPSTREAMS, stamped),
    )
    table = materialised(slim, "answers")
    return _once(table), stamped


def _once(table: ir.Table) -> ir.Table:
    """One row for each answer, also where its span was delivered twice."""
    group = [table.answer_trace, table.eval]
    repeated = table.group_by(group).aggregate(n=table.count())
    repeated = repeated.filter(repeated.n > 1)
    if not repeated.count().to_pyarrow().as_py():
        return table
    ranked = table.mutate(
        place=ibis.row_number().over(
            group_by=group, order_by=[table.answer_end_ns.desc(), table.answer_start_ns]
        )
    )
    return materialised(ranked.filter(ranked.place == 0).drop("place"), "answers_once")
