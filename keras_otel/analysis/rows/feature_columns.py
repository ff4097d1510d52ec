"""How rows hold features: the names of their columns, and the values of rows that have none or a rare one."""

from __future__ import annotations

from typing import Final

MISSING: Final = "__missing__"
OTHER: Final = "__other__"

_TAKEN: Final = frozenset(
    {"trace_id", "model", "eval", "failed", "error", "explanation", "count", "weight", "cluster"}
    | {"latency_s", "confidence", "left_out", "choices", "tier", "is_answered"}
)
_OF_ROW: Final = " of the row"


def column_of(name: str) -> str:
    """The column that holds a feature: its own name, unless every row has a column of that name."""
    is_taken = name.lower() in _TAKEN or name.lower().endswith(_OF_ROW)
    return f"{name}{_OF_ROW}" if is_taken else name
