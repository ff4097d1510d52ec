"""Convert the keys and typed values of OTLP's attributes to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keras_otel.analysis.sources.tables.normalise import number_text, value_text
from keras_otel.analysis.sources.tables.telemetry import WRONG_SHAPE


def attributes_of(pairs: Any, add_problem: Callable[[str], None]) -> dict[str, str]:
    """Return the attributes in a list of keys and typed values; empty values are left out.

    Args:
        pairs: The list; None where there is none.
        add_problem: Called with a clause for each part that cannot be read.
    """
    attributes: dict[str, str] = {}
    if not pairs:
        return attributes
    if not isinstance(pairs, list):
        add_problem("attributes are no list of keys and values")
        return attributes
    for pair in pairs:
        try:
            key, typed = pair["key"], pair["value"]
            if type(key) is not str:
                add_problem("an attribute's key is no text")
                continue
            for kind, value in typed.items() if typed else ():
                if kind == "stringValue" and type(value) is str:
                    attributes[key] = value
                elif kind in _TEXTS:
                    attributes[key] = _TEXTS[kind](value)
        except WRONG_SHAPE:
            # A key without a value is empty.
            if not isinstance(pair, dict) or "value" in pair:
                add_problem("an attribute's value is not of the type that it says")
    return attributes


def camel_name(name: str) -> str:
    """Return the name of a field in OTLP's JSON: `traceId` for `trace_id`."""
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
    return [
        _plain(kind, inner) for typed in value.get("values") or () for kind, inner in typed.items()
    ]


def _map(value: Any) -> dict[str, Any]:
    return {
        pair["key"]: _plain(kind, inner)
        for pair in value.get("values") or ()
        for kind, inner in (pair.get("value") or {}).items()
    }


def _plain(kind: str, value: Any) -> Any:
    """Return the plain value of a typed one inside a list or map."""
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
