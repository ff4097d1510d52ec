"""Read a file of ready rows as a table: lines that cannot be read are left out and counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.sources.formats.csv_file import encoding_of
from keras_otel.analysis.sources.formats.file_types import literal
from keras_otel.analysis.sources.formats.unpacking import layer_of, recode
from keras_otel.analysis.sources.tables.fetch import fetch_count
from keras_otel.errors import SourceError

_PARQUET: Final = frozenset({".parquet", ".pq"})
_TEXT: Final = frozenset({".csv", ".tsv"})

_MOST_LAYERS: Final = 8

_REASONS: Final = {
    "CAST": "a cell is not of its column's type",
    "MISSING COLUMNS": "there are fewer cells than names",
    "TOO MANY COLUMNS": "there are more cells than names",
    "UNQUOTED VALUE": "a quote is not closed, or in the wrong place",
    "LINE SIZE OVER MAXIMUM": "it is longer than 2 MB",
    "INVALID ENCODING": "it is no UTF-8",
}
"""What DuckDB's types of errors mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyFile:
    """The content of a file.

    Attributes:
        table: The rows.
        warnings: Sentences on what could not be read.
    """

    table: ir.Table
    warnings: tuple[str, ...] = ()


def read_rows(path: Path) -> ReadyFile:
    """Read a file of ready rows, Parquet or CSV; CSV also compressed or in UTF-16.

    Raises:
        SourceError: The file does not exist, is neither, or has no rows.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not there: --rows takes a Parquet or CSV file")
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    if not suffixes & (_PARQUET | _TEXT):
        raise SourceError(f"{path} is neither .parquet nor .csv: --rows takes one of these")
    connection: Any = ibis.duckdb.connect()
    try:
        if suffixes & _PARQUET:
            return ReadyFile(table=connection.read_parquet(literal(path)))
        with TemporaryDirectory() as folder:
            losses: list[str] = []
            unpacked = _unpack(path, Path(folder), losses)
            rows = connection.read_csv(literal(unpacked), ignore_errors=True, store_rejects=True)
            table = materialised(rows, "given")
    except (OSError, duckdb.Error) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"{path} cannot be read: {first}") from error
    warnings = tuple(f"{path}: {loss}" for loss in (*losses, *_rejected_lines(connection)))
    if not fetch_count(table):
        raise SourceError("; ".join([f"{path} has no rows", *warnings]))
    return ReadyFile(table=table, warnings=warnings)


def _unpack(path: Path, folder: Path, losses: list[str]) -> Path:
    """Return the file as UTF-8 without compression: itself, or one in the folder."""
    for number in range(_MOST_LAYERS):
        unwrap = layer_of(path)
        if unwrap is None and encoding_of(path) == "cp1252":
            unwrap = partial(recode, "cp1252")
        if unwrap is None:
            break
        unpacked = folder / f"{number}.csv"
        losses += unwrap(path, unpacked)
        path = unpacked
    return path


def _rejected_lines(connection: Any) -> Iterator[str]:
    """Yield a clause on each type of error in the lines that DuckDB left out."""
    query = """
        SELECT error_type, count(DISTINCT line), min(line) FROM reject_errors
        GROUP BY error_type ORDER BY min(line)
    """
    for kind, count, first in connection.raw_sql(query).fetchall():
        reason = _REASONS.get(kind, kind.lower())
        lines = (
            "1 line is left out,"
            if count == 1
            else f"{count:,} lines are left out, the first of them"
        )
        yield f"{lines} line {first}: {reason}"
