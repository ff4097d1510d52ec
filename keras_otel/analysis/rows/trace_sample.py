"""A part of the traces, whole, to look at before all are worked on: the same in every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir

_SAMPLED_SPANS: Final = 60_000
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some traces.

    Attributes:
        spans: All spans of each.
        of: How many spans there are in all.
    """

    spans: ir.Table
    of: int


def trace_sample(spans: ir.Table) -> Sample:
    """Some of the traces, with about 60 000 spans; all where there are no more."""
    count = int(spans.count().to_pyarrow().as_py())
    if count <= _SAMPLED_SPANS:
        return Sample(spans=spans, of=count)
    # The last digits of a trace id are random (W3C Trace Context, Level 2).
    end = f"{max(16**_DIGITS * _SAMPLED_SPANS // count, 1):0{_DIGITS}x}"
    some = spans.filter(spans.trace_id.right(_DIGITS) < end)
    has_some = some.count().to_pyarrow().as_py()
    return Sample(spans=some if has_some else spans.limit(_SAMPLED_SPANS), of=count)
