"""Read Parquet: the two tables of `tables.schema`, the Collector's ClickHouse tables exported, or rows of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from keras_otel.analysis.sources.formats.evaluation_rows import has_trace, read_row
from keras_otel.analysis.sources.formats.file_types import literal
from keras_otel.analysis.sources.tables.schema import (
    EVALUATIONS,
    LONGEST_EXPLANATION,
    OUTPUTS,
    REQUIRED,
    SPANS,
    UPSTREAM,
)
from keras_otel.analysis.sources.tables.writer import TableWriter
from keras_otel.errors import SourceError

Layout = Literal["spans", "evaluations", "rows"]


def layout_of(path: Path, source: str) -> Layout:
    """Return which table a file holds.

    Raises:
        SourceError: The file is damaged, or holds none of them.
    """
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{source} is a damaged or unfinished Parquet file ({str(error).splitlines()[0]}): "
            "write it again"
        ) from error
    columns = set(schema.names)
    if columns.issuperset(REQUIRED["spans"]):
        _require_types(schema, source)
        return "spans"
    if columns.issuperset(REQUIRED["evaluations"]) and _is_evaluations(schema):
        return "evaluations"
    if has_trace(schema.names):
        return "rows"
    raise SourceError(
        f"{source} has the columns {', '.join(schema.names[:8])}: spans need "
        f"{', '.join(REQUIRED['spans'])}, evaluations trace_id and name"
    )


def _is_evaluations(schema: pa.Schema) -> bool:
    expected = {field.name: field.type for field in EVALUATIONS}
    return all(field.name in expected and field.type == expected[field.name] for field in schema)


def _require_types(schema: pa.Schema, source: str) -> None:
    expected = {field.name: field.type for field in SPANS}
    for field in schema:
        type_ = expected.get(field.name)
        if type_ is None or type_ == field.type:
            continue
        if pa.types.is_map(type_):
            is_right = pa.types.is_map(field.type) and _is_text(field.type.item_type)
        elif field.name not in REQUIRED["spans"]:
            is_right = not pa.types.is_nested(field.type)
        else:
            is_right = (_is_text if type_ == pa.string() else pa.types.is_integer)(field.type)
        if not is_right:
            raise SourceError(
                f"{source} has the column {field.name} of type {field.type}: it must be {type_}"
            )


def _is_text(type_: pa.DataType) -> bool:
    inner = type_.value_type if pa.types.is_dictionary(type_) else type_
    return bool(
        pa.types.is_string(inner)
        or pa.types.is_large_string(inner)
        or pa.types.is_string_view(inner)
    )


def complete(table: ir.Table, schema: pa.Schema) -> ir.Table:
    """Return a table with every column of its schema.

    A missing column is read from the map of attributes if there is one, else it is null.
    """
    types = ibis.Schema.from_pyarrow(schema)
    columns = {}
    for name, type_ in types.items():
        if name in table.columns:
            column = table[name]
            is_safe = column.type() == type_ or not column.type().is_string()
            columns[name] = (column.cast if is_safe else column.try_cast)(type_.copy(nullable=True))
        elif name in (UPSTREAM, OUTPUTS) and "attributes" in table.columns:
            columns[name] = table["attributes"].cast(type_)
        elif "." in name and "attributes" in table.columns:
            text = table["attributes"].get(name, ibis.null("string"))
            columns[name] = text if type_.is_string() else text.try_cast(type_)
        else:
            columns[name] = ibis.null(type_)
    return table.select(**columns)


def read_rows(path: Path, source: str, writer: TableWriter) -> None:
    """Read evaluations from a table of any of the layouts of `evaluation_layouts`."""
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=10_000):
            for row in _to_microseconds(batch).to_pylist():
                read_row(row, source, writer)
    except (pa.ArrowException, OSError):
        writer.add_problem(source, "the Parquet file is damaged; the rows before that were read")


def _to_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Round times to microseconds: Python has none of nanoseconds."""
    for index, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            times = batch.column(index).cast(pa.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(index, field.name, times)
    return batch


def scan(connection: ibis.backends.BaseBackend, paths: list[Path], schema: pa.Schema) -> ir.Table:
    """Return one table over files of the same layout."""
    # Spark takes one path at a time.
    groups = [[path] for path in paths] if connection.name == "pyspark" else _by_schema(paths)
    tables = [complete(_read(connection, group), schema) for group in groups]
    if schema == EVALUATIONS:
        # Explanations in files of others may be of any length.
        tables = [t.mutate(explanation=t.explanation.left(LONGEST_EXPLANATION)) for t in tables]
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def _read(connection: ibis.backends.BaseBackend, group: list[Path]) -> ir.Table:
    names = [str(path) if connection.name == "pyspark" else literal(path) for path in group]
    return connection.read_parquet(names[0] if len(names) == 1 else names)


def _by_schema(paths: list[Path]) -> list[list[Path]]:
    """Group files by their schema: an engine reads only files of the same one together."""
    groups: dict[pa.Schema, list[Path]] = {}
    for path in paths:
        schema = pq.read_schema(path).remove_metadata()
        key = next((other for other in groups if other.equals(schema)), schema)
        groups.setdefault(key, []).append(path)
    return list(groups.values())


SCHEMAS = {"spans": SPANS, "evaluations": EVALUATIONS}
