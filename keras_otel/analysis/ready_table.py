"""Load ready rows into an engine: data frames have types and names that engines do not accept."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.common.exceptions import IbisError

from keras_otel.errors import SourceError

_UNSUPPORTED: Final = (duckdb.Error, IbisError, pa.ArrowException, KeyError, NotImplementedError)
"""The errors of DuckDB and Ibis for a type that they do not know."""


def table_of(rows: Any) -> ir.Table:
    """Return rows as a table: loaded into DuckDB, unless an engine holds them already.

    Raises:
        SourceError: They are no table, or have a column without a name, with the name of another, or of an
            unsupported type.
    """
    if isinstance(rows, ir.Table):
        return rows
    try:
        data = pa.table(rows)
    except (TypeError, ValueError, pa.ArrowException) as error:
        kind = type(rows).__name__
        raise SourceError(
            f"rows of type {kind} cannot be read ({_first_line(error)}): give an Ibis table, an Arrow "
            "table or a data frame"
        ) from error
    _require_names(data.column_names)
    connection: Any = ibis.duckdb.connect()
    try:
        table: ir.Table = connection.create_table(
            "keras_otel_given", _with_known_types(data), temp=True
        )
    except _UNSUPPORTED as error:
        raise SourceError(
            f"the rows have a column of a type that DuckDB does not read: {_first_line(error)}"
        ) from error
    return table


def _require_names(names: list[str]) -> None:
    if "" in names:
        raise SourceError("the rows have a column without a name: give it one")
    repeated = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
    if repeated:
        conflicting = [repr(name) for name in names if name.lower() == repeated[0]]
        raise SourceError(
            f"the rows have columns whose names differ in case at most: {', '.join(conflicting)}; rename one"
        )


def _with_known_types(data: pa.Table) -> pa.Table:
    """Cast columns of types that DuckDB does not read to the next larger type."""
    types = [_known_type(field.type) for field in data.schema]
    if types == data.schema.types:
        return data
    fields = [field.with_type(kind) for field, kind in zip(data.schema, types, strict=True)]
    return data.cast(pa.schema(fields), safe=False)


def _known_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal256(kind):
        return pa.float64()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return pa.duration("us") if pa.types.is_duration(kind) else kind


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
