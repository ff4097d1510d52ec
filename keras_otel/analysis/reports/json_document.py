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

# Engines add numbers in different orders, so the last digits of a sum differ between them.
_DIGITS: Final = 12

_COUNTS: Final = ("rows", "failed", "n")
"""Keys whose values are whole numbers, unless they are sums of weights."""

_PREDICATE: Final = {field.name for field in fields(Predicate)}

# Only plots need these; they contain nothing that the rest does not.
_PLOT_DATA: Final = ("plot_cohorts", "version_cells", "cells")


def render_json(result: SliceResult, sources: Sequence[str] = ()) -> str:
    """Write the document; numbers have 12 significant digits, and null stands for no number.

    Args:
        result: What to write.
        sources: Where it was read from; passwords and keys in addresses are redacted.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "sources": [redacted(source) for source in sources],
        "totals": asdict(result.totals),
        "accounting": None if result.accounting is None else asdict(result.accounting),
        "evals": [_family(family) for family in result.evals],
        "changes": None
        if result.changes is None
        else [asdict(change, dict_factory=_without_plot_data) for change in result.changes],
        "warnings": list(result.warnings),
    }
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _family(family: EvalResult) -> dict[str, Any]:
    return asdict(
        replace(family, plot_cohorts=(), version_cells=(), cells=None),
        dict_factory=_without_plot_data,
    )


def _without_plot_data(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of a record's fields, without those for plots."""
    document = {key: value for key, value in pairs if key not in _PLOT_DATA}
    if set(document) == _PREDICATE and not document["values"]:
        # A single value has no range to describe.
        return {key: document[key] for key in ("attribute", "value")}
    return document


def _plain(value: Any, key: str = "") -> Any:
    """Round numbers, and replace those that JSON does not have by None."""
    if isinstance(value, dict):
        return {key: _plain(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    shown = float(f"{value:.{_DIGITS}g}")
    return int(shown) if key in _COUNTS and shown.is_integer() else shown
