"""Read files of any known format into Parquet files of the two tables."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from keras_otel.analysis.sources.formats.csv_file import read_csv
from keras_otel.analysis.sources.formats.file_types import files_of, kind_of
from keras_otel.analysis.sources.formats.json_files import (
    Range,
    read_by_processes,
    read_range,
    read_whole,
    spans_lines,
)
from keras_otel.analysis.sources.formats.parquet_file import layout_of, read_rows
from keras_otel.analysis.sources.formats.unpacking import layer_of
from keras_otel.analysis.sources.formats.work_split import shares_of
from keras_otel.analysis.sources.tables.telemetry import ReadProblem
from keras_otel.analysis.sources.tables.writer import TableWriter, Window
from keras_otel.errors import SourceError

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes to read."""

READABLE: Final = "OTLP JSON lines or protobuf, Jaeger JSON, Parquet, CSV and JSON lines of evaluations can be read"
_PATTERN: Final = frozenset("*?[]{}\\") - {os.sep}
_MOST_LAYERS: Final = 4
_ONE_PROCESS_BYTES: Final = 32 * 1024 * 1024


class FileReader:
    """Reads files, and names the Parquet files that hold what was read.

    JSON lines are read last, by `read_lines`: only then is their size known, and with it how many processes are
    worth starting.

    Args:
        folder: Where Parquet and temporary files go.
        window: The predictions that count.
        progress: Called as JSON lines are read, from any thread.
    """

    def __init__(self, folder: Path, window: Window, progress: Progress | None) -> None:
        self.problems: list[ReadProblem] = []
        self._folder = folder
        self._window = window
        self._progress = progress
        self._ranges: list[Range] = []
        self._given: dict[str, list[Path]] = {"spans": [], "evaluations": []}
        self._parts = 0
        self._bytes_read = 0

    def add(self, source: str) -> None:
        """Read a file, or all files of a folder.

        Raises:
            SourceError: There is no such file, or it cannot be read. A bad file of a folder is a problem instead.
        """
        if not source.strip():
            raise SourceError("a source has no name: is a variable empty?")
        files = files_of(Path(source))
        for path in files:
            try:
                self._add_file(path, str(path))
            except OSError as error:
                reason = error.strerror or error
                raise SourceError(f"{path} cannot be read ({reason}): check it") from error
            except SourceError as error:
                if len(files) == 1:
                    raise
                # One bad file of a folder is counted; the rest is used.
                message = str(error).removeprefix(f"{path} ").removesuffix(f": {READABLE}")
                self.problems.append(ReadProblem(source=str(path), message=message))

    def _add_file(self, path: Path, source: str) -> None:
        path = self._unpacked(path, source)
        match kind_of(path):
            case "json" if spans_lines(path):
                self.read(lambda writer: read_whole(path, source, writer))
            case "json":
                size = path.stat().st_size
                self._ranges.append(Range(path=str(path), source=source, start=0, end=size))
            case "protobuf":
                from keras_otel.analysis.sources.formats.otlp_protobuf import read_protobuf

                self.read(lambda writer: read_protobuf(path, source, writer))
            case "csv":
                self.read(lambda writer: read_csv(path, source, writer))
            case "parquet":
                self._add_parquet(path, source)
            case "empty":
                self.problems.append(ReadProblem(source=source, message="the file is empty"))
            case "unknown":
                raise SourceError(f"{source} is of no known format: {READABLE}")

    def _unpacked(self, path: Path, source: str) -> Path:
        for _ in range(_MOST_LAYERS):
            unwrap = layer_of(path)
            if unwrap is None:
                break
            unpacked = self._folder / f"plain{self._next_part()}"
            losses = Counter(unwrap(path, unpacked))
            self.problems += [
                ReadProblem(source=source, message=message, count=count)
                for message, count in losses.items()
            ]
            path = unpacked
        return path

    def _add_parquet(self, path: Path, source: str) -> None:
        layout = layout_of(path, source)
        if layout == "rows":
            self.read(lambda writer: read_rows(path, source, writer))
        else:
            self._given[layout].append(self._without_pattern(path, layout))

    def _without_pattern(self, path: Path, layout: str) -> Path:
        """Return a path to the file that no engine takes for a pattern of several files."""
        if _PATTERN.isdisjoint(str(path)):
            return path
        link = self._folder / f"given{self._next_part()}-{layout}"
        try:
            link.symlink_to(path.resolve())
        except OSError:  # Windows, without the right to make links
            shutil.copyfile(path, link)
        return link

    def read(self, read: Callable[[TableWriter], object]) -> None:
        """Let a function write what it reads to Parquet files of their own."""
        with TableWriter(self._folder, self._new_part(), self._window) as writer:
            read(writer)
        self.problems += writer.problems()

    def read_lines(self) -> None:
        """Read all files of JSON lines that were added, large ones in several processes."""
        if not self._ranges:
            return
        total = sum(part.end for part in self._ranges)

        def advance(count: int) -> None:
            self._bytes_read += count
            if self._progress is not None:
                self._progress(self._bytes_read, total)

        def read_ranges(writer: TableWriter) -> None:
            for part in self._ranges:
                read_range(part, writer, advance)

        if total > _ONE_PROCESS_BYTES:
            shares = shares_of(self._ranges)
            self.problems += read_by_processes(shares, self._folder, self._window, advance)
        else:
            self.read(read_ranges)

    def paths(self, kind: str) -> list[Path]:
        """Return the Parquet files of one of the two tables, `spans` or `evaluations`."""
        return [*sorted(self._folder.glob(f"*.{kind}.parquet")), *self._given[kind]]

    def new_path(self, kind: str) -> Path:
        """Return a path for another Parquet file of a table."""
        return self._folder / f"{self._new_part()}.{kind}.parquet"

    def _new_part(self) -> str:
        return f"part{self._next_part()}"

    def _next_part(self) -> int:
        self._parts += 1
        return self._parts
