"""Read evaluations from CSV as spreadsheets write it: comma, semicolon or tab, and a header line."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from keras_otel.analysis.sources.formats.evaluation_rows import has_trace, read_row
from keras_otel.analysis.sources.tables.writer import TableWriter
from keras_otel.errors import SourceError

_LONGEST_CELL: Final = 64 * 1024 * 1024  # comments and prompts in exports
_MOST_LINES: Final = 1000
"""Lines of one row: beyond them the quote that began it counts as a stray one."""
_SNIFFED: Final = 1024 * 1024

_MALFORMED_ROW: Final = "a row has a stray quote, or not as many cells as the line of names"
_SEPARATOR: Final = re.compile(r'"?sep=(?P<mark>.)"?', re.IGNORECASE)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+ ?%?")


def read_csv(path: Path, source: str, writer: TableWriter) -> None:
    """Read the evaluations of a file; rows that are none are counted.

    Raises:
        SourceError: Its columns hold no evaluations.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding=encoding_of(path), errors="replace", newline="") as stream:
        head, delimiter = _head(stream)
        columns = next(csv.reader([head], delimiter=delimiter), [])
        if not has_trace(columns):
            raise SourceError(
                f"{source} has the columns {', '.join(columns[:8])}: evaluations need trace_id, name "
                "and one of passed, label or score, or trace_id and a column for each evaluation"
            )
        for cells in _rows(stream, delimiter, len(columns)):
            if cells is None:
                writer.add_problem(source, _MALFORMED_ROW)
                continue
            if delimiter == ",":
                row = dict(zip(columns, cells, strict=True))
            else:
                row = dict(zip(columns, map(_with_decimal_point, cells), strict=True))
            read_row(row, source, writer)


def encoding_of(path: Path) -> str:
    """Return the encoding: UTF-16 by its byte order mark, else UTF-8, else that of Windows in Western Europe."""
    with path.open("rb") as stream:
        head = stream.read(_SNIFFED)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        # The last character may be cut.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _head(stream: TextIO) -> tuple[str, str]:
    """Return the header line and the delimiter; a line `sep=;` of Excel's sets the delimiter."""
    delimiter = None
    for line in stream:
        if not line.strip():
            continue
        if match := _SEPARATOR.fullmatch(line.strip("\r\n")):
            delimiter = match["mark"]
            continue
        return line, delimiter or max(",;\t", key=line.count)
    return "", ","


def _with_decimal_point(cell: str) -> str:
    """Convert a decimal comma to a point: where cells are not separated by commas, it is no delimiter."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell.strip()) else cell


def _rows(stream: TextIO, delimiter: str, count: int) -> Iterator[list[str] | None]:
    """Yield the cells of each row; None for a row with another number of cells than the header."""
    pushed_back: deque[str] = deque()
    while lines := _record(stream, pushed_back):
        try:
            rows = [_trimmed(row, count) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            rows = [[]]
        is_malformed = any(len(row) != count for row in rows)
        if _is_open(lines) or (is_malformed and len(lines) > 1):
            # A stray quote must not cost the rows behind it.
            pushed_back.extendleft(reversed(lines[1:]))
            yield None
            continue
        yield from (row if len(row) == count else None for row in rows)


def _trimmed(row: list[str], count: int) -> list[str]:
    """Return a row without the empty cells after those that have a name."""
    return row[:count] if not any(row[count:]) else row


def _record(stream: TextIO, pushed_back: deque[str]) -> list[str]:
    """Return the next lines up to one after which every quote is closed, at most `_MOST_LINES`."""
    lines: list[str] = []
    is_open = False
    while len(lines) < _MOST_LINES:
        line = pushed_back.popleft() if pushed_back else next(stream, "")
        if not line:
            break
        lines.append(line)
        is_open ^= _is_open([line])
        if not is_open:
            break
    return lines


def _is_open(lines: list[str]) -> bool:
    return sum(line.count('"') for line in lines) % 2 == 1
