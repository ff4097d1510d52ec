"""Open sources: each is read into the same two tables, with a list of what could not be read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from keras_otel.analysis.sources.file_reader import READABLE, FileReader, Progress
from keras_otel.analysis.sources.formats.parquet_file import SCHEMAS, scan
from keras_otel.analysis.sources.servers import clickhouse, engines, phoenix
from keras_otel.analysis.sources.servers.http_json import Access
from keras_otel.analysis.sources.servers.jaeger_api import read_jaeger
from keras_otel.analysis.sources.tables.fetch import fetch_count
from keras_otel.analysis.sources.tables.schema import EVALUATIONS
from keras_otel.analysis.sources.tables.telemetry import ReadProblem, unread_prefix
from keras_otel.analysis.sources.tables.trace_lookup import with_traces, without_trace
from keras_otel.analysis.sources.tables.writer import Window
from keras_otel.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The spans and evaluations of all sources.

    Attributes:
        spans: Table by `schema.SPANS`; in DuckDB, or in ClickHouse where that is the only source.
        evaluations: Table by `schema.EVALUATIONS`.
        window: The predictions that count.
        problems: What could not be read.
    """

    spans: ir.Table
    evaluations: ir.Table
    window: Window = field(default_factory=Window)
    problems: tuple[ReadProblem, ...] = ()

    @property
    def unread_prefix(self) -> str:
        """What could not be read, as the beginning of an error line on something that is missing."""
        return unread_prefix(self.problems)


@contextmanager
def open_sources(
    sources: Sequence[str | Path],
    *,
    window: Window | None = None,
    progress: Progress | None = None,
    engine: str | None = None,
    access: Access | None = None,
) -> Iterator[Telemetry]:
    """Read sources of traces and evaluations, in any mixture.

    Args:
        sources: Files, folders and URLs.
        window: The predictions that count; all by default.
        progress: Called with the bytes read and to be read, from any thread.
        engine: Where rows are joined, as in `engines.connect`; ClickHouse joins its own rows where it is the
            only source.
        access: Timeout and headers of requests to servers.

    Yields:
        The tables; they and the temporary files behind them are gone afterwards.

    Raises:
        SourceError: A source cannot be read at all.
        OptionError: The engine is unknown or does not start.
    """
    engines.require_engine(engine, [str(source) for source in sources])
    with tempfile.TemporaryDirectory(prefix="keras-otel-") as folder:
        reader = _Reader(Path(folder), window or Window(), access or Access(), progress)
        for source in sources:
            reader.add(str(source))
        connection = engines.connect(engine, Path(folder))
        try:
            yield reader.telemetry(connection)
        finally:
            connection.disconnect()


class _Reader:
    """Sorts sources by their scheme, and reads each from its file or server."""

    def __init__(
        self, folder: Path, window: Window, access: Access, progress: Progress | None
    ) -> None:
        self._files = FileReader(folder, window, progress)
        self._window = window
        self._access = access
        self._clickhouse: list[tuple[ir.Table, ir.Table | None]] = []

    def add(self, source: str) -> None:
        """Read a source, or record what has to be read of it."""
        scheme, separator, _ = source.partition("://")
        scheme = scheme.lower() if separator else ""
        window, access = self._window, self._access
        if scheme in ("http", "https"):
            self._files.read(lambda writer: read_jaeger(source, writer, window, access=access))
        elif scheme in phoenix.SCHEMES:
            self._files.read(
                lambda writer: phoenix.read_phoenix(source, writer, window, access=access)
            )
        elif scheme == "clickhouse":
            self._clickhouse.append(clickhouse.connect(source, access))
        elif scheme:
            raise SourceError(
                f"{source} has a scheme that is not read: http, https, phoenix+http, phoenix+https and "
                "clickhouse are, and files by their paths"
            )
        else:
            self._files.add(source)

    def telemetry(self, connection: Any) -> Telemetry:
        """Return the two tables of all that was read."""
        self._files.read_lines()
        if len(self._clickhouse) == 1 and not self._has_files():
            # ClickHouse joins its own tables: their rows never leave the server.
            return self._of_clickhouse(*self._clickhouse[0])
        for traces, logs in self._clickhouse:
            self._download(self._of_clickhouse(traces, logs))
        self._require_something()
        tables = {}
        for kind, schema in SCHEMAS.items():
            paths = self._files.paths(kind) or [self._empty_file(kind, schema)]
            tables[kind] = scan(connection, paths, schema)
        return self._telemetry(tables["spans"], self._with_all_traces(connection, **tables))

    def _with_all_traces(self, connection: Any, spans: ir.Table, evaluations: ir.Table) -> ir.Table:
        """Return all evaluations, those that name only a span with the trace of that span."""
        without = without_trace(evaluations)
        if not fetch_count(without):
            return evaluations
        completed, unknown = with_traces(without, spans)
        if unknown:
            message = "the span of an evaluation is in no trace that was read, or in several"
            problem = ReadProblem(source="evaluations", message=message, count=unknown)
            self._files.problems.append(problem)
        pq.write_table(completed, self._files.new_path("evaluations"))
        evaluations = scan(connection, self._files.paths("evaluations"), EVALUATIONS)
        return evaluations.filter(evaluations.trace_id != "")

    def _has_files(self) -> bool:
        return any(self._files.paths(kind) for kind in SCHEMAS)

    def _require_something(self) -> None:
        """Raise where nothing could be read; that all of it is outside the window is no error."""
        problems = self._files.problems
        if problems and self._window == Window() and not self._has_files():
            raise SourceError(f"{unread_prefix(problems)}nothing was read: {READABLE}")

    def _empty_file(self, kind: str, schema: pa.Schema) -> Path:
        path = self._files.new_path(kind)
        pq.write_table(schema.empty_table(), path)
        return path

    def _of_clickhouse(self, traces: ir.Table, logs: ir.Table | None) -> Telemetry:
        return self._telemetry(
            clickhouse.spans(traces, self._window),
            clickhouse.evaluations(traces, logs, self._window),
        )

    def _download(self, telemetry: Telemetry) -> None:
        """Write the tables of a server to files, to join them with those of other sources."""
        for kind, table in (("spans", telemetry.spans), ("evaluations", telemetry.evaluations)):
            table.to_parquet(self._files.new_path(kind))

    def _telemetry(self, spans: ir.Table, evaluations: ir.Table) -> Telemetry:
        return Telemetry(
            spans=spans,
            evaluations=evaluations,
            window=self._window,
            problems=tuple(self._files.problems),
        )
