"""Rows that are there already: a data frame, a table, a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from keras_otel.analysis.features import column_of
from keras_otel.analysis.materialise import materialised
from keras_otel.analysis.result import SliceResult
from keras_otel.analysis.significance import Correction
from keras_otel.analysis.slicing import Settings, slice_rows
from keras_otel.analysis.tables import Rows, nearest_first
from keras_otel.errors import SourceError

MODEL: Final = "rows"
"""What stands in the place of a model's name."""
TRACE_ID: Final = "trace_id"

_SUFFIXES: Final = (".parquet", ".pq", ".csv", ".tsv")


def slice_failures(  # noqa: PLR0913 - the options of the command line, by the same names
    rows: Any,
    *,
    failed: str,
    by: Sequence[str] = (),
    weight: str | None = None,
    cluster: str | None = None,
    adjust_for: Sequence[str] = (),
    min_support: int | None = None,
    max_level: int = 3,
    fdr: Correction = "bh",
    list_all: bool = False,
) -> SliceResult:
    """Find the slices in which failures concentrate.

    Args:
        rows: An Ibis table, an Arrow table, or a pandas or Polars data frame: one row for each answer. A
            column `trace_id`, if there is one, gives the examples.
        failed: The column that is true, or 1, where the answer failed; rows without a value leave the
            denominator.
        by: Columns to slice by; all others by default.
        weight: The column that says how many answers a row stands for.
        cluster: The column whose values are not independent of one another within, such as a session.
        adjust_for: Columns to hold fixed, to see whether that changes a risk ratio.
        min_support: Fewest rows of a slice; 30 or 0.5 % of all rows by default.
        max_level: Most predicates of a slice, 1 to 3.
        fdr: `bh` (Benjamini-Hochberg) or `by` (Benjamini-Yekutieli).
        list_all: Whether slices that are not significant are listed too, at most 200 of them.

    Returns:
        One family of slices; its records are those of `keras_otel.analysis.result`.

    Raises:
        SourceError: A column is not there, or holds what it cannot.
    """
    table = _table(rows)
    named = [failed, *by, *adjust_for, *(name for name in (weight, cluster) if name is not None)]
    for name in named:
        if name not in table.columns:
            there = nearest_first(name, table.columns)
            raise SourceError(f"the rows have no column {name!r}: there is {there}")
    taken = {failed, weight, cluster, TRACE_ID}
    others = [name for name in table.columns if name not in taken]
    features = tuple(dict.fromkeys([*(by or others), *adjust_for]))
    has_ids = TRACE_ID in table.columns
    prepared = table.select(
        trace_id=table[TRACE_ID].cast("string") if has_ids else ibis.row_number().cast("string"),
        model=ibis.literal(MODEL),
        eval=ibis.literal(failed),
        failed=_failed(table, failed),
        error=ibis.literal(False),  # noqa: FBT003 - SQL
        weight=_weight(table, weight),
        cluster=ibis.null("string") if cluster is None else table[cluster].cast("string"),
        **{column_of(name): table[name].cast("string") for name in features},
    )
    return slice_rows(
        Rows(
            table=materialised(prepared, "rows"),
            features=features,
            is_weighted=weight is not None,
            is_clustered=cluster is not None,
            accounting=None,
            warnings=(),
        ),
        Settings(
            by=tuple(by) or features,
            adjust_for=tuple(adjust_for),
            min_support=min_support,
            max_level=max_level,
            fdr=fdr,
            list_all=list_all,
        ),
    )


def read_rows(path: Path) -> ir.Table:
    """Open a file of ready rows, Parquet or CSV.

    Raises:
        SourceError: It is not there, or neither.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not there: --rows takes a Parquet or CSV file")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise SourceError(f"{path} is neither .parquet nor .csv: --rows takes one of these")
    connection: Any = ibis.duckdb.connect()
    try:
        read = connection.read_parquet if suffix in (".parquet", ".pq") else connection.read_csv
        table: ir.Table = read(path)
    except (OSError, duckdb.Error) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"{path} cannot be read: {first}") from error
    return table


def _table(rows: Any) -> ir.Table:
    if isinstance(rows, ir.Table):
        return rows
    connection: Any = ibis.duckdb.connect()
    try:
        given = pa.table(rows)
    except (TypeError, ValueError, pa.ArrowException) as error:
        kind = type(rows).__name__
        raise SourceError(
            f"rows of type {kind} cannot be read: give an Ibis table, an Arrow table or a data frame"
        ) from error
    table: ir.Table = connection.create_table("keras_otel_given", given, temp=True)
    return table


def _failed(table: ir.Table, name: str) -> ir.Value:
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


def _weight(table: ir.Table, name: str | None) -> ir.Value:
    if name is None:
        return ibis.literal(1.0)
    column = table[name]
    if not column.type().is_numeric():
        raise SourceError(f"column {name!r} is of type {column.type()}: weights are numbers")
    number = column.cast("float64")
    bad = table.filter(column.isnull() | number.isnan() | number.isinf() | (number < 0))
    count = bad.count().to_pyarrow().as_py()
    if count:
        raise SourceError(
            f"column {name!r} has {count:,} rows whose weight is no number from 0 on: leave them out"
        )
    return number
