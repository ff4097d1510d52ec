"""Compute how many traces each sampled one stands for, from the threshold in its tracestate.

OpenTelemetry's consistent probability sampling writes `ot=th:HEX` into the tracestate. With T the hex
digits padded right with zeros to 14, a trace was kept with probability (2**56 - T) / 2**56, so it
stands for 2**56 / (2**56 - T) traces: `th:8` is 2, `th:c` is 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import ibis
import ibis.expr.types as ir

_DIGITS: Final = 14
_ALL: Final = 16**_DIGITS
_THRESHOLD: Final = r"(?:^|,)[ \t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?:[;, \t]|$)"


def weight_of(threshold: str) -> float:
    """Return the number of traces that a trace with this threshold stands for.

    Args:
        threshold: 1 to 14 hex digits; trailing zeros may be left out.
    """
    return _ALL / (_ALL - int(threshold.ljust(_DIGITS, "0"), 16))


def threshold(tracestate: ir.StringValue) -> ir.StringValue:
    """Return the threshold in each tracestate; null or empty where there is none."""
    # ClickHouse cannot match against null.
    return ibis.coalesce(tracestate, "").re_extract(_THRESHOLD, 1)


def weight(column: ir.StringValue, thresholds: Iterable[str]) -> ir.Value:
    """Return the weight of each threshold, of those in the data; null for others."""
    branches = [(column == value, weight_of(value)) for value in sorted(thresholds)]
    return ibis.cases(*branches) if branches else ibis.null("float64")
