"""What rows are sliced by: columns of text, or of numbers in bins, with a few dozen values each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.aggregation.numeric_bins import (
    Bounds,
    Counts,
    bins_of,
    interval,
    intervals_of,
    numbers_of,
)
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER, column_of
from keras_otel.analysis.rows.fixed_bins import CONFIDENCE_BINS, CONFIDENCE_BOUNDS, DURATION_BINS
from keras_otel.analysis.rows.fixed_bins import DURATION_BOUNDS as _DURATION_BOUNDS

MAX_VALUES: Final = 50

_ORDERED: Final = {
    semconv.CONFIDENCE_BIN: (CONFIDENCE_BINS, CONFIDENCE_BOUNDS),
    semconv.DURATION_BIN: (DURATION_BINS, _DURATION_BOUNDS),
}

_MOST_COUNTED: Final = 20_000
"""Different values of a column that are looked at one by one."""

_NAMED: Final = 3
"""Values that a sentence names before it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column as it is sliced by.

    Attributes:
        name: Of the column.
        values: Those that it takes, `MISSING` and `OTHER` among them: in order of their text, or where
            they are ordered by what they mean, in that order, with `MISSING` and `OTHER` last.
        bounds: Lower and upper end of each value that has a place in an order, None where open; empty
            where values have no order.
        is_binned: Whether values are ranges of the column's numbers.
        has_own_texts: Whether the column writes its ranges in a way that does not say which end is in.
    """

    name: str
    values: tuple[str, ...]
    bounds: tuple[Bounds, ...] = ()
    is_binned: bool = False
    has_own_texts: bool = False

    def values_in(self, table: ir.Table) -> ir.Value:
        """Each row's value: the column's own, `MISSING` where it has none, else `OTHER`."""
        column = table[column_of(self.name)]
        text = ibis.coalesce(column.cast("string"), MISSING)
        if self.is_binned:
            number = numbers_of(column)
            branches = [
                (number < upper, value)
                for value, (_, upper) in zip(self.values, self.bounds, strict=False)
                if upper is not None
            ]
            last = self.values[len(self.bounds) - 1]
            return ibis.cases((number.isnull() | number.isnan(), MISSING), *branches, else_=last)
        if OTHER not in self.values:
            return text
        kept = [value for value in self.values if value != OTHER]
        return ibis.cases((text.isin(kept), text), else_=OTHER)

    def interval(self, low: int, high: int) -> str:
        """Name the range from one of the ordered values to another, inclusive, such as `[0,0.9)`."""
        first, last = self.values[low], self.values[high]
        if first.startswith(("[", "(")) and last.endswith((")", "]")):
            return f"{first.partition(',')[0]},{last.partition(',')[2]}"
        ends = self.ends(low, high)
        return f"{first} to {last}" if ends == (None, None) else interval(*ends)

    def ends(self, low: int, high: int) -> Bounds:
        """The numbers between which a range lies, None where it is open or they are not known."""
        last = len(self.bounds) - 1
        if high > last or self.has_own_texts:
            return None, None
        return (
            None if low == 0 else self.bounds[low][0],
            None if high == last else self.bounds[high][1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What can be sliced by, and what was left out or put together, a sentence each."""

    features: tuple[Feature, ...]
    notes: dict[str, str]


def features_of(
    table: ir.Table, columns: Sequence[str], asked: Sequence[str], support: float
) -> Features:
    """Choose the features of a table.

    Numbers with more than a few values are cut into ranges. Of a text column with more than 50 values, the
    most frequent that enough rows have are kept and the others put together; where enough rows have
    none of them, its values name the rows, and it cannot be sliced by.

    Args:
        table: The rows.
        columns: Its columns that may be features, the most important first.
        asked: Those that the user asked for.
        support: Fewest rows of a slice.
    """
    notes: dict[str, str] = {}
    found = []
    for name in dict.fromkeys(columns):

        def note(text: str, name: str = name) -> None:
            notes[name] = text

        feature = _feature(table, name, support, is_asked=name in asked, note=note)
        if feature is not None:
            found.append(feature)
    return Features(features=tuple(found), notes=notes)


def _feature(
    table: ir.Table, name: str, support: float, *, is_asked: bool, note: Callable[[str], None]
) -> Feature | None:
    column = table[column_of(name)]
    if name in _ORDERED:
        return _with_known_bins(table, name)
    counts = _counts(table, column)
    rest = (MISSING,) if counts.missing else ()
    bins = bins_of(table, column, counts, _edges(name))
    if bins is not None:
        rest = (MISSING,) if counts.missing or bins.has_nan else ()
        return Feature(
            name=name,
            values=(*bins.values, *rest),
            bounds=bins.bounds,
            is_binned=bins.is_binned,
        )
    if len(counts.values) + len(rest) <= MAX_VALUES:
        return _with_these_values(name, [*counts.values, *([None] if rest else [])])
    kept = [
        value
        for value, n in zip(counts.values[: MAX_VALUES - 2], counts.n, strict=False)
        if n >= support
    ]
    others = len(counts.values) - len(kept)
    many = f"{others:,}" if counts.is_all else f"more than {others:,}"
    if not kept:
        if is_asked:
            note(f"{name} is not sliced by: of its {many} values none has {support:g} rows")
        return None
    shown = ", ".join(counts.values[len(kept) : len(kept) + _NAMED])
    more = " and others" if others > _NAMED else ""
    note(f"{many} rarer values of {name} are put together as {OTHER}: {shown}{more}")
    return Feature(name=name, values=(*sorted([*kept, *rest]), OTHER))


def _counts(table: ir.Table, column: ir.Value) -> Counts:
    values = table.select(value=column.cast("string"), many=table["count"]).group_by("value")
    counted = values.aggregate(n=lambda each: each.many.sum())
    ordered = counted.order_by(counted.n.desc(), counted["value"]).limit(_MOST_COUNTED + 2)
    found = ordered.to_pyarrow()
    texts, n = found.column("value").to_pylist(), found.column("n").to_pylist()
    missing = 0
    if None in texts:
        place = texts.index(None)
        missing = n.pop(place)
        texts.pop(place)
    elif len(texts) > _MOST_COUNTED:
        missing = table.filter(column.isnull())["count"].sum().to_pyarrow().as_py() or 0
    return Counts(
        values=texts[:_MOST_COUNTED],
        n=n[:_MOST_COUNTED],
        missing=missing,
        is_all=len(texts) <= _MOST_COUNTED,
    )


def _with_these_values(name: str, values: Sequence[str | None]) -> Feature | None:
    rest = (MISSING,) if None in values else ()
    texts = [value for value in values if value is not None]
    ranges = intervals_of(texts)
    if ranges is not None:
        return Feature(
            name=name,
            values=(*ranges.values, *rest),
            bounds=ranges.bounds,
            has_own_texts=not all(text.startswith(("[", "(")) for text in texts),
        )
    return Feature(name=name, values=tuple(sorted([*texts, *rest]))) if values else None


def _edges(name: str) -> Sequence[float]:
    """Where a column of confidences is cut: everywhere alike, so that counts add up."""
    return semconv.CONFIDENCE_EDGES if "confidence" in name.lower() else ()


def _with_known_bins(table: ir.Table, name: str) -> Feature | None:
    values, bounds = _ORDERED[name]
    column = table.select(value=table[column_of(name)].cast("string")).distinct()
    there = {row["value"] for row in _rows(column)}
    here = [place for place, value in enumerate(values) if value in there]
    odd = sorted(value for value in there if value is not None and value not in values)
    if odd or not there:  # ready rows may have bins of their own
        return _with_these_values(name, list(there))
    return Feature(
        name=name,
        values=(*(values[place] for place in here), *((MISSING,) if None in there else ())),
        bounds=tuple(bounds[place] for place in here),
    )


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
