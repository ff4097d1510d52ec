"""Read JSON of any known format, recognised by its keys."""

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
from keras_otel.analysis.sources.tables.writer import TableWriter

_FORMATS: Final = (
    otlp_json.read_document,
    jaeger.read_document,
    unsupported_formats.refuse_document,
    evaluation_rows.read_document,
)
# Fields into which log collectors put the line that a program printed.
_LINE_FIELDS: Final = ("log", "message", "MESSAGE", "line", "msg", "body", "textPayload")


def read_document(document: Any, source: str, writer: TableWriter) -> bool:
    """Read one JSON value; return False where its format is none of those known."""
    try:
        return _read(document, source, writer)
    except WRONG_SHAPE:
        writer.add_problem(source, "an object has the right keys and the wrong shape below them")
        return True


def _read(document: Any, source: str, writer: TableWriter) -> bool:
    if isinstance(document, list):
        return _read_list(document, source, writer)
    if not isinstance(document, dict):
        return False
    if any(read(document, source, writer) for read in _FORMATS):
        return True
    stored = document.get("_source")
    if isinstance(stored, dict):
        return read_document(stored, source, writer)
    hits = document.get("hits")
    if isinstance(hits, dict) and isinstance(hits.get("hits"), list):
        return _read_list(hits["hits"], source, writer)
    return _read_log_line(document, source, writer)


def _read_list(documents: list[Any], source: str, writer: TableWriter) -> bool:
    known = sum(read_document(document, source, writer) for document in documents)
    if known:
        for _ in range(len(documents) - known):
            writer.add_problem(source, "an element of a list is of no format that is known")
    return bool(known) or not documents


def _read_log_line(document: Mapping[str, Any], source: str, writer: TableWriter) -> bool:
    """Read the JSON in a log line that a log collector has put into an object."""
    for key in _LINE_FIELDS:
        line = document.get(key)
        if isinstance(line, str) and line.lstrip().startswith("{"):
            return read_document(json.loads(line), source, writer)
    return False
