"""JSON of any known format, told apart by its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from keras_otel.analysis.sources import jaeger, otlp, rows
from keras_otel.analysis.sources.intake import Intake

_FORMATS: Final = (otlp.read_document, jaeger.read_document, rows.read_document)

_LIST = re.compile(r'\s*(?:\{\s*"data"\s*:\s*)?\[\s*')
_COMMA = re.compile(r"\s*,?\s*")


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one JSON value holds; False where its format is none of those known."""
    try:
        return any(read(document, source, intake) for read in _FORMATS)
    except otlp.WRONG_SHAPE:
        intake.problem(source, "an object has the right keys and the wrong shape below them")
        return True


def read_cut(text: str, source: str, intake: Intake) -> bool:
    """Take the whole elements of a list whose end is missing; False where there is none."""
    taken = False
    for element in _elements(text):
        is_trace = isinstance(element, dict) and "spans" in element
        taken |= read_document({"data": [element]} if is_trace else element, source, intake)
    return taken


def _elements(text: str) -> Iterator[Any]:
    start = _LIST.match(text)
    position = start.end() if start else len(text)
    decoder = json.JSONDecoder()
    while position < len(text):
        try:
            element, position = decoder.raw_decode(text, position)
        except ValueError:
            return
        yield element
        gap = _COMMA.match(text, position)
        position = gap.end() if gap else position
