"""Write the spans and evaluations that readers find to Parquet files, a bounded number of rows at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from keras_otel import semconv
from keras_otel.analysis.sources.tables.arrow_columns import EvaluationColumns, SpanColumns
from keras_otel.analysis.sources.tables.evaluation_attributes import evaluations_of_span
from keras_otel.analysis.sources.tables.schema import EVALUATIONS, SPANS
from keras_otel.analysis.sources.tables.telemetry import Evaluation, ReadProblem, Span

_BATCH_ROWS: Final = 50_000

SPANS_FILE: Final = "{part}.spans.parquet"
EVALUATIONS_FILE: Final = "{part}.evaluations.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The predictions that count: those that start in [since_ns, until_ns).

    The answer and its evaluation may follow after `until_ns`, so only predictions must start before it.
    """

    since_ns: int | None = None
    until_ns: int | None = None

    def leaves_out(self, span: Span) -> bool:
        """Return True for a prediction outside the window, and for any span before `since_ns`."""
        if self.since_ns is not None and span.start_ns < self.since_ns:
            return True
        is_late = self.until_ns is not None and span.start_ns >= self.until_ns
        return is_late and semconv.MODEL_NAME in span.attributes


class TableWriter:
    """Writes the spans and evaluations of one part of a source, and counts what could not be read.

    Args:
        folder: Where the Parquet files go.
        part: The prefix of their names.
        window: The predictions that count; others are not written.
    """

    def __init__(self, folder: Path, part: str, window: Window) -> None:
        self._folder = folder
        self._part = part
        self._window = window
        self._spans = SpanColumns()
        self._evaluations = EvaluationColumns()
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._problems: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write_spans()
            self._write_evaluations()
        for writer in self._writers.values():
            writer.close()

    def add_span(self, span: Span) -> None:
        """Add a span and the evaluations that it carries."""
        for evaluation in evaluations_of_span(span):
            self.add_evaluation(evaluation)
        if self._window.leaves_out(span):
            return
        self._spans.add(span)
        if len(self._spans) >= _BATCH_ROWS:
            self._write_spans()

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Add an evaluation."""
        since = self._window.since_ns
        if since is not None and evaluation.time_ns is not None and evaluation.time_ns < since:
            return
        self._evaluations.add(evaluation)
        if len(self._evaluations) >= _BATCH_ROWS:
            self._write_evaluations()

    def add_problem(self, source: str, message: str) -> None:
        """Count something that could not be read."""
        self._problems[source, message] += 1

    def problems(self) -> Iterable[ReadProblem]:
        """Yield what could not be read, in the order in which it was met."""
        for (source, message), count in self._problems.items():
            yield ReadProblem(source=source, message=message, count=count)

    def _write_spans(self) -> None:
        self._write(SPANS_FILE, SPANS, self._spans.batch())
        self._spans = SpanColumns()

    def _write_evaluations(self) -> None:
        self._write(EVALUATIONS_FILE, EVALUATIONS, self._evaluations.batch())
        self._evaluations = EvaluationColumns()

    def _write(self, file: str, schema: pa.Schema, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if file not in self._writers:
            path = self._folder / file.format(part=self._part)
            self._writers[file] = pq.ParquetWriter(path, schema, compression="lz4")
        self._writers[file].write_batch(batch)
