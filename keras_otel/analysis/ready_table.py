"""Ready rows as a table of an engine: a data frame has types and names that engines have not."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.common.exceptions import IbisError

from keras_otel.errors import SourceError

_REFUSED: Final = (duckdb.Error, IbisError, pa.ArrowException, KeyError, NotImplementedError)
"""What DuckDB, and Ibis on the way there, raise for a type that they do not know."""


def table_of(rows: Any) -> ir.Table:
    """Give rows to DuckDB, unless they are an engine's already.

    Raises:
        SourceError: They are no table, or have columns that cannot be told apart or read.
    """
    if isinstance(rows, ir.Table):
        return rows
    try:
        given = pa.table(rows)
    except (TypeError, ValueError, pa.ArrowException) as error:
        kind = type(rows).__name__
        raise SourceError(
            f"rows of type {kind} cannot be read ({_first_line(error)}): give an Ibis table, an Arrow "
            "table or a data frame"
        ) from error
    _require_names(given.column_names)
    connection: Any = ibis.duckdb.connect()
    try:
        table: ir.Table = connection.create_table(
            "keras_otel_given", _with_known_types(given), temp=True
        )
    except _REFUSED as error:
        raise SourceError(
            f"the rows have a column of a type that DuckDB does not read: {_first_line(error)}"
        ) from error
    return table


def _require_names(names: list[str]) -> None:
    if "" in names:
        raise SourceError("the rows have a column without a name: give it one")
    twice = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
    if twice:
        alike = [repr(name) for name in names if name.lower() == twice[0]]
        raise SourceError(
            f"the rows have columns whose names differ in case at most: {', '.join(alike)}; rename one"
        )


def _with_known_types(given: pa.Table) -> pa.Table:
    """Cast what DuckDB does not read to the next larger type."""
    types = [_known_type(field.type) for field in given.schema]
    if types == given.schema.types:
        return given
    fields = [field.with_type(kind) for field, kind in zip(given.schema, types, strict=True)]
    return given.cast(pa.schema(fields), safe=False)


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
