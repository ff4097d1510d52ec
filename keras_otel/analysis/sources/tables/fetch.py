"""Run a query in whichever engine holds its tables, and return its result as plain Python values."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir


def fetch_rows(table: ir.Table) -> list[dict[str, Any]]:
    """Return each row as a dict by the names of its columns."""
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows


def fetch_row(table: ir.Table) -> dict[str, Any]:
    """Return the only row of a table, such as an aggregate over all rows."""
    (row,) = fetch_rows(table)
    return row


def fetch_values(column: ir.Column) -> list[Any]:
    """Return the values of a column, in no order unless its table has one."""
    values: list[Any] = column.to_pyarrow().to_pylist()
    return values


def fetch_count(table: ir.Table) -> int:
    """Count the rows of a table."""
    return int(table.count().to_pyarrow().as_py())
