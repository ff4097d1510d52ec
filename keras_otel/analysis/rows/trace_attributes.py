"""Read attributes of any span of a trace: the value for the trace, where all its spans agree on one."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import TRACE, in_map

SEVERAL = "several "
"""Prefix of columns on whether a trace has several values of an attribute."""

_ID = "id of the trace"


def with_trace_attributes(
    rows: ir.Table, spans: ir.Table, keys: Sequence[str], *, requested: Sequence[str] = ()
) -> ir.Table:
    """Add the value of each attribute in a row's trace, null where there is none or several.

    Args:
        rows: Rows with a column `trace_id`.
        spans: All spans.
        keys: Attributes of spans.
        requested: Those of them that are read from resources too, with a column on whether the trace has
            several values.
    """
    if not keys:
        return rows
    values = spans.select(
        trace=spans.trace_id,
        **{
            f"v{place}": _value(spans, key, or_of_resource=key in requested)
            for place, key in enumerate(keys)
        },
    )
    has_value = ibis.or_(*(values[f"v{place}"].notnull() for place in range(len(keys))))
    values = values.filter(has_value)
    extremes = {}
    for place in range(len(keys)):
        extremes[f"low{place}"] = values[f"v{place}"].min()
        extremes[f"high{place}"] = values[f"v{place}"].max()
    by_trace = values.group_by(**{_ID: values.trace}).aggregate(**extremes)
    columns: dict[str, ir.Value] = {_ID: by_trace[_ID]}
    for place, key in enumerate(keys):
        low, high = by_trace[f"low{place}"], by_trace[f"high{place}"]
        columns[f"{TRACE}{key}"] = ibis.cases((low == high, low))
        if key in requested:
            columns[f"{SEVERAL}{key}"] = low != high
    of_trace = by_trace.select(**columns)
    return rows.left_join(of_trace, rows.trace_id == of_trace[_ID]).drop(_ID)


def _value(spans: ir.Table, key: str, *, or_of_resource: bool) -> ir.Value:
    own = in_map(spans, "attributes", key)
    return ibis.coalesce(own, in_map(spans, "resource", key)) if or_of_resource else own
