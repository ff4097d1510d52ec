"""Numbers as a few ordered values: each value by itself, or ranges with about equally many rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import numpy as np

from keras_otel.analysis.aggregation.bin_edges import Numbers, near_quantiles, of_many

Bounds = tuple[float | None, float | None]
"""Lower end, inclusive, and upper end, exclusive; None where it is open."""

FEW: Final = 10
"""So many different numbers are values by themselves."""

_DIGITS: Final = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?"
# What every engine reads as a number; Python also reads `1_0`, spaces and the digits of any script.
_WRITTEN: Final = re.compile(rf"{_DIGITS}|[-+]?inf(?:inity)?|nan", flags=re.ASCII | re.IGNORECASE)
_NUMBER: Final = rf"(?:{_DIGITS}|[-+]?inf)"
_INTERVALS: Final = tuple(
    re.compile(
        pattern.replace("LOW", f"(?P<low>{_NUMBER})").replace("HIGH", f"(?P<high>{_NUMBER})"),
        flags=re.ASCII | re.IGNORECASE,
    )
    for pattern in (
        r"[\[(]\s*LOW\s*[,;]\s*HIGH\s*[\])]",
        "LOW\\s*(?:-|\u2013|to|\\.\\.)\\s*HIGH",
        r"(?:<|<=|≤)\s*HIGH",
        r"(?:>|>=|≥)\s*LOW",
        r"LOW\s*\+",
        r"LOW",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The values of a column, the most frequent first.

    Attributes:
        values: As text, without those that are missing.
        n: Rows of each.
        missing: Rows without one.
        is_all: Whether there are no others.
    """

    values: Sequence[str]
    n: Sequence[int]
    missing: int
    is_all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """The values of a column of numbers, in order.

    Attributes:
        values: The texts, or the ranges.
        bounds: Of each.
        is_binned: Whether values are ranges.
        has_nan: Whether some row has a value that is not a number.
    """

    values: tuple[str, ...]
    bounds: tuple[Bounds, ...]
    is_binned: bool
    has_nan: bool = False


def numbers_of(column: ir.Value) -> Any:
    """The column's values as numbers; null for text that writes none."""
    if column.type().is_numeric():
        return column.cast("float64")
    return column.cast("string").try_cast("float64")


def bins_of(
    table: ir.Table, column: ir.Value, counts: Counts, edges: Sequence[float] = ()
) -> Bins | None:
    """Put a column's numbers in order.

    Args:
        table: The rows.
        column: One of its columns.
        counts: Its most frequent values.
        edges: Where to cut if all numbers lie between the first and the last of these; near
            quantiles by default.

    Returns:
        The bins; None where some value is no number, or there are fewer than three.
    """
    if len(counts.values) < 3 or _number(counts.values[0]) is None:
        return None
    parsed = [_number(value) for value in counts.values]
    if any(value is None for value in parsed):
        return None
    values = np.array(parsed, dtype=np.float64)
    if len(values) <= FEW:
        return _each_value(counts.values, values)
    is_number = ~np.isnan(values)
    numbers = values[is_number]
    low, high = float(numbers.min()), float(numbers.max())
    has_nan = not is_number.all()
    if not counts.is_all:
        ends = _ends(table, column)
        if ends is None:
            return None
        low, high, has_nan = ends
    if edges and edges[0] <= low and high <= edges[-1]:
        fixed = tuple(pairwise(edges))
        *others, last = (interval(*each) for each in fixed)
        texts = (*others, f"{last[:-1]}]")
        return Bins(values=texts, bounds=fixed, is_binned=True, has_nan=has_nan)
    if counts.is_all:
        # One number may be written in several ways.
        distinct, places = np.unique(numbers, return_inverse=True)
        n = np.bincount(places, np.array(counts.n)[is_number])
        cuts = near_quantiles(distinct, n.astype(np.float64))
    else:
        cuts = near_quantiles(
            *of_many(table.select(number=numbers_of(column), rows=table["count"]))
        )
    bounds = _bounds(cuts, None, None)
    texts = tuple(interval(*each) for each in bounds)
    return Bins(values=texts, bounds=bounds, is_binned=True, has_nan=has_nan) if cuts else None


def _each_value(texts: Sequence[str], values: Numbers) -> Bins | None:
    if np.isnan(values).any() or len(np.unique(values)) < len(values):
        return None
    order = np.argsort(values)
    return Bins(
        values=tuple(texts[place] for place in order),
        bounds=_bounds(
            [float(values[place]) for place in order[1:]], float(values[order[0]]), None
        ),
        is_binned=False,
    )


def _ends(table: ir.Table, column: ir.Value) -> tuple[float, float, bool] | None:
    """The smallest and the largest number, and whether there is a NaN; None where some value is no number."""
    seen = table.select(number=numbers_of(column), text=column.cast("string"))
    # Engines differ in whether NaN is null, and in whether null is NaN.
    is_nan = ibis.coalesce(seen.number.isnan(), False)
    number = is_nan.ifelse(ibis.null("float64"), seen.number)
    found = seen.aggregate(
        odd=(seen.text.notnull() & seen.number.isnull() & ~is_nan).sum(),
        nan=is_nan.sum(),
        low=number.min(),
        high=number.max(),
    )
    (row,) = found.to_pyarrow().to_pylist()
    is_odd = bool(row["odd"]) or row["low"] is None
    return None if is_odd else (row["low"], row["high"], bool(row["nan"]))


def intervals_of(texts: Sequence[str]) -> Bins | None:
    """Put texts in order that write ranges: `[0.5,0.7)`, `<25`, `25-45`, `>45`, `45+`.

    Returns:
        The texts in their order; None where one of them writes no range, or there are fewer than
        three, or two overlap.
    """
    read = [_interval_of(text) for text in texts]
    if len(read) < 3 or any(each is None for each in read):
        return None
    order = sorted(
        ((each, text) for each, text in zip(read, texts, strict=True) if each is not None),
        key=lambda pair: (_low(pair[0]), _high(pair[0])),
    )
    if any(_high(one) > _low(other) for (one, _), (other, _) in pairwise(order)):
        return None
    return Bins(
        values=tuple(text for _, text in order),
        bounds=tuple(each for each, _ in order),
        is_binned=False,
    )


def _low(bounds: Bounds) -> float:
    return -math.inf if bounds[0] is None else bounds[0]


def _high(bounds: Bounds) -> float:
    return math.inf if bounds[1] is None else bounds[1]


def _interval_of(text: str) -> Bounds | None:
    for pattern in _INTERVALS:
        match = pattern.fullmatch(text.strip())
        if match is None:
            continue
        parts = match.groupdict()
        low, high = (
            _number(parts[end]) if parts.get(end) is not None else None for end in ("low", "high")
        )
        if pattern is _INTERVALS[-1]:
            high = low
        if (low is None and high is None) or (low is not None and high is not None and low > high):
            return None
        infinite = (-math.inf, math.inf)
        return (None if low in infinite else low), (None if high in infinite else high)
    return None


def _number(text: str) -> float | None:
    return float(text) if _WRITTEN.fullmatch(text) else None


def _bounds(edges: Sequence[float], first: float | None, last: float | None) -> tuple[Bounds, ...]:
    return tuple(pairwise([first, *edges, last]))


def interval(lower: float | None, upper: float | None) -> str:
    """Write a range, its lower end inclusive: `[0,0.9)`, `[3,inf)`, `(-inf,3)`."""
    low = "(-inf" if lower is None else f"[{_written(lower)}"
    return f"{low},{'inf' if upper is None else _written(upper)})"


def _written(number: float) -> str:
    """The number in few digits, or in as many as it takes to read it back."""
    text = f"{number:.12g}"
    return text if float(text) == number else repr(number).removesuffix(".0")
