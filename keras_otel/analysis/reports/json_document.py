"""A result as JSON: the same data gives the same bytes, wherever it was read from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Final

from keras_otel._secrets import redacted
from keras_otel.analysis.result import EvalResult, Predicate, SliceResult

SCHEMA_VERSION: Final = 1

# Engines add numbers up in their own order, so that the last digits of a sum are their own.
_DIGITS: Final = 12

_COUNTS: Final = ("rows", "failed", "n")
"""Whole numbers unless they are sums of weights."""

_PREDICATE: Final = {field.name for field in fields(Predicate)}

# Plots are drawn from these; they say nothing that the rest does not.
_DRAWN: Final = ("plot_cohorts", "version_cells", "cells")


def render_json(result: SliceResult, sources: Sequence[str] = ()) -> str:
    """Write the document; numbers have 12 significant digits, and null stands for no number.

    Args:
        result: What to write.
        sources: Where it was read from; passwords and keys in addresses are left out.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "sources": [redacted(source) for source in sources],
        "totals": asdict(result.totals),
        "accounting": None if result.accounting is None else asdict(result.accounting),
        "evals": [_family(family) for family in result.evals],
        "changes": None
        if result.changes is None
        else [asdict(each, dict_factory=_without_drawn) for each in result.changes],
        "warnings": list(result.warnings),
    }
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _family(family: EvalResult) -> dict[str, Any]:
    return asdict(
        replace(family, plot_cohorts=(), version_cells=(), cells=None), dict_factory=_without_drawn
    )


def _without_drawn(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {key: value for key, value in pairs if key not in _DRAWN}
    if set(found) == _PREDICATE and not found["values"]:
        # A single value is what it says.
        return {key: found[key] for key in ("attribute", "value")}
    return found


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    shown = float(f"{value:.{_DIGITS}g}")
    return int(shown) if key in _COUNTS and shown.is_integer() else shown
