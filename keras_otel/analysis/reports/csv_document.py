"""Write a result as CSV, a line for each slice."""

from __future__ import annotations

import csv
import io
import math
from typing import Any, Final

from keras_otel.analysis.reports import wording
from keras_otel.analysis.result import SliceResult
from keras_otel.analysis.slices.result_tables import SLICE_COLUMNS, slice_rows_of

_COLUMNS: Final = tuple(name for name in SLICE_COLUMNS if name != "predicates")
_DIGITS: Final = 12
_FORMULA: Final = ("=", "+", "-", "@")


def render_csv(result: SliceResult) -> str:
    """Write the slices; a value that a spreadsheet would read as a formula begins with an apostrophe."""
    written = io.StringIO()
    lines = csv.DictWriter(written, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    lines.writeheader()
    lines.writerows(
        {name: _cell(value) for name, value in row.items()} for row in slice_rows_of(result)
    )
    return written.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case float():
            return "" if math.isnan(value) else f"{value:.{_DIGITS}g}"
        case list():
            return _text("; ".join(map(str, value)))
        case _:
            return _text(str(value))


def _text(value: str) -> str:
    text = wording.visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
