"""OTLP's keys and typed values as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keras_otel.analysis.sources.tables.normalise import number_text, value_text
from keras_otel.analysis.sources.tables.telemetry import WRONG_SHAPE


def attributes_of(pairs: Any, note: Callable[[str], None]) -> dict[str, str]:
    """A list of keys and typed values, as text; empty values are left out.

    Args:
        pairs: The list; None where there is none.
        note: Counts what of it cannot be read.
    """
    found: dict[str, str] = {}
    if not pairs:
        return found
    if not isinstance(pairs, list):
        note("attributes are no list of keys and values")
        return found
    for pair in pairs:
        try:
            key, typed = pair["key"], pair["value"]
            if type(key) is not str:
                note("an attribute's key is no text")
                continue
            for kind, value in typed.items() if typed else ():
                if kind == "stringValue" and type(value) is str:
                    found[key] = value
                elif kind in _TEXTS:
                    found[key] = _TEXTS[kind](value)
        except WRONG_SHAPE:
            # A key without a value is empty.
            if not isinstance(pair, dict) or "value" in pair:
                note("an attribute's value is not of the type that it says")
    return found


def camel_name(name: str) -> str:
    """A field's name as OTLP's JSON has it: `trace_id` is `traceId`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _boolean_text(value: Any) -> str:
    return value.lower() if isinstance(value, str) else value_text(bool(value))


def _integer_text(value: Any) -> str:
    return str(int(value))


def _double_text(value: Any) -> str:
    return number_text(float(value))


def _array_text(value: Any) -> str:
    return value_text(_array(value))


def _map_text(value: Any) -> str:
    return value_text(_map(value))


def _array(value: Any) -> list[Any]:
    return [_plain(kind, v) for each in value.get("values") or () for kind, v in each.items()]


def _map(value: Any) -> dict[str, Any]:
    return {
        pair["key"]: _plain(kind, v)
        for pair in value.get("values") or ()
        for kind, v in (pair.get("value") or {}).items()
    }


def _plain(kind: str, value: Any) -> Any:
    """The plain value behind a typed one inside a list or map."""
    read = _PLAIN.get(kind)
    return value if read is None else read(value)


_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "stringValue": value_text,
    "boolValue": _boolean_text,
    "intValue": _integer_text,
    "doubleValue": _double_text,
    "arrayValue": _array_text,
    "kvlistValue": _map_text,
    "string_value": value_text,
    "bool_value": _boolean_text,
    "int_value": _integer_text,
    "double_value": _double_text,
    "array_value": _array_text,
    "kvlist_value": _map_text,
}
_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    "intValue": int,
    "doubleValue": float,
    "arrayValue": _array,
    "kvlistValue": _map,
    "int_value": int,
    "double_value": float,
    "array_value": _array,
    "kvlist_value": _map,
}
