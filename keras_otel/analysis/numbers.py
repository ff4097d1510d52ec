"""Numbers as a few ordered values: each value by itself, or ranges with about equally many rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

Bounds = tuple[float | None, float | None]
"""Lower end, inclusive, and upper end, exclusive; None where it is open."""

FEW: Final = 10
"""So many different numbers are values by themselves."""

QUANTILES: Final = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Where ranges are cut: what goes wrong is often at an end."""

_PLAY: Final = 0.02
"""How far from its quantile a cut may be, so that it is a short number."""

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+|inf)(?:[eE][-+]?\d+)?"
_INTERVALS: Final = tuple(
    re.compile(
        pattern.replace("LOW", f"(?P<low>{_NUMBER})").replace("HIGH", f"(?P<high>{_NUMBER})")
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
    is_number = ~np.isnan(values)
    if len(values) <= FEW:
        return _each_value(counts.values, values)
    order = np.argsort(values[is_number])
    finite, n = values[is_number][order], np.array(counts.n, np.float64)[is_number][order]
    low, high = (finite[0], finite[-1]) if len(finite) else (math.nan, math.nan)
    if not counts.is_all:
        found = _numbers_in(table, column)
        if found is None:
            return None
        low, high = found
    if edges and edges[0] <= low and high <= edges[-1]:
        bounds: tuple[Bounds, ...] = tuple(pairwise(edges))
    elif counts.is_all:
        bounds = _bounds(_edges_of_counts(finite, n), None, None)
    else:
        bounds = _bounds(_edges_of_rows(table, column), None, None)
    if len(bounds) < 2:
        return None
    return Bins(
        values=tuple(_interval(*each) for each in bounds),
        bounds=bounds,
        is_binned=True,
        has_nan=not bool(is_number.all()),
    )


def _each_value(texts: Sequence[str], values: npt.NDArray[np.float64]) -> Bins | None:
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


def _numbers_in(table: ir.Table, column: ir.Value) -> tuple[float, float] | None:
    """The smallest and the largest number; None where some value is no number."""
    seen = table.select(number=numbers_of(column), text=column.cast("string"))
    found = seen.aggregate(
        odd=(seen.text.notnull() & seen.number.isnull()).sum(),
        low=seen.number.min(),
        high=seen.number.max(),
    )
    (row,) = found.to_pyarrow().to_pylist()
    return None if row["odd"] or row["low"] is None else (row["low"], row["high"])


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
    try:
        return float(text)
    except ValueError:
        return None


def _bounds(edges: Sequence[float], first: float | None, last: float | None) -> tuple[Bounds, ...]:
    return tuple(pairwise([first, *edges, last]))


def _interval(lower: float | None, upper: float | None) -> str:
    low = "(-inf" if lower is None else f"[{lower:.12g}"
    return f"{low},{'inf' if upper is None else f'{upper:.12g}'})"


def _edges_of_counts(values: npt.NDArray[np.float64], n: npt.NDArray[np.float64]) -> list[float]:
    """Cut between values near the quantiles, so that a frequent one has a bin of its own."""
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


def _edges_of_rows(table: ir.Table, column: ir.Value) -> list[float]:
    """Cut near the quantiles, as the engine gives them."""
    seen = table.select(number=numbers_of(column))
    finite = seen.filter(seen.number.notnull() & ~seen.number.isnan())
    wanted = {q + play for q in QUANTILES for play in (-_PLAY, _PLAY)}
    named = {f"q{place}": (q, finite.number.quantile(q)) for place, q in enumerate(sorted(wanted))}
    aggregates = {name: value for name, (_, value) in named.items()}
    (found,) = finite.aggregate(low=finite.number.min(), **aggregates).to_pyarrow().to_pylist()
    at = {q: float(found[name]) for name, (q, _) in named.items()}
    edges = [_short(at[q - _PLAY], at[q + _PLAY]) for q in QUANTILES]
    return sorted(edge for edge in set(edges) if edge > found["low"])


def _short(below: float, most: float) -> float:
    """The shortest number above the one and at most the other."""
    if not (math.isfinite(below) and math.isfinite(most) and below < most):
        return most
    exponent = math.floor(math.log10(max(abs(below), abs(most)))) + 1
    while 10.0**exponent > (most - below) / 10:
        for digit in (5, 2, 1):
            step = digit * 10.0**exponent
            number = float(f"{math.floor(most / step) * step:.12g}")
            if below < number <= most:
                return number
        exponent -= 1
    return most
