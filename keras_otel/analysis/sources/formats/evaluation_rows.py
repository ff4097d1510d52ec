"""Read evaluations that come as rows: CSV, JSON lines, JSON arrays, Parquet of another layout.

A row has `trace_id`, `span_id`?, `name`, `score`?, `label`?, `passed`?, `error`?, `explanation`?, `time`?. The
same mapping reads Langfuse's scores (`traceId`, `observationId`, `value`, `stringValue`, `dataType`, `subject`),
MLflow's assessments (`assessment_name`, `feedback`), Phoenix's annotations (`annotation_name`, `result.score`; by
the span's id alone), LangSmith's feedback (`run_id`, `key`) and an export of `gen_ai.evaluation.*`; case and
punctuation of a column's name do not matter. `evaluation_layouts` splits rows of several evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from keras_otel import semconv
from keras_otel.analysis.sources.formats.evaluation_layouts import (
    LABEL,
    NAME,
    PASSED,
    SCORE,
    SPAN,
    TIME,
    TRACE,
    Layout,
    attributes_of,
    layout_of,
    plain,
    rows_of,
)
from keras_otel.analysis.sources.formats.evaluation_values import (
    boolean_of,
    is_missing,
    is_plain,
    nested,
    score_of,
    time_ns_of,
)
from keras_otel.analysis.sources.tables.evaluation_attributes import (
    NOT_A_NUMBER,
    evaluations_of_span,
    upstream_attributes,
)
from keras_otel.analysis.sources.tables.normalise import span_id, trace_id, value_text
from keras_otel.analysis.sources.tables.telemetry import Evaluation, Span
from keras_otel.analysis.sources.tables.writer import TableWriter

_ERROR: Final = ("error", "errortype", "errormessage", "errorcode")
_EXPLANATION: Final = (
    "explanation",
    "genaievaluationexplanation",
    "resultexplanation",
    "comment",
    "rationale",
    "reason",
)
_NESTED: Final = ("feedback", "result", "subject", "context")
_SUBJECTS: Final = {"trace": TRACE[0], "observation": SPAN[0]}
_UPSTREAM: Final = f"{semconv.UPSTREAM_PREFIX}."
_END: Final = ("endtime",)
_NO_SCORE: Final = frozenset({"none", "n/a", "-"})

WRONG_TYPE: Final = (TypeError, ValueError, OverflowError, RecursionError, AttributeError)
"""The errors of reading a value of another type than expected."""


class _UnreadableError(ValueError):
    """Raised for a row that is left out; the message says why."""


def read_document(document: Any, source: str, writer: TableWriter) -> bool:
    """Read the rows of a line or document; return False where it holds none."""
    if isinstance(document, list):
        are_rows = [read_document(row, source, writer) for row in document]
        for _ in range(are_rows.count(False) if any(are_rows) else 0):
            writer.add_problem(source, "an element of a list is of no format that is known")
        return any(are_rows)
    if not isinstance(document, dict):
        return False
    # Langfuse's API and exports of it wrap their rows.
    if isinstance(document.get("data"), list):
        return read_document(document["data"], source, writer)
    row = document["info"] if isinstance(document.get("info"), dict) else document
    layout = layout_of(tuple(row))
    if layout is None or layout == "wide":
        # A line with a trace id and numbers may be of any log.
        return False
    return _read(row, layout, source, writer)


def has_trace(columns: Iterable[str]) -> bool:
    """Return True if a table with these columns can hold evaluations."""
    return layout_of(tuple(columns)) is not None


def read_row(row: Mapping[str, Any], source: str, writer: TableWriter) -> None:
    """Read one row of a table."""
    layout = layout_of(tuple(row))
    if layout is not None:
        _read(row, layout, source, writer)


def _read(row: Mapping[str, Any], layout: Layout, source: str, writer: TableWriter) -> bool:
    """Read the evaluations of a row; return False where it turns out to hold none."""
    try:
        if layout == "attributes":
            return _read_attributes(row, writer)
        for single in rows_of(row, layout):
            _read_single(single, source, writer)
    except WRONG_TYPE:
        writer.add_problem(source, "a row holds values of the wrong types")
    return True


def _read_single(row: Mapping[str, Any] | None, source: str, writer: TableWriter) -> None:
    if row is None:
        writer.add_problem(source, "a row holds something that is no evaluation")
        return
    try:
        writer.add_evaluation(_evaluation(row, _cells(row)))
    except _UnreadableError as error:
        writer.add_problem(source, str(error))
    except WRONG_TYPE:
        writer.add_problem(source, "a row holds values of the wrong types")


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells with a value, by the plain names of their columns; nested ones beside the others."""
    cells = {
        plain(key): value
        for key, value in row.items()
        if isinstance(key, str) and not is_missing(value)
    }
    for column in _NESTED:
        inner = nested(cells.get(column))
        if not isinstance(inner, dict):
            continue
        for key, value in inner.items():
            is_subject = column == "subject" and key == "id"
            name = _SUBJECTS.get(str(inner.get("kind"))) if is_subject else plain(key)
            if name is not None and not is_missing(value):
                cells[name] = value
    return cells


def _evaluation(row: Mapping[str, Any], cells: Mapping[str, Any]) -> Evaluation:
    trace, span = _ids(cells)
    name = _first(cells, NAME)
    if name is None:
        raise _UnreadableError("a row names no evaluation")
    if not is_plain(name):
        raise _UnreadableError("a row's name of the evaluation is no text")
    if value_text(cells.get("valid", "")).lower() == "false":
        raise _UnreadableError("an assessment was replaced by a later one")
    if "expectation" in cells and "feedback" not in cells:
        raise _UnreadableError("an expectation is no evaluation")
    score, label, passed, error = _verdict(cells)
    explanation = _first(cells, _EXPLANATION)
    return Evaluation(
        trace_id=trace,
        span_id=span,
        name=value_text(name),
        score=score,
        label=label,
        passed=passed,
        error=error,
        time_ns=time_ns_of(_first(cells, TIME)),
        explanation=None if explanation is None else value_text(explanation),
        upstream=upstream_attributes(
            {
                key: value_text(value)
                for key, value in row.items()
                if key.startswith(_UPSTREAM) and value is not None
            }
        ),
    )


def _ids(cells: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the ids of trace and span; that of the trace is empty where the span has to lead to it."""
    cell = _first(cells, TRACE)
    span = _span(cells)
    if cell is None:
        if "kind" in cells and cells["kind"] in ("session", "experiment"):
            raise _UnreadableError(f"a score of {cells['kind']}s is of no trace")
        if span is None:
            raise _UnreadableError("a row has neither the id of a trace nor of a span")
        return "", span
    trace = trace_id(cell.hex() if isinstance(cell, bytes) else cell)
    if trace is None:
        raise _UnreadableError("a row's trace id is not 32 hex digits")
    return trace, span


def _span(cells: Mapping[str, Any]) -> str | None:
    cell = _first(cells, SPAN)
    if isinstance(cell, bytes):
        cell = cell.hex()
    digits = str(cell or "").strip().replace("-", "")
    if len(digits) == 32:
        # An id of LangSmith's runs holds a span's id: in its first half, or after zeros in its second.
        cell = digits[16:] if digits.startswith("0" * 16) else digits[:16]
    return span_id(cell)


def _verdict(
    cells: Mapping[str, Any],
) -> tuple[float | None, str | None, bool | None, str | None]:
    """Return score, label, passed and error."""
    score_cell, label = _first(cells, SCORE), _first(cells, LABEL)
    if isinstance(score_cell, str) and score_cell.strip().lower() in _NO_SCORE:
        score_cell = None
    passed_cell = _first(cells, PASSED)
    passed, error = boolean_of(passed_cell), _error(_first(cells, _ERROR))
    score = score_of(score_cell)
    if str(cells.get("datatype", "")).upper() == "BOOLEAN" or isinstance(score_cell, bool):
        passed = boolean_of(score_cell) if passed is None else passed
    elif score is None and label is None and isinstance(score_cell, str):
        # MLflow's feedback may be a word; LangSmith has `value` beside `score`.
        label = score_cell if any(character.isalpha() for character in score_cell) else None
    if label is None and isinstance(cells.get("value"), str) and score_of(cells["value"]) is None:
        label = cells["value"]
    text = value_text(score_cell).lower() if is_plain(score_cell) else ""
    if text == "nan" and passed is None and label in (None, score_cell):
        return None, None, None, error or NOT_A_NUMBER
    label = value_text(label) if is_plain(label) else None
    is_empty = (score, label, passed, error) == (None, None, None, None)
    if is_empty and (score_cell is not None or passed_cell is not None):
        raise _UnreadableError("a row's score is no number, or may be one of two")
    return score, label, passed, error


def _error(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("error_code") or value.get("error_message")
    text = "" if value is None else value_text(value)
    return text if text.strip() and text.strip().lower() not in ("false", "0", "nan") else None


def _read_attributes(row: Mapping[str, Any], writer: TableWriter) -> bool:
    """Read evaluations from attributes of the evaluated span, in the columns of a row."""
    trace, span = _ids(cells := _cells(row))
    attributes = {key: value_text(value) for key, value in attributes_of(row).items()}
    record = Span(
        trace_id=trace,
        span_id=span or "",
        parent_span_id=None,
        name=value_text(cells.get("name", "")),
        scope=None,
        service=None,
        start_ns=time_ns_of(_first(cells, _END)) or 0,
        duration_ns=0,
        status="unset",
        tracestate=None,
        attributes=attributes,
        resource={},
    )
    has_evaluation = False
    for evaluation in evaluations_of_span(record):
        has_evaluation = True
        writer.add_evaluation(
            evaluation._replace(
                span_id=evaluation.span_id or None, time_ns=evaluation.time_ns or None
            )
        )
    return has_evaluation


def _first(cells: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return next((cells[column] for column in columns if column in cells), None)
