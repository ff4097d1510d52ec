"""Keep what an expression finds, in the engine that finds it."""

from __future__ import annotations

import itertools
from typing import Any

import ibis.expr.types as ir

_numbers = itertools.count()


def materialised(expression: ir.Table, name: str) -> ir.Table:
    """The expression's result as a temporary table, which ends with the connection."""
    backend: Any = expression.get_backend()
    table: ir.Table = backend.create_table(
        f"keras_otel_{name}_{next(_numbers)}", expression, temp=True
    )
    return table
