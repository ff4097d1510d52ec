"""Evaluations that name a span and no trace: its trace is looked up among the spans that were read."""

from __future__ import annotations

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.sources.tables.schema import EVALUATIONS


def without_trace(evaluations: ir.Table) -> ir.Table:
    """Those whose trace is not known."""
    return evaluations.filter(evaluations.trace_id == "")


def with_owners(evaluations: ir.Table, spans: ir.Table) -> tuple[pa.Table, int]:
    """Find the trace of each.

    Args:
        evaluations: Those without a trace.
        spans: All that were read.

    Returns:
        Those that were found, by `schema.EVALUATIONS`, and the number of those whose span is in no trace or
        in several.
    """
    named = spans.semi_join(evaluations, "span_id")
    owners = named.group_by(owned=named.span_id).aggregate(
        owner=named.trace_id.min(), last=named.trace_id.max()
    )
    owners = owners.filter(owners.owner == owners["last"]).drop("last")
    joined = evaluations.left_join(owners, evaluations.span_id == owners.owned)
    found = joined.mutate(trace_id=joined.owner).drop("owned", "owner").to_pyarrow()
    is_found = pc.is_valid(found.column("trace_id"))
    count = found.num_rows - (pc.sum(is_found).as_py() or 0)
    return found.filter(is_found).select(EVALUATIONS.names).cast(EVALUATIONS), count
