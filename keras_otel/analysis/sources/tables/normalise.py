"""Attribute values and ids as text, the same from every source."""

from __future__ import annotations

import base64
import json
import math
import re
from decimal import Decimal
from typing import Any, Final

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
# Padded: without it a word of eleven letters could be a span's id.
_BASE64_TRACE_ID = re.compile(r"[A-Za-z0-9+/_-]{22}==")
_BASE64_SPAN_ID = re.compile(r"[A-Za-z0-9+/_-]{11}=")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16

# Where Go's encoding/json, and so the Collector, changes to an exponent.
_SMALLEST_PLAIN: Final = 1e-6
_LARGEST_PLAIN: Final = 1e21


def value_text(value: Any) -> str:
    """Return a plain value as text, as the Collector's `AsString` writes it.

    Booleans are `true` and `false`, lists and maps JSON, `1.0` is `1`.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number_text(value)
        case None:
            return ""
        case _:
            return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a nested value in which whole floats are integers, as in Go's JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return number_text(value)
        return int(value) if value.is_integer() and abs(value) < _LARGEST_PLAIN else value
    return value


def number_text(number: float) -> str:
    """Return a double as Go's encoding/json writes it: `1`, `0.93`, `0.00005`, `1e-7`; `NaN`, `Infinity`."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
    text = repr(number)
    if text.endswith(".0"):
        return text[:-2]
    if "e" not in text:
        return text
    if number == 0 or _SMALLEST_PLAIN <= abs(number) < _LARGEST_PLAIN:
        return f"{Decimal(text):f}"
    return text.replace("e-0", "e-")


def number(text: str | None) -> float | None:
    """Return the number that a text writes; None for NaN and for what is no number."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def trace_id(text: Any) -> str | None:
    """Return a trace id as 32 hex digits, lower case; None for what is none.

    Jaeger cuts leading zeros, MLflow writes `tr-` before it, UUIDs have dashes, and protobuf's JSON, as Tempo
    answers in it, is base64.
    """
    if not isinstance(text, str):
        return None
    if not _TRACE_ID.fullmatch(text):
        if _BASE64_TRACE_ID.fullmatch(text):
            text = _hex(text)
        text = text.strip().lower().removeprefix("tr-").removeprefix("0x").replace("-", "")
        text = text.zfill(32) if text else text
        if not _TRACE_ID.fullmatch(text):
            return None
    return None if text == _NO_TRACE else text


def span_id(text: Any) -> str | None:
    """Return a span id as 16 hex digits, lower case; None for what is none."""
    if not isinstance(text, str):
        return None
    if not _SPAN_ID.fullmatch(text):
        if _BASE64_SPAN_ID.fullmatch(text):
            text = _hex(text)
        text = text.strip().lower().removeprefix("0x")
        text = text.zfill(16) if text else text
        if not _SPAN_ID.fullmatch(text):
            return None
    return None if text == _NO_SPAN else text


def _hex(text: str) -> str:
    """Return the hex digits of an id in either alphabet of base64."""
    return base64.b64decode(text.replace("-", "+").replace("_", "/")).hex()
