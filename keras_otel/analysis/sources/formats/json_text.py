"""Read JSON values from a text, one after another, and the whole elements of those that are broken."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from keras_otel.analysis.sources.formats.json_formats import read_document
from keras_otel.analysis.sources.tables.writer import TableWriter

# What may stand between two values: blanks, commas, byte order marks and RFC 7464's separators.
_GAP = re.compile(r"[\s,\0\x1e\ufeff]*")
_LIST = re.compile(r'(?:\{\s*"\w+"\s*:\s*)*\[\s*')
_NEXT_LINE = re.compile(r"\n(?=[{\[])")
_OPENING: Final = ("{", "[")
_UNREADABLE: Final = (ValueError, RecursionError)
# Python converts no more digits at once.
_MOST_DIGITS: Final = 4300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Words for the messages of problems.

    Attributes:
        value: The name of a single value, such as `a line`.
        damage: The message for a value that is no JSON.
    """

    value: str
    damage: str


def read_text(text: str, source: str, writer: TableWriter, wording: Wording) -> None:
    """Read values one after another, on one line or on several, whatever separates them.

    Of a list that is cut off or broken, the whole elements are read.

    Args:
        text: The values.
        source: The name that the user gave.
        writer: Where spans and evaluations go.
        wording: Words for the messages of problems.
    """
    position = _after_gap(text, 0)
    while position < len(text):
        try:
            if not text.startswith(_OPENING, position):
                raise ValueError(position)
            document, position = _DECODER.raw_decode(text, position)
        except _UNREADABLE as error:
            is_deep = isinstance(error, RecursionError)
            message = f"{wording.value} is nested too deeply" if is_deep else wording.damage
            writer.add_problem(source, message)
            next_value = _NEXT_LINE.search(text, _read_elements(text, position, source, writer))
            if next_value is None:
                return
            position = next_value.end()
        else:
            if not read_document(document, source, writer):
                writer.add_problem(source, f"{wording.value} is of no format that is known")
            position = _after_gap(text, position)


def _after_gap(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position


def _read_elements(text: str, position: int, source: str, writer: TableWriter) -> int:
    """Read the whole elements of a broken list, and return the position after them."""
    start = _LIST.match(text, position)
    if start is None:
        return position
    position = start.end()
    indent = text[text.rfind("\n", 0, position) + 1 : position]
    # Elements that each begin a line are found again behind one that is broken.
    next_element = None if indent.strip() else re.compile(rf"\n{indent}(?=[{{\[])")
    while text.startswith(_OPENING, position):
        try:
            element, position = _DECODER.raw_decode(text, position)
        except _UNREADABLE:
            following = next_element.search(text, position) if next_element else None
            if following is None:
                return position
            position = following.end()
        else:
            read_document(element, source, writer)
            position = _after_gap(text, position)
    return position


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf


_DECODER: Final = json.JSONDecoder(parse_int=_integer)
