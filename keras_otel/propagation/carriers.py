"""Changing one header in the carrier of an outgoing request.

OpenTelemetry's setters only write. What another propagator wrote is read here from the carriers
that can be read: mappings (the headers of requests, httpx, aiohttp, gRPC, Celery) and lists of
pairs (Kafka). In any other a second header could not be told from a replaced one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.propagators.textmap import Setter

Change = Callable[[str], str]
"""A header's new text from its old one; empty where there is none."""


def change_header(carrier: Any, name: str, change: Change, setter: Setter[Any]) -> None:
    """Change the header `name`, in whatever case it is written; only if there is one at most."""
    if isinstance(carrier, Mapping):
        _in_mapping(carrier, name, change, setter)
    elif isinstance(carrier, list) and all(map(_is_pair, carrier)):
        _in_pairs(carrier, name, change, setter)


def _in_mapping(carrier: Any, name: str, change: Change, setter: Setter[Any]) -> None:
    keys = [key for key in carrier if _text(key).lower() == name]
    if not keys:
        _add(carrier, name, change, setter)
        return
    old = carrier[keys[0]]
    # A mapping of several values lists a key once for each; another form than text is not ours.
    if len(keys) > 1 or not isinstance(old, str):
        return
    new = change(old)
    if not new:
        del carrier[keys[0]]
    elif new != old:
        carrier[keys[0]] = new


def _in_pairs(carrier: list[Any], name: str, change: Change, setter: Setter[Any]) -> None:
    places = [place for place, (key, _) in enumerate(carrier) if _text(key).lower() == name]
    if not places:
        _add(carrier, name, change, setter)
    elif len(places) == 1:
        key, old = carrier[places[0]]
        new = change(_text(old))
        is_bytes = isinstance(old, bytes)
        carrier[places[0] : places[0] + 1] = (
            [(key, new.encode("latin-1") if is_bytes else new)] if new else []
        )


def _add(carrier: Any, name: str, change: Change, setter: Setter[Any]) -> None:
    new = change("")
    if new:
        setter.set(carrier, name, new)


def _is_pair(item: object) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and all(isinstance(part, str | bytes) for part in item)
    )


def _text(part: object) -> str:
    # Latin-1 is what HTTP headers are read as: every byte is a character and comes back as itself.
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)
