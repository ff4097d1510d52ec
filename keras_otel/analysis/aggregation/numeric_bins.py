"""Bin the numbers of a column: each value by itself, or ranges with about equally many rows."""

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

from keras_otel.analysis.aggregation.arrays import Floats
from keras_otel.analysis.aggregation.bin_edges import near_quantiles, sample_numbers
from keras_otel.analysis.sources.tables.fetch import fetch_row

Bounds = tuple[float | None, float | None]
"""Lower end, inclusive, and upper end, exclusive; None where it is open."""

FEW: Final = 10
"""Most distinct numbers that are values by themselves."""

_DIGITS: Final = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?"
# What every engine reads as a number; Python would also read `1_0`, spaces and the digits of any script.
_NUMBER_TEXT: Final = re.compile(
    rf"{_DIGITS}|[-+]?inf(?:inity)?|nan", flags=re.ASCII | re.IGNORECASE
)
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
        values: The values as text, without missing ones.
        n: Rows of each.
        missing: Rows without a value.
        is_all: Whether these are all values of the column.
    """

    values: Sequence[str]
    n: Sequence[int]
    missing: int
    is_all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """The values of a column of numbers, in order.

    Attributes:
        values: The numbers or ranges as text.
        bounds: Lower and upper end of each.
        is_binned: Whether values are ranges.
        has_nan: Whether some row is NaN.
    """

    values: tuple[str, ...]
    bounds: tuple[Bounds, ...]
    is_binned: bool
    has_nan: bool = False


def as_numbers(column: ir.Value) -> Any:
    """Return a column's values as numbers; null for text that is no number."""
    if column.type().is_numeric():
        return column.cast("float64")
    return column.cast("string").try_cast("float64")


def bins_of(
    table: ir.Table, column: ir.Value, counts: Counts, edges: Sequence[float] = ()
) -> Bins | None:
    """Bin a column of numbers.

    Args:
        table: The rows.
        column: One of its columns.
        counts: Its most frequent values.
        edges: The edges to use if all numbers lie between the first and the last of them; edges near
            quantiles otherwise.

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
        return _single_values(counts.values, values)
    is_number = ~np.isnan(values)
    numbers = values[is_number]
    low, high = float(numbers.min()), float(numbers.max())
    has_nan = not is_number.all()
    if not counts.is_all:
        extremes = _extremes(table, column)
        if extremes is None:
            return None
        low, high, has_nan = extremes
    if edges and edges[0] <= low and high <= edges[-1]:
        fixed = tuple(pairwise(edges))
        *others, last = (interval(*bounds) for bounds in fixed)
        texts = (*others, f"{last[:-1]}]")
        return Bins(values=texts, bounds=fixed, is_binned=True, has_nan=has_nan)
    if counts.is_all:
        # One number may be written in several ways.
        distinct, places = np.unique(numbers, return_inverse=True)
        n = np.bincount(places, np.array(counts.n)[is_number])
        cuts = near_quantiles(distinct, n.astype(np.float64))
    else:
        cuts = near_quantiles(
            *sample_numbers(table.select(number=as_numbers(column), rows=table["count"]))
        )
    if not cuts:
        return None
    ranges = _between(cuts, None, None)
    texts = tuple(interval(*bounds) for bounds in ranges)
    return Bins(values=texts, bounds=ranges, is_binned=True, has_nan=has_nan)


def _single_values(texts: Sequence[str], values: Floats) -> Bins | None:
    if np.isnan(values).any() or len(np.unique(values)) < len(values):
        return None
    order = np.argsort(values)
    return Bins(
        values=tuple(texts[place] for place in order),
        bounds=_between(
            [float(values[place]) for place in order[1:]], float(values[order[0]]), None
        ),
        is_binned=False,
    )


def _extremes(table: ir.Table, column: ir.Value) -> tuple[float, float, bool] | None:
    """Return the smallest and the largest number, and whether there is a NaN; None if some value is no number."""
    values = table.select(number=as_numbers(column), text=column.cast("string"))
    # Engines differ in whether NaN is null, and in whether null is NaN.
    is_nan = ibis.coalesce(values.number.isnan(), False)
    number = is_nan.ifelse(ibis.null("float64"), values.number)
    aggregates = values.aggregate(
        no_numbers=(values.text.notnull() & values.number.isnull() & ~is_nan).sum(),
        nan=is_nan.sum(),
        low=number.min(),
        high=number.max(),
    )
    row = fetch_row(aggregates)
    if row["no_numbers"] or row["low"] is None:
        return None
    return row["low"], row["high"], bool(row["nan"])


def intervals_of(texts: Sequence[str]) -> Bins | None:
    """Sort texts that write ranges: `[0.5,0.7)`, `<25`, `25-45`, `>45`, `45+`.

    Returns:
        The sorted texts; None if one of them is no range, there are fewer than three, or two overlap.
    """
    parsed = [(bounds, text) for text in texts if (bounds := _parse_interval(text)) is not None]
    if len(texts) < 3 or len(parsed) < len(texts):
        return None
    order = sorted(parsed, key=lambda pair: (_low(pair[0]), _high(pair[0])))
    if any(_high(bounds) > _low(following) for (bounds, _), (following, _) in pairwise(order)):
        return None
    return Bins(
        values=tuple(text for _, text in order),
        bounds=tuple(bounds for bounds, _ in order),
        is_binned=False,
    )


def _low(bounds: Bounds) -> float:
    return -math.inf if bounds[0] is None else bounds[0]


def _high(bounds: Bounds) -> float:
    return math.inf if bounds[1] is None else bounds[1]


def _parse_interval(text: str) -> Bounds | None:
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
    return float(text) if _NUMBER_TEXT.fullmatch(text) else None


def _between(edges: Sequence[float], first: float | None, last: float | None) -> tuple[Bounds, ...]:
    return tuple(pairwise([first, *edges, last]))


def interval(lower: float | None, upper: float | None) -> str:
    """Write a range, its lower end inclusive: `[0,0.9)`, `[3,inf)`, `(-inf,3)`."""
    low = "(-inf" if lower is None else f"[{_shortest_text(lower)}"
    return f"{low},{'inf' if upper is None else _shortest_text(upper)})"


def _shortest_text(number: float) -> str:
    """Return a number in 12 digits, or in as many as it takes to read it back."""
    text = f"{number:.12g}"
    return text if float(text) == number else repr(number).removesuffix(".0")
