"""Name the columns of features, and the values of rows without a value or with a rare one."""

from __future__ import annotations

from typing import Final

MISSING: Final = "__missing__"
OTHER: Final = "__other__"

_RESERVED: Final = frozenset(
    {"trace_id", "model", "eval", "failed", "error", "explanation", "count", "weight", "cluster"}
    | {"latency_s", "confidence", "left_out", "choices", "tier", "is_answered"}
)
_SUFFIX: Final = " of the row"


def column_of(name: str) -> str:
    """Return the column of a feature: its name, with a suffix if every row has another column of that name."""
    is_reserved = name.lower() in _RESERVED or name.lower().endswith(_SUFFIX)
    return f"{name}{_SUFFIX}" if is_reserved else name
