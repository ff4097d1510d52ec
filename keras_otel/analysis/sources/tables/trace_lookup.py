"""Look up the trace of evaluations that name only a span, among the spans that were read."""

from __future__ import annotations

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.sources.tables.schema import EVALUATIONS


def without_trace(evaluations: ir.Table) -> ir.Table:
    """Return the evaluations whose trace is not known."""
    return evaluations.filter(evaluations.trace_id == "")


def with_traces(evaluations: ir.Table, spans: ir.Table) -> tuple[pa.Table, int]:
    """Find the trace of each evaluation by its span.

    Args:
        evaluations: Evaluations without a trace.
        spans: All spans that were read.

    Returns:
        The evaluations whose trace was found, by `schema.EVALUATIONS`, and the number of the others: their
        span is in no trace or in several.
    """
    named = spans.semi_join(evaluations, "span_id")
    owners = named.group_by(evaluated_span=named.span_id).aggregate(
        owner=named.trace_id.min(), last=named.trace_id.max()
    )
    owners = owners.filter(owners.owner == owners["last"]).drop("last")
    joined = evaluations.left_join(owners, evaluations.span_id == owners.evaluated_span)
    evaluated = joined.mutate(trace_id=joined.owner).drop("evaluated_span", "owner").to_pyarrow()
    is_found = pc.is_valid(evaluated.column("trace_id"))
    unknown = evaluated.num_rows - (pc.sum(is_found).as_py() or 0)
    return evaluated.filter(is_found).select(EVALUATIONS.names).cast(EVALUATIONS), unknown
