"""Where readers put what they find: it ends in Parquet files, a bounded number of rows at a time."""

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
from keras_otel.analysis.sources.tables.evaluation_attributes import of_span
from keras_otel.analysis.sources.tables.schema import EVALUATIONS, SPANS
from keras_otel.analysis.sources.tables.telemetry import Evaluation, Problem, Span

_BATCH_ROWS: Final = 50_000

SPANS_FILE: Final = "{part}.spans.parquet"
EVALUATIONS_FILE: Final = "{part}.evaluations.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which predictions count: those that start in [since_ns, until_ns).

    What follows a prediction may lie after `until_ns`, so only predictions are held to it.
    """

    since_ns: int | None = None
    until_ns: int | None = None

    def leaves_out(self, span: Span) -> bool:
        """True for a prediction outside, and for anything before `since_ns`."""
        if self.since_ns is not None and span.start_ns < self.since_ns:
            return True
        is_late = self.until_ns is not None and span.start_ns >= self.until_ns
        return is_late and semconv.MODEL_NAME in span.attributes


class Intake:
    """Takes spans, evaluations and problems of one part of a source.

    Args:
        folder: Where its Parquet files go.
        part: What their names start with.
        window: Which predictions count.
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

    def span(self, span: Span) -> None:
        """Take a span and the evaluations that it carries."""
        for evaluation in of_span(span):
            self.evaluation(evaluation)
        if self._window.leaves_out(span):
            return
        self._spans.add(span)
        if len(self._spans) >= _BATCH_ROWS:
            self._write_spans()

    def evaluation(self, evaluation: Evaluation) -> None:
        """Take an evaluation."""
        since = self._window.since_ns
        if since is not None and evaluation.time_ns is not None and evaluation.time_ns < since:
            return
        self._evaluations.add(evaluation)
        if len(self._evaluations) >= _BATCH_ROWS:
            self._write_evaluations()

    def problem(self, source: str, what: str) -> None:
        """Count something that could not be read."""
        self._problems[source, what] += 1

    def problems(self) -> Iterable[Problem]:
        """What could not be read, in the order in which it was met."""
        for (source, what), count in self._problems.items():
            yield Problem(source=source, what=what, count=count)

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
