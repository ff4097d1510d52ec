"""Whether traces look as if only a part of them was kept, where no tracestate says which part.

Three things show it: an attribute or a member of the tracestate that a sampler writes; trace ids of which only
the lower ones were kept, as `TraceIdRatioBased` of OpenTelemetry's SDKs does; and traces in which a parent is
missing where others are whole, as where each service decides for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.attributes import in_map
from keras_otel.analysis.rows.materialise import materialised

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
_LOW: Final = 16
"""Hex digits of a trace id that a ratio is compared with: the last ones."""
_LEADING: Final = 4
_ALL: Final = 16**_LEADING
_LARGEST_RATIO: Final = 0.9
_SMALLEST_RATIO: Final = 0.002
_PLAY: Final = 0.1


def signs_of_sampling(sample: ir.Table) -> str | None:
    """What shows that traces were sampled, as a clause; None where nothing does.

    Args:
        sample: Spans of some traces, all spans of each.
    """
    return next(_signs(sample), None)


def _signs(sample: ir.Table) -> Iterator[str]:
    state = ibis.coalesce(sample.tracestate, "").re_search(_MEMBERS)
    keys = {f"key{n}": in_map(sample, "attributes", key) for n, key in enumerate(_KEYS)}
    slim = sample.select("trace_id", "span_id", "parent_span_id", has_member=state, **keys)
    sample = materialised(slim, "sampled")
    told = {key: sample[key].count() for key in keys}
    (found,) = _rows(sample.aggregate(**told, members=sample.has_member.cast("int64").sum()))
    for n, key in enumerate(_KEYS):
        if found[f"key{n}"]:
            yield f"spans have the attribute {key}"
    if found["members"]:
        yield "a sampler has written into the tracestate"
    traces = sample.select("trace_id").distinct()
    yield from _sign_of_ids(traces)
    yield from _sign_of_gaps(sample, int(traces.count().to_pyarrow().as_py()))


def _sign_of_ids(traces: ir.Table) -> Iterator[str]:
    """The ids below a bound that a ratio gives, with as many in each part below it."""
    leading = traces.trace_id.substr(_LOW, _LEADING)
    ids = sorted(
        int(row["leading"], 16) / _ALL
        for row in _rows(traces.select(leading=leading))
        if row["leading"]
    )
    if len(ids) < _LEAST_TRACES or not _SMALLEST_RATIO < ids[-1] < _LARGEST_RATIO:
        return
    quarters = [ids[len(ids) * n // 4] / ids[-1] for n in (1, 2, 3)]
    if all(abs(each - n / 4) < _PLAY for n, each in zip((1, 2, 3), quarters, strict=True)):
        yield f"all trace ids are below a bound, as where {ids[-1]:.1%} of them are kept"


def _sign_of_gaps(sample: ir.Table, traces: int) -> Iterator[str]:
    children = sample.filter(sample.parent_span_id.notnull()).select("trace_id", "parent_span_id")
    parents = sample.select(trace=sample.trace_id, span=sample.span_id)
    orphans = children.anti_join(
        parents, [children.trace_id == parents.trace, children.parent_span_id == parents.span]
    )
    with_gaps = int(orphans.trace_id.nunique().to_pyarrow().as_py() or 0)
    if traces >= _LEAST_TRACES and _GAPS[0] <= with_gaps / traces <= _GAPS[1]:
        yield f"{with_gaps / traces:.0%} of the traces lack a span that others are children of"


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
