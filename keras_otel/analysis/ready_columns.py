"""The columns of ready rows that are no features, each checked before it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.sources.tables.schema import LONGEST_EXPLANATION
from keras_otel.errors import SourceError

EXPLANATION: Final = "explanation"

_MOST: Final = 2.0**53  # from here on a double does not hold every whole number

_LARGEST_WEIGHT: Final = 1e50

_COUNTS: Final = frozenset({"count", "counts", "cnt", "n", "freq", "frequency"})
"""What people call the column of a table of counts."""


def failed_column(table: ir.Table, name: str) -> ir.Value:
    """Whether each row failed; null where it does not say.

    Raises:
        SourceError: The column holds something else than yes and no.
    """
    column = table[name]
    if column.type().is_boolean():
        return column
    if column.type().is_numeric():
        odd = table.filter(column.notnull() & ~column.isin([0, 1])).limit(1).to_pyarrow()
        if odd.num_rows:
            value = odd.column(name)[0].as_py()
            raise SourceError(
                f"column {name!r} holds {value!r}, which is neither true nor false: it must hold 0 and 1"
            )
        return column == 1
    raise SourceError(
        f"column {name!r} is of type {column.type()}: it must hold true and false, or 0 and 1"
    )


def weight_column(table: ir.Table, name: str | None) -> ir.Value:
    """Each row's sampling weight.

    Raises:
        SourceError: Some row has none, or one whose powers are no numbers.
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
    """How many rows each row stands for.

    Raises:
        SourceError: Some row does not say so.
    """
    if name is None:
        return ibis.literal(1, "int64")
    number = _number(table, name, "counts are whole numbers")
    is_whole = _is_finite(number) & (number % 1 == 0) & (number < _MOST)
    bad = number.isnull() | ~is_whole | (number < 0)
    _require_none(table, name, bad, "count is no whole number from 0 on: leave them out")
    return number.cast("int64")


def explanation_column(table: ir.Table) -> ir.Value:
    """The evaluator's reason, where the rows have a column of that name."""
    if EXPLANATION not in table.columns:
        return ibis.null("string")
    return table[EXPLANATION].cast("string").left(LONGEST_EXPLANATION)


def count_warnings(
    table: ir.Table, *, weight: str | None, features: Sequence[str]
) -> Iterator[str]:
    """Columns that look as if they said how many rows each stands for, and are read as something else."""
    for name in _alike(table.columns, _COUNTS):
        if name == weight:
            used = "as sampling weights"
        elif name in features and table[name].type().is_integer():
            used = "like any other column"
        else:
            continue
        yield f"column {name} is read {used}: if it says how many rows each stands for, give --count {name}"


def _alike(columns: Iterable[str], known: frozenset[str]) -> list[str]:
    return [name for name in columns if name.lower() in known]


def _number(table: ir.Table, name: str, must_be: str) -> ir.FloatingValue:
    column = table[name]
    if not column.type().is_numeric():
        raise SourceError(f"column {name!r} is of type {column.type()}: {must_be}")
    number: ir.FloatingValue = column.cast("float64")
    return number


def _is_finite(number: ir.FloatingValue) -> ir.BooleanValue:
    finite: ir.BooleanValue = ~(number.isnan() | number.isinf())
    return finite


def _require_none(table: ir.Table, name: str, bad: ir.BooleanValue, why: str) -> None:
    count = table.filter(bad).count().to_pyarrow().as_py()
    if count:
        raise SourceError(f"column {name!r} has {count:,} rows whose {why}")
