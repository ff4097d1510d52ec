"""Store the result of an expression in its engine, to compute it once."""

from __future__ import annotations

import itertools
from typing import Any, Final
from weakref import WeakKeyDictionary

import ibis.expr.types as ir

_SPARK: Final = "pyspark"

_numbers = itertools.count()

# A cached result is dropped with the last reference to it: these live as long as their connection.
_cached: WeakKeyDictionary[Any, list[ir.Table]] = WeakKeyDictionary()


def materialised(expression: ir.Table, name: str) -> ir.Table:
    """Return the result of an expression as a temporary table, which ends with the connection.

    Spark has no temporary tables: there the result is cached.
    """
    backend: Any = expression.get_backend()
    if backend.name != _SPARK:  # Ibis offers them for Spark, and raises
        table: ir.Table = backend.create_table(
            f"keras_otel_{name}_{next(_numbers)}", expression, temp=True
        )
        return table
    cached = expression.cache()
    _cached.setdefault(backend, []).append(cached)
    return cached
