"""Where to cut numbers into ranges with about equally many rows: at short numbers near quantiles."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

QUANTILES: Final = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Where ranges are cut: what goes wrong is often at an end."""

_PLAY: Final = 0.02
"""How far from its quantile a cut may be, so that it is a short number."""

_PARTS: Final = 1000
"""Of the rows: so finely are many different numbers looked at."""


def near_quantiles(values: Numbers, n: Numbers) -> list[float]:
    """Cut between values near the quantiles, so that a frequent one has a bin of its own.

    Args:
        values: [V], different ones in their order.
        n: [V], rows of each.

    Returns:
        Where ranges begin, in order; the first begins below.
    """
    running = np.cumsum(n)

    def at(quantile: float) -> int:
        return min(int(np.searchsorted(running, quantile * running[-1])), len(values) - 1)

    edges = []
    for quantile in QUANTILES:
        low, high = at(quantile - _PLAY), at(quantile + _PLAY)
        if low < high:
            edges.append(_short(float(values[low]), float(values[high])))
            continue
        # One value has all the rows there: cut at the end of it that is nearer.
        before = float(running[low] - n[low])
        is_nearer_start = quantile * running[-1] - before < running[low] - quantile * running[-1]
        place = low if is_nearer_start else low + 1
        if 0 < place < len(values):
            edges.append(_short(float(values[place - 1]), float(values[place])))
    return sorted(edge for edge in dict.fromkeys(edges) if edge > values[0])


def of_many(seen: ir.Table) -> tuple[Numbers, Numbers]:
    """Some of very many numbers in order, each with the rows up to the next: a thousandth of all or so.

    A frequent number stands by itself, as if all were looked at. Engines' own quantiles differ.

    Args:
        seen: `number`, and `rows`: how many rows a row stands for.
    """
    seen = seen.filter(seen.number.notnull() & ~seen.number.isnan())
    by_number = seen.group_by("number").aggregate(rows=seen.rows.sum().cast("float64"))
    in_order = ibis.window(order_by=by_number.number, preceding=None, following=0)
    running = by_number.mutate(
        until=by_number.rows.sum().over(in_order), everything=by_number.rows.sum().over()
    )
    parts = running.mutate(
        part=(running.until * _PARTS / running.everything).floor(),
        # At most one of a part, and the first of it, since it is as large as a part.
        is_frequent=(running.rows * _PARTS >= running.everything).cast("int8"),
    )
    grouped = parts.group_by("part", "is_frequent").aggregate(
        first=parts.number.min(), rows=parts.rows.sum()
    )
    found = grouped.order_by("first").to_pyarrow()
    first, rows = (
        found.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("first", "rows")
    )
    return first, rows


def _short(below: float, most: float) -> float:
    """The shortest number above the one and at most the other."""
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
