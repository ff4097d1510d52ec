"""Detect that traces were sampled, where no tracestate has the sampling probability.

There are three signs: an attribute or a member of the tracestate that a sampler writes; trace ids of which only
the lower ones were kept, as `TraceIdRatioBased` of OpenTelemetry's SDKs does; and traces in which a parent is
missing where others are whole, as where each service samples for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import in_map
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.sources.tables.fetch import fetch_count, fetch_row, fetch_values

_KEYS: Final = (
    "sampler.type",
    "sampling.rule",
    "sampling.priority",
    "SampleRate",
    "tailsampling.policy",
)
_MEMBERS: Final = r"(?:^|,)\s*(?:ot=(?:[^,]*;)?p:|es=(?:[^,]*;)?s:|dd=(?:[^,]*;)?s:)"

_LEAST_TRACES: Final = 100
_GAPS: Final = (0.05, 0.95)
_RATIO_DIGITS_START: Final = 16
"""Where the hex digits of a trace id begin that a sampler compares with its ratio: the last 16."""
_LEADING: Final = 4
_ALL: Final = 16**_LEADING
_LARGEST_RATIO: Final = 0.9
_SMALLEST_RATIO: Final = 0.002
_TOLERANCE: Final = 0.1


def signs_of_sampling(sample: ir.Table) -> str | None:
    """Return a sign that traces were sampled, as a clause; None where there is none.

    Args:
        sample: Spans of some traces, all spans of each.
    """
    return next(_signs(sample), None)


def _signs(sample: ir.Table) -> Iterator[str]:
    has_member = ibis.coalesce(sample.tracestate, "").re_search(_MEMBERS)
    keys = {f"key{n}": in_map(sample, "attributes", key) for n, key in enumerate(_KEYS)}
    slim = sample.select("trace_id", "span_id", "parent_span_id", has_member=has_member, **keys)
    sample = materialised(slim, "sampled")
    counts = {key: sample[key].count() for key in keys}
    row = fetch_row(sample.aggregate(**counts, members=sample.has_member.cast("int64").sum()))
    for n, key in enumerate(_KEYS):
        if row[f"key{n}"]:
            yield f"spans have the attribute {key}"
    if row["members"]:
        yield "a sampler has written into the tracestate"
    traces = sample.select("trace_id").distinct()
    yield from _sign_of_ids(traces)
    yield from _sign_of_gaps(sample, fetch_count(traces))


def _sign_of_ids(traces: ir.Table) -> Iterator[str]:
    """Look for trace ids that all are below a bound, as a ratio sampler keeps them, evenly distributed below it."""
    leading = traces.trace_id.substr(_RATIO_DIGITS_START, _LEADING)
    ids = sorted(
        int(digits, 16) / _ALL
        for digits in fetch_values(traces.select(leading=leading).leading)
        if digits
    )
    if len(ids) < _LEAST_TRACES or not _SMALLEST_RATIO < ids[-1] < _LARGEST_RATIO:
        return
    quarters = [ids[len(ids) * n // 4] / ids[-1] for n in (1, 2, 3)]
    if all(abs(share - n / 4) < _TOLERANCE for n, share in zip((1, 2, 3), quarters, strict=True)):
        yield f"all trace ids are below a bound, as where {ids[-1]:.1%} of them are kept"


def _sign_of_gaps(sample: ir.Table, traces: int) -> Iterator[str]:
    """Look for spans whose parent is missing, in some traces and not in others."""
    children = sample.filter(sample.parent_span_id.notnull()).select("trace_id", "parent_span_id")
    parents = sample.select(trace=sample.trace_id, span=sample.span_id)
    orphans = children.anti_join(
        parents, [children.trace_id == parents.trace, children.parent_span_id == parents.span]
    )
    with_gaps = fetch_count(orphans.select("trace_id").distinct())
    if traces >= _LEAST_TRACES and _GAPS[0] <= with_gaps / traces <= _GAPS[1]:
        yield f"{with_gaps / traces:.0%} of the traces lack a span that others are children of"
