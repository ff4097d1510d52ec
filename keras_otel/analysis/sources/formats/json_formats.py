"""JSON of any known format, told apart by its keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from keras_otel.analysis.sources.formats import (
    evaluation_rows,
    jaeger,
    otlp_json,
    unsupported_formats,
)
from keras_otel.analysis.sources.tables.telemetry import WRONG_SHAPE
from keras_otel.analysis.sources.tables.writer import Intake

_FORMATS: Final = (
    otlp_json.read_document,
    jaeger.read_document,
    unsupported_formats.refuse_document,
    evaluation_rows.read_document,
)
# Where collectors of logs put the line that a program printed.
_MESSAGES: Final = ("log", "message", "MESSAGE", "line", "msg", "body", "textPayload")


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one JSON value holds; False where its format is none of those known."""
    try:
        return _read(document, source, intake)
    except WRONG_SHAPE:
        intake.problem(source, "an object has the right keys and the wrong shape below them")
        return True


def _read(document: Any, source: str, intake: Intake) -> bool:
    if isinstance(document, list):
        return _read_list(document, source, intake)
    if not isinstance(document, dict):
        return False
    if any(read(document, source, intake) for read in _FORMATS):
        return True
    stored = document.get("_source")
    if isinstance(stored, dict):
        return read_document(stored, source, intake)
    hits = document.get("hits")
    if isinstance(hits, dict) and isinstance(hits.get("hits"), list):
        return _read_list(hits["hits"], source, intake)
    return _read_message(document, source, intake)


def _read_list(documents: list[Any], source: str, intake: Intake) -> bool:
    known = sum(read_document(each, source, intake) for each in documents)
    if known:
        for _ in range(len(documents) - known):
            intake.problem(source, "an element of a list is of no format that is known")
    return bool(known) or not documents


def _read_message(document: Mapping[str, Any], source: str, intake: Intake) -> bool:
    """Take the JSON inside a log line that a collector of logs has put into an object."""
    for key in _MESSAGES:
        line = document.get(key)
        if isinstance(line, str) and line.lstrip().startswith("{"):
            return read_document(json.loads(line), source, intake)
    return False
