"""Turn columns into features with a few dozen values each: text, or numbers in bins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.aggregation.numeric_bins import (
    Bounds,
    Counts,
    as_numbers,
    bins_of,
    interval,
    intervals_of,
)
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER, column_of
from keras_otel.analysis.rows.fixed_bins import CONFIDENCE_BINS, CONFIDENCE_BOUNDS, DURATION_BINS
from keras_otel.analysis.rows.fixed_bins import DURATION_BOUNDS as _DURATION_BOUNDS
from keras_otel.analysis.sources.tables.fetch import fetch_rows, fetch_values

MAX_VALUES: Final = 50

_ORDERED: Final = {
    semconv.CONFIDENCE_BIN: (CONFIDENCE_BINS, CONFIDENCE_BOUNDS),
    semconv.DURATION_BIN: (DURATION_BINS, _DURATION_BOUNDS),
}

_MOST_COUNTED: Final = 20_000
"""Most distinct values of a column that are counted one by one."""

_NAMED: Final = 3
"""Values that a note names; the others are only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column that rows are sliced by.

    Attributes:
        name: Name of the column.
        values: Its values, including `MISSING` and `OTHER`: sorted by text, or where they are ordered by
            meaning, in that order, with `MISSING` and `OTHER` last.
        bounds: Lower and upper end of each ordered value, None where open; empty where values have no order.
        is_binned: Whether values are ranges of the column's numbers.
        has_own_texts: Whether the column writes its ranges without saying which end is included, as in `25-45`.
    """

    name: str
    values: tuple[str, ...]
    bounds: tuple[Bounds, ...] = ()
    is_binned: bool = False
    has_own_texts: bool = False

    def values_in(self, table: ir.Table) -> ir.Value:
        """Return each row's value: that of the column or its bin, `MISSING` without one, `OTHER` for a rare one."""
        column = table[column_of(self.name)]
        text = ibis.coalesce(column.cast("string"), MISSING)
        if self.is_binned:
            number = as_numbers(column)
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
        """Name the range from one ordered value to another, both included, such as `[0,0.9)`."""
        first, last = self.values[low], self.values[high]
        if first.startswith(("[", "(")) and last.endswith((")", "]")):
            return f"{first.partition(',')[0]},{last.partition(',')[2]}"
        ends = self.ends(low, high)
        return f"{first} to {last}" if ends == (None, None) else interval(*ends)

    def ends(self, low: int, high: int) -> Bounds:
        """Return the lower and upper end of a range of values; None where it is open or they are unknown."""
        last = len(self.bounds) - 1
        if high > last or self.has_own_texts:
            return None, None
        return (
            None if low == 0 else self.bounds[low][0],
            None if high == last else self.bounds[high][1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features, and a note on each column that was left out or whose rare values were merged."""

    features: tuple[Feature, ...]
    notes: dict[str, str]


def features_of(
    table: ir.Table, columns: Sequence[str], requested: Sequence[str], support: float
) -> Features:
    """Make features of the columns of a table.

    Numbers with more than a few values are binned. Of a text column with more than 50 values, the most frequent
    with enough rows are kept and the others merged; a column without such values identifies rows, and is no
    feature.

    Args:
        table: The rows.
        columns: The columns that may be features, the most important first.
        requested: The columns that the user named: it is noted if one is no feature.
        support: Fewest rows of a slice.
    """
    notes: dict[str, str] = {}
    features = []
    for name in dict.fromkeys(columns):

        def add_note(text: str, name: str = name) -> None:
            notes[name] = text

        feature = _feature(table, name, support, is_requested=name in requested, add_note=add_note)
        if feature is not None:
            features.append(feature)
    return Features(features=tuple(features), notes=notes)


def _feature(
    table: ir.Table,
    name: str,
    support: float,
    *,
    is_requested: bool,
    add_note: Callable[[str], None],
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
        if is_requested:
            add_note(f"{name} is not sliced by: of its {many} values none has {support:g} rows")
        return None
    shown = ", ".join(counts.values[len(kept) : len(kept) + _NAMED])
    more = " and others" if others > _NAMED else ""
    add_note(f"{many} rarer values of {name} are put together as {OTHER}: {shown}{more}")
    return Feature(name=name, values=(*sorted([*kept, *rest]), OTHER))


def _counts(table: ir.Table, column: ir.Value) -> Counts:
    values = table.select(value=column.cast("string"), many=table["count"]).group_by("value")
    counted = values.aggregate(n=lambda grouped: grouped.many.sum())
    ordered = counted.order_by(counted.n.desc(), counted["value"]).limit(_MOST_COUNTED + 2)
    rows = fetch_rows(ordered)
    texts = [row["value"] for row in rows]
    n = [row["n"] for row in rows]
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
    """Return the fixed edges of a column of confidences, so that counts add up everywhere; none for others."""
    return semconv.CONFIDENCE_EDGES if "confidence" in name.lower() else ()


def _with_known_bins(table: ir.Table, name: str) -> Feature | None:
    values, bounds = _ORDERED[name]
    column = table.select(value=table[column_of(name)].cast("string")).distinct()
    present = set(fetch_values(column["value"]))
    places = [place for place, value in enumerate(values) if value in present]
    if not present or not present <= {None, *values}:  # ready rows may have bins of their own
        return _with_these_values(name, list(present))
    return Feature(
        name=name,
        values=(*(values[place] for place in places), *((MISSING,) if None in present else ())),
        bounds=tuple(bounds[place] for place in places),
    )
