"""Evaluations as CSV: comma, semicolon or tab, with a line of names first."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from keras_otel.analysis.sources.intake import Intake
from keras_otel.analysis.sources.rows import has_trace, plain_columns, read_row
from keras_otel.errors import SourceError

_LONGEST_CELL: Final = 64 * 1024 * 1024  # comments and prompts in exports


def read_csv(path: Path, source: str, intake: Intake) -> None:
    """Take the evaluations of one file.

    Raises:
        SourceError: Its columns hold no evaluations.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        head = stream.readline()
        delimiter = max(",;\t", key=head.count)
        columns = next(csv.reader([head], delimiter=delimiter))
        if not has_trace(plain_columns(columns)):
            raise SourceError(
                f"{source} has the columns {', '.join(columns[:8])}: evaluations need trace_id, name "
                "and one of passed, label or score"
            )
        rows = csv.DictReader(stream, columns, delimiter=delimiter, restkey="__more__")
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error:
                intake.problem(source, "a row is no CSV")
                continue
            read_row(row, source, intake)
