"""Open sources: whatever they are, two tables come out, and a list of what could not be read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from keras_otel.analysis.sources.formats.csv_file import read_csv
from keras_otel.analysis.sources.formats.file_types import files_of, kind_of
from keras_otel.analysis.sources.formats.json_files import (
    Range,
    goes_over_lines,
    read_by_processes,
    read_range,
    read_whole,
)
from keras_otel.analysis.sources.formats.parquet_file import SCHEMAS, layout_of, read_rows, scan
from keras_otel.analysis.sources.formats.unpacking import layer_of
from keras_otel.analysis.sources.formats.work_split import shares_of
from keras_otel.analysis.sources.servers import clickhouse, engines, phoenix
from keras_otel.analysis.sources.servers.http_json import Access
from keras_otel.analysis.sources.servers.jaeger_api import read_jaeger
from keras_otel.analysis.sources.tables.schema import EVALUATIONS
from keras_otel.analysis.sources.tables.telemetry import Problem, reasons
from keras_otel.analysis.sources.tables.trace_lookup import with_owners, without_trace
from keras_otel.analysis.sources.tables.writer import Intake, Window
from keras_otel.errors import SourceError

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes to read."""

_READABLE: Final = "OTLP JSON lines or protobuf, Jaeger JSON, Parquet, CSV and JSON lines of evaluations can be read"
_PATTERN: Final = frozenset("*?[]{}\\") - {os.sep}
_MOST_LAYERS: Final = 4
_ONE_PROCESS_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What was read.

    Attributes:
        spans: By `schema.SPANS`; in DuckDB, or in ClickHouse where that is the only source.
        evaluations: By `schema.EVALUATIONS`.
        window: Which predictions count.
        problems: What could not be read.
    """

    spans: ir.Table
    evaluations: ir.Table
    window: Window = field(default_factory=Window)
    problems: tuple[Problem, ...] = ()

    @property
    def unread(self) -> str:
        """What could not be read, to begin the line with that says that something was not found."""
        return reasons(self.problems)


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
        window: Which predictions count; all by default.
        progress: Told of the bytes read, from any thread.
        engine: Where rows are joined, as in `engines.connect`; ClickHouse's own rows where that is
            the only source.
        access: How servers are asked.

    Yields:
        The tables; they and the temporary files behind them are gone afterwards.

    Raises:
        SourceError: A source cannot be read at all.
        OptionError: The engine is not known or does not start.
    """
    engines.require_engine(engine, [str(source) for source in sources])
    with tempfile.TemporaryDirectory(prefix="keras-otel-") as folder:
        reader = _Reader(Path(folder), window or Window(), access or Access(), progress)
        for source in sources:
            reader.take(str(source))
        connection = engines.connect(engine, Path(folder))
        try:
            yield reader.telemetry(connection)
        finally:
            connection.disconnect()


class _Reader:
    """Sorts sources by what they are, and reads each its way."""

    def __init__(
        self, folder: Path, window: Window, access: Access, progress: Progress | None
    ) -> None:
        self._folder = folder
        self._window = window
        self._access = access
        self._progress = progress
        self._ranges: list[Range] = []
        self._parquet: dict[str, list[Path]] = {"spans": [], "evaluations": []}
        self._problems: list[Problem] = []
        self._engines: list[tuple[ir.Table, ir.Table | None]] = []
        self._parts = 0
        self._done = 0

    def take(self, source: str) -> None:
        """Read a source, or note what is to be read of it."""
        scheme, mark, _ = source.partition("://")
        scheme = scheme.lower() if mark else ""
        if scheme in ("http", "https"):
            with self._intake() as intake:
                read_jaeger(source, intake, self._window, access=self._access)
            self._problems += intake.problems()
        elif scheme in phoenix.SCHEMES:
            with self._intake() as intake:
                phoenix.read_phoenix(source, intake, self._window, access=self._access)
            self._problems += intake.problems()
        elif scheme == "clickhouse":
            self._engines.append(clickhouse.connect(source, self._access))
        elif scheme:
            raise SourceError(
                f"{source} has a scheme that is not read: http, https, phoenix+http, phoenix+https and "
                "clickhouse are, and files by their paths"
            )
        else:
            self._take_path(source)

    def _take_path(self, source: str) -> None:
        if not source.strip():
            raise SourceError("a source has no name: is a variable empty?")
        files = files_of(Path(source))
        for path in files:
            try:
                self._take_file(path, str(path))
            except OSError as error:
                reason = error.strerror or error
                raise SourceError(f"{path} cannot be read ({reason}): check it") from error
            except SourceError as error:
                if len(files) == 1:
                    raise
                # One bad file of a folder is counted; the rest is used.
                text = str(error).removeprefix(f"{path} ").removesuffix(f": {_READABLE}")
                self._problems.append(Problem(source=str(path), what=text))

    def _take_file(self, path: Path, source: str) -> None:
        path = self._unpacked(path, source)
        match kind_of(path):
            case "json" if goes_over_lines(path):
                self._read_now(read_whole, path, source)
            case "json":
                size = path.stat().st_size
                self._ranges.append(Range(path=str(path), source=source, start=0, end=size))
            case "protobuf":
                from keras_otel.analysis.sources.formats.otlp_protobuf import read_protobuf

                self._read_now(read_protobuf, path, source)
            case "csv":
                self._read_now(read_csv, path, source)
            case "parquet":
                self._take_parquet(path, source)
            case "empty":
                self._problems.append(Problem(source=source, what="the file is empty"))
            case "unknown":
                raise SourceError(f"{source} is of no known format: {_READABLE}")

    def _unpacked(self, path: Path, source: str) -> Path:
        for _ in range(_MOST_LAYERS):
            unwrap = layer_of(path)
            if unwrap is None:
                break
            plain = self._folder / f"plain{self._next_part()}"
            lost = Counter(unwrap(path, plain))
            self._problems += [
                Problem(source=source, what=what, count=count) for what, count in lost.items()
            ]
            path = plain
        return path

    def _take_parquet(self, path: Path, source: str) -> None:
        layout = layout_of(path, source)
        if layout == "rows":
            self._read_now(read_rows, path, source)
        else:
            self._parquet[layout].append(self._plainly_named(path, layout))

    def _plainly_named(self, path: Path, layout: str) -> Path:
        """A path that no engine takes for a pattern of several files."""
        if _PATTERN.isdisjoint(str(path)):
            return path
        link = self._folder / f"given{self._next_part()}-{layout}"
        try:
            link.symlink_to(path.resolve())
        except OSError:  # Windows, without the right to make links
            shutil.copyfile(path, link)
        return link

    def _read_now(self, read: Callable[[Path, str, Intake], None], path: Path, source: str) -> None:
        with self._intake() as intake:
            read(path, source, intake)
        self._problems += intake.problems()

    def _intake(self) -> Intake:
        return Intake(self._folder, f"part{self._next_part()}", self._window)

    def _next_part(self) -> int:
        self._parts += 1
        return self._parts

    def _read_lines(self) -> None:
        total = sum(part.end for part in self._ranges)

        def advance(count: int) -> None:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, total)

        if total > _ONE_PROCESS_BYTES:
            shares = shares_of(self._ranges)
            self._problems += read_by_processes(shares, self._folder, self._window, advance)
            return
        with self._intake() as intake:
            for part in self._ranges:
                read_range(part, intake, advance)
        self._problems += intake.problems()

    def telemetry(self, connection: Any) -> Telemetry:
        """The two tables over all that was read."""
        if self._ranges:
            self._read_lines()
        if len(self._engines) == 1 and not self._paths("spans") + self._paths("evaluations"):
            return self._of_engine(*self._engines[0])
        for traces, logs in self._engines:
            self._pull(self._of_engine(traces, logs))
        self._require_something()
        tables = {}
        for kind, schema in SCHEMAS.items():
            paths = self._paths(kind) or [self._empty(kind, schema)]
            tables[kind] = scan(connection, paths, schema)
        return self._telemetry(tables["spans"], self._with_traces(connection, **tables))

    def _with_traces(self, connection: Any, spans: ir.Table, evaluations: ir.Table) -> ir.Table:
        """All evaluations, also those that name a span alone."""
        alone = without_trace(evaluations)
        if not alone.count().to_pyarrow().as_py():
            return evaluations
        found, unknown = with_owners(alone, spans)
        if unknown:
            what = "the span of an evaluation is in no trace that was read, or in several"
            self._problems.append(Problem(source="evaluations", what=what, count=unknown))
        path = self._folder / "owned.evaluations.parquet"
        pq.write_table(found, path)
        every = scan(connection, self._paths("evaluations"), EVALUATIONS)
        return every.filter(every.trace_id != "")

    def _require_something(self) -> None:
        """Raise where nothing was read, and not because it is of another time."""
        is_all = self._window == Window()
        if self._problems and is_all and not self._paths("spans") + self._paths("evaluations"):
            raise SourceError(f"{reasons(self._problems)}nothing was read: {_READABLE}")

    def _paths(self, kind: str) -> list[Path]:
        return [*sorted(self._folder.glob(f"*.{kind}.parquet")), *self._parquet[kind]]

    def _empty(self, kind: str, schema: pa.Schema) -> Path:
        path = self._folder / f"none.{kind}.parquet"
        pq.write_table(schema.empty_table(), path)
        return path

    def _of_engine(self, traces: ir.Table, logs: ir.Table | None) -> Telemetry:
        return self._telemetry(
            clickhouse.spans(traces, self._window),
            clickhouse.evaluations(traces, logs, self._window),
        )

    def _pull(self, telemetry: Telemetry) -> None:
        """Bring an engine's tables here, to join them with what other sources hold."""
        for kind, table in (("spans", telemetry.spans), ("evaluations", telemetry.evaluations)):
            path = self._folder / f"part{self._next_part()}.{kind}.parquet"
            table.to_parquet(path)

    def _telemetry(self, spans: ir.Table, evaluations: ir.Table) -> Telemetry:
        return Telemetry(
            spans=spans,
            evaluations=evaluations,
            window=self._window,
            problems=tuple(self._problems),
        )
