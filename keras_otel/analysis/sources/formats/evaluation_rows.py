"""Evaluations that come as rows: CSV, JSON lines, JSON arrays, Parquet of another layout.

A row has `trace_id`, `span_id`?, `name`, `score`?, `label`?, `passed`?, `error`?, `explanation`?, `time`?. The
same mapping reads Langfuse's scores (`traceId`, `observationId`, `value`, `stringValue`, `dataType`, `subject`),
MLflow's assessments (`assessment_name`, `feedback`), Phoenix's annotations (`annotation_name`, `result.score`; by
the span's id alone), LangSmith's feedback (`run_id`, `key`) and an export of `gen_ai.evaluation.*`; case and
punctuation of a column's name do not matter. Rows of several evaluations are those of `row_forms`.
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
    Form,
    attributes_of,
    form_of,
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
from keras_otel.analysis.sources.tables.evaluation_attributes import NOT_A_NUMBER, of_span, upstream
from keras_otel.analysis.sources.tables.normalise import span_id, trace_id, value_text
from keras_otel.analysis.sources.tables.telemetry import Evaluation, Span
from keras_otel.analysis.sources.tables.writer import Intake

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
"""What reading a value of another type than expected raises."""


class _UnreadableError(ValueError):
    """A row is left out, and why."""


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take the rows of one line or document; False where it holds none."""
    if isinstance(document, list):
        are_rows = [read_document(row, source, intake) for row in document]
        for _ in range(are_rows.count(False) if any(are_rows) else 0):
            intake.problem(source, "an element of a list is of no format that is known")
        return any(are_rows)
    if not isinstance(document, dict):
        return False
    # Langfuse's API and exports of it wrap their rows.
    if isinstance(document.get("data"), list):
        return read_document(document["data"], source, intake)
    row = document["info"] if isinstance(document.get("info"), dict) else document
    form = form_of(tuple(row))
    if form is None or form == "wide":
        # A line with a trace id and numbers may be of any log.
        return False
    return _take(row, form, source, intake)


def has_trace(columns: Iterable[str]) -> bool:
    """True if a table with these columns can hold evaluations."""
    return form_of(tuple(columns)) is not None


def read_row(row: Mapping[str, Any], source: str, intake: Intake) -> None:
    """Take one row of a table."""
    form = form_of(tuple(row))
    if form is not None:
        _take(row, form, source, intake)


def _take(row: Mapping[str, Any], form: Form, source: str, intake: Intake) -> bool:
    """Take what a row of a form holds; False where it turns out to hold none."""
    try:
        if form == "attributes":
            return _take_attributes(row, intake)
        for each in rows_of(row, form):
            _take_one(each, source, intake)
    except WRONG_TYPE:
        intake.problem(source, "a row holds values of the wrong types")
    return True


def _take_one(row: Mapping[str, Any] | None, source: str, intake: Intake) -> None:
    if row is None:
        intake.problem(source, "a row holds something that is no evaluation")
        return
    try:
        intake.evaluation(_evaluation(row, _cells(row)))
    except _UnreadableError as error:
        intake.problem(source, str(error))
    except WRONG_TYPE:
        intake.problem(source, "a row holds values of the wrong types")


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """The cells that hold something, by the plain names of their columns; what is nested beside the rest."""
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
        upstream=upstream(
            {k: value_text(v) for k, v in row.items() if k.startswith(_UPSTREAM) and v is not None}
        ),
    )


def _ids(cells: Mapping[str, Any]) -> tuple[str, str | None]:
    """Trace and span; the trace is empty where it is to be found by the span."""
    given = _first(cells, TRACE)
    span = _span(cells)
    if given is None:
        if "kind" in cells and cells["kind"] in ("session", "experiment"):
            raise _UnreadableError(f"a score of {cells['kind']}s is of no trace")
        if span is None:
            raise _UnreadableError("a row has neither the id of a trace nor of a span")
        return "", span
    trace = trace_id(given.hex() if isinstance(given, bytes) else given)
    if trace is None:
        raise _UnreadableError("a row's trace id is not 32 hex digits")
    return trace, span


def _span(cells: Mapping[str, Any]) -> str | None:
    given = _first(cells, SPAN)
    if isinstance(given, bytes):
        given = given.hex()
    digits = str(given or "").strip().replace("-", "")
    if len(digits) == 32:
        # LangSmith's ids of runs: half of it is the span's, the other is zero where it made the id itself.
        given = digits[16:] if digits.startswith("0" * 16) else digits[:16]
    return span_id(given)


def _verdict(
    cells: Mapping[str, Any],
) -> tuple[float | None, str | None, bool | None, str | None]:
    """Score, label, passed and error."""
    given, label = _first(cells, SCORE), _first(cells, LABEL)
    if isinstance(given, str) and given.strip().lower() in _NO_SCORE:
        given = None
    said = _first(cells, PASSED)
    passed, error = boolean_of(said), _error(_first(cells, _ERROR))
    score = score_of(given)
    if str(cells.get("datatype", "")).upper() == "BOOLEAN" or isinstance(given, bool):
        passed = boolean_of(given) if passed is None else passed
    elif score is None and label is None and isinstance(given, str):
        # MLflow's feedback may be a word; LangSmith has `value` beside `score`.
        label = given if any(character.isalpha() for character in given) else None
    if label is None and isinstance(cells.get("value"), str) and score_of(cells["value"]) is None:
        label = cells["value"]
    text = value_text(given).lower() if is_plain(given) else ""
    if text == "nan" and passed is None and label in (None, given):
        return None, None, None, error or NOT_A_NUMBER
    label = value_text(label) if is_plain(label) else None
    says_nothing = (score, label, passed, error) == (None, None, None, None)
    if says_nothing and (given is not None or said is not None):
        raise _UnreadableError("a row's score is no number, or may be one of two")
    return score, label, passed, error


def _error(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("error_code") or value.get("error_message")
    text = "" if value is None else value_text(value)
    return text if text.strip() and text.strip().lower() not in ("false", "0", "nan") else None


def _take_attributes(row: Mapping[str, Any], intake: Intake) -> bool:
    """Take the evaluations among a span's attributes, in the names that they have there."""
    trace, span = _ids(cells := _cells(row))
    found = {key: value_text(value) for key, value in attributes_of(row).items()}
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
        attributes=found,
        resource={},
    )
    taken = False
    for evaluation in of_span(record):
        taken = True
        intake.evaluation(
            evaluation._replace(
                span_id=evaluation.span_id or None, time_ns=evaluation.time_ns or None
            )
        )
    return taken


def _first(cells: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return next((cells[column] for column in columns if column in cells), None)
