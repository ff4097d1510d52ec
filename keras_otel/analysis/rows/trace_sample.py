"""Sample whole traces, to inspect before all are processed: the same ones in every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir

from keras_otel.analysis.sources.tables.fetch import fetch_count

_SAMPLED_SPANS: Final = 60_000
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample of traces.

    Attributes:
        spans: All spans of the sampled traces.
        total_spans: Number of spans of all traces.
    """

    spans: ir.Table
    total_spans: int


def trace_sample(spans: ir.Table) -> Sample:
    """Sample traces with about 60 000 spans; all traces where there are no more."""
    count = fetch_count(spans)
    if count <= _SAMPLED_SPANS:
        return Sample(spans=spans, total_spans=count)
    # The last digits of a trace id are random (W3C Trace Context, Level 2).
    end = f"{max(16**_DIGITS * _SAMPLED_SPANS // count, 1):0{_DIGITS}x}"
    sampled = spans.filter(spans.trace_id.right(_DIGITS) < end)
    return Sample(
        spans=sampled if fetch_count(sampled) else spans.limit(_SAMPLED_SPANS), total_spans=count
    )
