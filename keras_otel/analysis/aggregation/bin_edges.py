"""Choose edges that cut numbers into ranges with about equally many rows: short numbers near quantiles."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import ibis
import ibis.expr.types as ir
import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats

QUANTILES: Final = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Where ranges are cut: narrower at the ends, where failures often concentrate."""

_TOLERANCE: Final = 0.02
"""How far an edge may be from its quantile, in exchange for fewer digits."""

_PARTS: Final = 1000
"""Parts of equally many rows, of which very many different numbers are sampled."""


def near_quantiles(values: Floats, n: Floats) -> list[float]:
    """Return edges between values near the quantiles; a frequent value has a bin of its own.

    Args:
        values: [V], distinct values, sorted.
        n: [V], rows of each.

    Returns:
        The lower ends of all ranges but the first, sorted.
    """
    running = np.cumsum(n)

    def index_at(quantile: float) -> int:
        return min(int(np.searchsorted(running, quantile * running[-1])), len(values) - 1)

    edges = []
    for quantile in QUANTILES:
        low, high = index_at(quantile - _TOLERANCE), index_at(quantile + _TOLERANCE)
        if low < high:
            edges.append(_shortest_number(float(values[low]), float(values[high])))
            continue
        # All rows near the quantile have one value: cut before or after it, whichever is nearer.
        before = float(running[low] - n[low])
        is_nearer_start = quantile * running[-1] - before < running[low] - quantile * running[-1]
        place = low if is_nearer_start else low + 1
        if 0 < place < len(values):
            edges.append(_shortest_number(float(values[place - 1]), float(values[place])))
    return sorted(edge for edge in dict.fromkeys(edges) if edge > values[0])


def sample_numbers(table: ir.Table) -> tuple[Floats, Floats]:
    """Sample very many numbers, sorted, each with the rows up to the next one: about a thousandth of all rows.

    A frequent number has its exact rows, as if there were no sampling. (Quantiles of engines differ.)

    Args:
        table: Columns `number`, and `rows`: how many rows a row stands for.
    """
    numbers = table.filter(table.number.notnull() & ~table.number.isnan())
    by_number = numbers.group_by("number").aggregate(rows=numbers.rows.sum().cast("float64"))
    in_order = ibis.window(order_by=by_number.number, preceding=None, following=0)
    running = by_number.mutate(
        until=by_number.rows.sum().over(in_order), everything=by_number.rows.sum().over()
    )
    parts = running.mutate(
        part=(running.until * _PARTS / running.everything).floor(),
        # A part has at most one, its first, since it has as many rows as a part.
        is_frequent=(running.rows * _PARTS >= running.everything).cast("int8"),
    )
    grouped = parts.group_by("part", "is_frequent").aggregate(
        first=parts.number.min(), rows=parts.rows.sum()
    )
    sample = grouped.order_by("first").to_pyarrow()
    first, rows = (
        sample.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("first", "rows")
    )
    return first, rows


def _shortest_number(below: float, most: float) -> float:
    """Return the number with the fewest digits above `below` and at most `most`."""
    if not (math.isfinite(below) and math.isfinite(most) and below < most):
        return most
    low, high = Decimal(repr(below)), Decimal(repr(most))
    largest = max(abs(low), abs(high)).adjusted() + 1
    for exponent in range(largest, (high - low).adjusted() - 1, -1):
        for digit in (5, 2, 1):
            step = Decimal(digit).scaleb(exponent)
            number = float((high / step).to_integral_value(ROUND_FLOOR) * step)
            if below < number <= most:
                return number
    return most
