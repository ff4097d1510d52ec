"""Check and convert the columns of ready rows that are no features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.sources.tables.fetch import fetch_count, fetch_values
from keras_otel.analysis.sources.tables.schema import LONGEST_EXPLANATION
from keras_otel.errors import SourceError

EXPLANATION: Final = "explanation"

_MOST_COUNT: Final = 2.0**53  # from here on a double does not hold every whole number

_LARGEST_WEIGHT: Final = 1e50

_COUNTS: Final = frozenset({"count", "counts", "cnt", "n", "freq", "frequency"})
"""Usual names of the column of counts."""


def failed_column(table: ir.Table, name: str) -> ir.Value:
    """Return whether each row failed; null where the column has no value.

    Raises:
        SourceError: The column is neither boolean nor 0 and 1.
    """
    column = table[name]
    if column.type().is_boolean():
        return column
    if column.type().is_numeric():
        invalid = fetch_values(table.filter(column.notnull() & ~column.isin([0, 1])).limit(1)[name])
        if invalid:
            value = invalid[0]
            raise SourceError(
                f"column {name!r} holds {value!r}, which is neither true nor false: it must hold 0 and 1"
            )
        return column == 1
    raise SourceError(
        f"column {name!r} is of type {column.type()}: it must hold true and false, or 0 and 1"
    )


def weight_column(table: ir.Table, name: str | None) -> ir.Value:
    """Return each row's sampling weight; 1 without a column.

    Raises:
        SourceError: A row has no weight, a negative one, or one whose square is out of range.
    """
    if name is None:
        return ibis.literal(1.0)
    number = _number(table, name, "weights are numbers")
    _require_none(
        table,
        name,
        number.isnull() | ~_is_finite(number) | (number < 0),
        "weight is no number from 0 on: leave them out",
    )
    _require_none(
        table,
        name,
        ((number > 0) & (number < 1 / _LARGEST_WEIGHT)) | (number > _LARGEST_WEIGHT),
        f"weight is below {1 / _LARGEST_WEIGHT:g} or above {_LARGEST_WEIGHT:g}: give all of them in "
        "another unit",
    )
    return number


def count_column(table: ir.Table, name: str | None) -> ir.Value:
    """Return how many rows each row stands for; 1 without a column.

    Raises:
        SourceError: A row has no count, or one that is no whole number from 0 on.
    """
    if name is None:
        return ibis.literal(1, "int64")
    number = _number(table, name, "counts are whole numbers")
    is_whole = _is_finite(number) & (number % 1 == 0) & (number < _MOST_COUNT)
    is_invalid = number.isnull() | ~is_whole | (number < 0)
    _require_none(table, name, is_invalid, "count is no whole number from 0 on: leave them out")
    return number.cast("int64")


def explanation_column(table: ir.Table) -> ir.Value:
    """Return the explanations; null where the rows have no column of that name."""
    if EXPLANATION not in table.columns:
        return ibis.null("string")
    return table[EXPLANATION].cast("string").left(LONGEST_EXPLANATION)


def count_warnings(
    table: ir.Table, *, weight: str | None, features: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence on each column with a usual name of counts that is used as something else."""
    for name in table.columns:
        if name.lower() not in _COUNTS:
            continue
        if name == weight:
            used = "as sampling weights"
        elif name in features and table[name].type().is_integer():
            used = "like any other column"
        else:
            continue
        yield f"column {name} is read {used}: if it says how many rows each stands for, give --count {name}"


def _number(table: ir.Table, name: str, must_be: str) -> ir.FloatingValue:
    column = table[name]
    if not column.type().is_numeric():
        raise SourceError(f"column {name!r} is of type {column.type()}: {must_be}")
    number: ir.FloatingValue = column.cast("float64")
    return number


def _is_finite(number: ir.FloatingValue) -> ir.BooleanValue:
    finite: ir.BooleanValue = ~(number.isnan() | number.isinf())
    return finite


def _require_none(table: ir.Table, name: str, is_invalid: ir.BooleanValue, reason: str) -> None:
    count = fetch_count(table.filter(is_invalid))
    if count:
        raise SourceError(f"column {name!r} has {count:,} rows whose {reason}")
