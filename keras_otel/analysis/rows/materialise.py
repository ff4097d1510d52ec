"""Keep what an expression finds, in the engine that finds it."""

from __future__ import annotations

import itertools
from typing import Any, Final
from weakref import WeakKeyDictionary

import ibis.expr.types as ir

_SPARK: Final = "pyspark"

_numbers = itertools.count()

# A cached result goes with the last reference to it.
_cached: WeakKeyDictionary[Any, list[ir.Table]] = WeakKeyDictionary()


def materialised(expression: ir.Table, name: str) -> ir.Table:
    """The expression's result as a temporary table, which ends with the connection.

    Spark has no such tables: it caches the result.
    """
    backend: Any = expression.get_backend()
    if backend.name != _SPARK:  # it says that it has them, and raises
        table: ir.Table = backend.create_table(
            f"keras_otel_{name}_{next(_numbers)}", expression, temp=True
        )
        return table
    cached = expression.cache()
    _cached.setdefault(backend, []).append(cached)
    return cached
