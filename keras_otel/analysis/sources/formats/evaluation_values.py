"""Parse the cells of a row of evaluations: scores, booleans, times and nested values, as exports write them."""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any, Final

from keras_otel.analysis.sources.tables.normalise import number, value_text

# Excel writes its booleans in its own language.
_TRUE: Final = frozenset(
    {"true", "1", "yes", "pass", "passed", "wahr", "vrai", "vero", "verdadero"}
)
_FALSE: Final = frozenset({"false", "0", "no", "fail", "failed", "falsch", "faux", "falso"})
_MISSING: Final = frozenset({"", "null"})

_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")

_NS: Final = 1_000_000_000
_INT64: Final = 2**63
# Epoch times of our century in s, ms and µs lie below these; anything larger is ns.
_UNITS: Final = ((1e11, _NS), (1e14, 1_000_000), (1e17, 1_000))


def is_missing(value: Any) -> bool:
    """Return True for an empty cell, also for a word that stands for one."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _MISSING)


def is_plain(value: Any) -> bool:
    """Return True for text, a number or a boolean."""
    return isinstance(value, str | int | float | Decimal)


def score_of(value: Any) -> float | None:
    """Return the number that a score is; None for NaN and for what is no number.

    A percentage is divided by 100. A comma is taken for the decimal one, unless it may separate thousands, as in
    `1,000`: that is ambiguous, and no number.
    """
    if isinstance(value, bool) or not is_plain(value):
        return None
    text = (str(value) if isinstance(value, Decimal) else value_text(value)).strip()
    digits = text.removesuffix("%").rstrip()
    if _COMMA.fullmatch(digits) and not _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", ".")
    parsed = number(digits)
    return parsed / 100 if parsed is not None and text.endswith("%") else parsed


def boolean_of(value: Any) -> bool | None:
    """Return the boolean that a cell writes; None where it writes none."""
    if not is_plain(value):
        return None
    numeric = score_of(value)
    text = value_text(value).strip().lower() if numeric is None else f"{numeric:g}"
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def time_ns_of(value: Any) -> int | None:
    """Return a time in nanoseconds since the epoch, from ISO 8601 or a number; its size shows whether of s, ms, µs or ns."""
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return int(aware.timestamp() * _NS)
    if not is_plain(value):
        return None
    numeric = number(str(value))
    if numeric is not None:
        time_ns = numeric * next((factor for limit, factor in _UNITS if abs(numeric) < limit), 1)
        return int(time_ns) if abs(time_ns) < _INT64 else None
    try:
        return time_ns_of(dt.datetime.fromisoformat(str(value).strip()))
    except ValueError:
        return None


def nested(value: Any) -> Any:
    """Return a list or an object, also from its text as JSON or as Python's repr; None for anything else."""
    if isinstance(value, list | dict):
        return value
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            parsed = read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return parsed if isinstance(parsed, list | dict) else None
    return None
