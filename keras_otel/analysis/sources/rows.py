"""Evaluations that come as rows: CSV, JSON lines, JSON arrays, Parquet of another layout.

A row has `trace_id`, `span_id`?, `name`, `score`?, `label`?, `passed`?, `error`?, `time`?,
`explanation`?. The same mapping reads a Langfuse score export (`traceId`, `observationId`, `value`,
`stringValue`, `dataType`, `comment`), MLflow assessments (`assessment_name`, `feedback`, `rationale`),
Phoenix annotations (`annotation_name`, `result.score`) and an export of `gen_ai.evaluation.*`; case and
punctuation of a column's name do not matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

from keras_otel.analysis.sources.evaluations import NOT_A_NUMBER, upstream
from keras_otel.analysis.sources.intake import Intake
from keras_otel.analysis.sources.telemetry import Evaluation
from keras_otel.analysis.sources.text import number, span_id, trace_id, value_text

# The first column that is there counts.
_TRACE: Final = ("traceid", "contexttraceid")
_SPAN: Final = ("spanid", "observationid", "contextspanid")
_NAME: Final = ("name", "assessmentname", "annotationname", "genaievaluationname", "evaluation")
_SCORE: Final = ("score", "genaievaluationscorevalue", "resultscore", "value")
_LABEL: Final = ("label", "genaievaluationscorelabel", "resultlabel", "stringvalue")
_PASSED: Final = ("passed", "kerasevaluationpassed")
_ERROR: Final = ("error", "errortype", "errormessage")
_EXPLANATION: Final = (
    "explanation",
    "genaievaluationexplanation",
    "resultexplanation",
    "comment",
    "rationale",
    "reason",
)
_TIME: Final = ("timens", "time", "timestamp", "createtime", "createdat")

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_NS: Final = 1_000_000_000
# Epoch times of our century in s, ms and µs lie below these; anything larger is ns.
_UNITS: Final = ((1e11, _NS), (1e14, 1_000_000), (1e17, 1_000))


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take the rows of one line or document; False where it holds none."""
    if isinstance(document, list):
        are_rows = [read_document(row, source, intake) for row in document]
        return any(are_rows)
    if not isinstance(document, dict):
        return False
    nested = _assessments(document)
    if nested is not None:
        for row in nested:
            read_row(row, source, intake)
        return True
    # Langfuse's API and exports of it wrap their rows.
    if isinstance(document.get("data"), list):
        return read_document(document["data"], source, intake)
    if not has_trace({_plain(key) for key in document}):
        return False
    read_row(document, source, intake)
    return True


def has_trace(columns: set[str]) -> bool:
    """True if a table with these columns, as `plain_columns` gives them, can hold evaluations."""
    return not columns.isdisjoint(_TRACE) and not columns.isdisjoint(_NAME)


def plain_columns(columns: Iterator[str] | list[str]) -> set[str]:
    """Names of columns without case and punctuation."""
    return {_plain(column) for column in columns}


def read_row(row: Mapping[str, Any], source: str, intake: Intake) -> None:
    """Take one row."""
    cells = {
        _plain(key): value
        for key, value in row.items()
        if isinstance(key, str) and value is not None and value != ""
    }
    feedback = cells.get("feedback")
    if isinstance(feedback, dict):
        cells |= {_plain(key): value for key, value in feedback.items() if value is not None}
    trace, name = trace_id(_first(cells, _TRACE)), _first(cells, _NAME)
    if trace is None:
        intake.problem(source, "a row's trace id is not 32 hex digits")
    elif not name:
        intake.problem(source, "a row names no evaluation")
    elif "valid" in cells and value_text(cells["valid"]).lower() == "false":
        intake.problem(source, "an assessment was replaced by a later one")
    else:
        intake.evaluation(_evaluation(trace, str(name), cells, row))


def _evaluation(
    trace: str, name: str, cells: Mapping[str, Any], row: Mapping[str, Any]
) -> Evaluation:
    given, label = _first(cells, _SCORE), _first(cells, _LABEL)
    passed = _boolean(_first(cells, _PASSED))
    if str(cells.get("datatype", "")).upper() == "BOOLEAN" or isinstance(given, bool):
        passed = _boolean(given) if passed is None else passed
    elif isinstance(given, str) and label is None and number(given) is None:
        label = given  # MLflow's feedback may be a word
    score_text = None if given is None or isinstance(given, bool) else value_text(given)
    explanation = _first(cells, _EXPLANATION)
    error = _error(_first(cells, _ERROR))
    if (score_text or "").lower() == "nan" and passed is None and label in (None, given):
        label, error = None, error or NOT_A_NUMBER
    return Evaluation(
        trace_id=trace,
        span_id=span_id(_first(cells, _SPAN)),
        name=name,
        score=number(score_text),
        label=None if label is None else value_text(label),
        passed=passed,
        error=error,
        time_ns=_time_ns(_first(cells, _TIME)),
        explanation=None if explanation is None else value_text(explanation),
        upstream=upstream({key: value_text(value) for key, value in row.items() if value}),
    )


def _assessments(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The assessments of one MLflow trace."""
    inside = document.get("info") if isinstance(document.get("info"), dict) else document
    assessments = inside.get("assessments") if isinstance(inside, dict) else None
    if not isinstance(assessments, list):
        return None
    trace = inside.get("trace_id") if isinstance(inside, dict) else None
    return [{"trace_id": trace, **each} for each in assessments if isinstance(each, dict)]


def _plain(column: str) -> str:
    return "".join(character for character in column.lower() if character.isalnum())


def _first(cells: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return next((cells[column] for column in columns if column in cells), None)


def _boolean(value: Any) -> bool | None:
    text = value_text(value).strip().lower()
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def _error(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("error_code") or value.get("error_message")
    text = "" if value is None else value_text(value)
    return text if text.strip() and text.strip().lower() not in ("false", "0", "nan") else None


def _time_ns(value: Any) -> int | None:
    """A time as nanoseconds: ISO 8601, or a number of s, ms, µs or ns told by its size."""
    if isinstance(value, dt.datetime):
        whole = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return int(whole.timestamp() * _NS)
    numeric = number(None if value is None else str(value))
    if numeric is not None:
        return int(numeric * next((f for limit, f in _UNITS if abs(numeric) < limit), 1))
    try:
        return _time_ns(dt.datetime.fromisoformat(str(value)))
    except ValueError:
        return None
