"""Attributes that some other span of a trace has: its value for the trace, where all spans agree on one."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import TRACE, in_map

SEVERAL = "several "
"""What the name of a column starts with that says whether a trace has several values."""

_ID = "id of the trace"


def with_trace_values(
    rows: ir.Table, spans: ir.Table, keys: Sequence[str], *, told: Sequence[str] = ()
) -> ir.Table:
    """Each row with the value that its trace has of each attribute, null where there is none or several.

    Args:
        rows: Has a column `trace_id`.
        spans: All of them.
        keys: Attributes of spans.
        told: Those that resources may have too, and of which a column says whether the trace has several
            values.
    """
    if not keys:
        return rows
    found = spans.select(
        trace=spans.trace_id,
        **{f"v{place}": _value(spans, key, key in told) for place, key in enumerate(keys)},
    )
    found = found.filter(ibis.or_(*(found[f"v{place}"].notnull() for place in range(len(keys)))))
    ends = {}
    for place in range(len(keys)):
        ends[f"low{place}"] = found[f"v{place}"].min()
        ends[f"high{place}"] = found[f"v{place}"].max()
    by_trace = found.group_by(**{_ID: found.trace}).aggregate(**ends)
    columns: dict[str, ir.Value] = {_ID: by_trace[_ID]}
    for place, key in enumerate(keys):
        low, high = by_trace[f"low{place}"], by_trace[f"high{place}"]
        columns[f"{TRACE}{key}"] = ibis.cases((low == high, low))
        if key in told:
            columns[f"{SEVERAL}{key}"] = low != high
    values = by_trace.select(**columns)
    return rows.left_join(values, rows.trace_id == values[_ID]).drop(_ID)


def _value(spans: ir.Table, key: str, or_of_resource: bool) -> ir.Value:  # noqa: FBT001 - a detail
    own = in_map(spans, "attributes", key)
    return ibis.coalesce(own, in_map(spans, "resource", key)) if or_of_resource else own
