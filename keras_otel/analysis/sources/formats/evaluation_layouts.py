"""Layouts of tables with several evaluations in a row, each converted into rows of a single evaluation.

* MLflow's traces, with `assessments` as a list or as its text;
* Langfuse's traces with `scores`, and its exports of traces and observations with a column for each score;
* LangSmith's runs with `feedback_stats`;
* Arize's spans with `eval.<name>.score`, `.label` and `.explanation`, or `trace_eval.`;
* tables of `trace_id` and a column for each evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from keras_otel.analysis.sources.formats.evaluation_values import (
    boolean_of,
    is_missing,
    nested,
    score_of,
)
from keras_otel.analysis.sources.tables.evaluation_attributes import HINTS

Row = Mapping[str, Any]
Layout = Literal[
    "single", "assessments", "scores", "feedback", "columns", "attributes", "observations", "traces",
    "wide",
]  # fmt: skip
"""The layout of a row; `single` is one evaluation, and `wide` has a column for each."""

# The first of these columns that a row has counts.
TRACE: Final = ("traceid", "contexttraceid")
SPAN: Final = ("spanid", "observationid", "contextspanid", "runid")
NAME: Final = (
    "name",
    "assessmentname",
    "annotationname",
    "genaievaluationname",
    "evaluation",
    "evaluationname",
    "key",
)
SCORE: Final = ("score", "genaievaluationscorevalue", "resultscore", "value")
LABEL: Final = ("label", "genaievaluationscorelabel", "resultlabel", "stringvalue")
PASSED: Final = ("passed", "kerasevaluationpassed")
TIME: Final = ("timens", "time", "timestamp", "createtime", "createdat")

_IDS: Final = frozenset({*TRACE, *SPAN, "context", "subject"})
_VERDICTS: Final = frozenset(
    {*SCORE, *LABEL, *PASSED, "error", "errortype", "feedback", "result", "expectation"}
)
_LANGFUSE_TRACE: Final = frozenset({"id", "timestamp", "name"})
_LANGFUSE_OBSERVATION: Final = frozenset({"id", "traceid", "name", "type", "starttime"})
_EVAL_COLUMN: Final = re.compile(r"(trace_)?eval\.(.+)\.(score|label|explanation)")
_PREFIXES: Final = ("attributes.", "span_attributes.")
_ATTRIBUTES: Final = ("attributes", "spanattributes")

# The last words of columns that tables of traces and of answers have besides verdicts.
_OTHERS: Final = frozenset(
    {
        "answer", "at", "attributes", "bookmarked", "comment", "comments", "context", "contexts", "cost",
        "costs", "count", "date", "duration", "environment", "error", "explanation", "id", "ids", "index",
        "input", "inputs", "kind", "latency", "level", "metadata", "model", "ms", "name", "ns", "output",
        "outputs", "path", "price", "prompt", "public", "question", "rationale", "reason", "reference",
        "release", "response", "row", "session", "source", "state", "status", "tag", "tags", "time",
        "timestamp", "token", "tokens", "ttft", "type", "usage", "user", "version",
    }
)  # fmt: skip
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LONGEST_WORD: Final = 64


def plain(column: str) -> str:
    """Return a column's name without case and punctuation."""
    return "".join(character for character in column.lower() if character.isalnum())


@lru_cache(maxsize=256)
def layout_of(columns: tuple[str, ...]) -> Layout | None:
    """Return the layout of a row with these columns; None where it is none of those known."""
    names = {plain(column) for column in columns}
    has_ids = not names.isdisjoint(_IDS)
    if has_ids and not names.isdisjoint(NAME) and not names.isdisjoint(_VERDICTS):
        return "single"
    if has_ids and "assessments" in names:
        return "assessments"
    if "scores" in names and (has_ids or "id" in names):
        return "scores"
    if has_ids and "feedbackstats" in names:
        return "feedback"
    if has_ids and any(_EVAL_COLUMN.fullmatch(column) for column in columns):
        return "columns"
    if has_ids and any(plain(column) in _ATTRIBUTES or _is_hint(column) for column in columns):
        return "attributes"
    if names >= _LANGFUSE_OBSERVATION:
        return "observations"
    if names >= _LANGFUSE_TRACE and not has_ids:
        return "traces"
    return "wide" if has_ids and any(_may_be_evaluation(column) for column in columns) else None


@lru_cache(maxsize=1024)
def _may_be_evaluation(column: str) -> bool:
    """Return True unless a column's name shows that it holds something else."""
    words = _WORDS.findall(column)
    return (
        plain(column) not in {*_IDS, *_VERDICTS}
        and bool(words)
        and words[-1].lower() not in _OTHERS
    )


def rows_of(row: Row, layout: Layout) -> Iterator[Row | None]:
    """Yield a row for each evaluation that a row holds; None for each part that is no evaluation."""
    match layout:
        case "assessments":
            yield from _rows_of_list(row, "assessments", _cell(row, TRACE))
        case "scores":
            yield from _rows_of_list(row, "scores", _cell(row, (*TRACE, "id")))
        case "feedback":
            yield from _rows_of_feedback(row)
        case "columns":
            yield from _rows_of_columns(row)
        case "observations":
            ids = {"trace_id": _cell(row, TRACE), "span_id": _cell(row, ("id",))}
            yield from _rows_of_wide(row, ids, any_word=True)
        case "traces":
            yield from _rows_of_wide(row, {"trace_id": _cell(row, ("id",))}, any_word=True)
        case "wide":
            ids = {"trace_id": _cell(row, TRACE), "span_id": _cell(row, SPAN)}
            yield from _rows_of_wide(row, ids, any_word=False)
        case "single" | "attributes":
            yield row


def _cell(row: Row, columns: Sequence[str]) -> Any:
    cells = {plain(key): value for key, value in row.items() if not is_missing(value)}
    return next((cells[column] for column in columns if column in cells), None)


def _rows_of_list(row: Row, column: str, trace: Any) -> Iterator[Row | None]:
    cell = _cell(row, (column,))
    elements = [] if cell is None else nested(cell)
    if isinstance(elements, dict):
        elements = [{"name": name, "value": value} for name, value in elements.items()]
    if elements is None:
        yield None
        return
    for element in elements:
        is_row = isinstance(element, dict)
        yield {"trace_id": trace, **_without_missing(element)} if is_row else None


def _without_missing(row: Row) -> Row:
    return {key: value for key, value in row.items() if not is_missing(value)}


def _rows_of_feedback(row: Row) -> Iterator[Row | None]:
    stats = nested(_cell(row, ("feedbackstats",)))
    if not isinstance(stats, dict):
        return
    ids = {"trace_id": _cell(row, TRACE), "run_id": _cell(row, ("id", "runid"))}
    for name, statistics in stats.items():
        average = statistics.get("avg") if isinstance(statistics, dict) else None
        yield None if average is None else {**ids, "name": name, "score": average}


def _rows_of_columns(row: Row) -> Iterator[Row]:
    evaluations: dict[tuple[bool, str], dict[str, Any]] = {}
    for column, value in row.items():
        match = _EVAL_COLUMN.fullmatch(column)
        if match and not is_missing(value):
            evaluations.setdefault((bool(match[1]), match[2]), {})[match[3]] = value
    trace = _cell(row, TRACE)
    for (is_about_trace, name), fields in evaluations.items():
        span = None if is_about_trace else _cell(row, SPAN)
        yield {"trace_id": trace, "span_id": span, "name": name, **fields}


def _rows_of_wide(row: Row, ids: Row, *, any_word: bool) -> Iterator[Row | None]:
    """Yield a row for each column that may be an evaluation; None where none of their cells is a verdict.

    The time of such a row is that of the trace, not of the evaluation.
    """
    is_empty, has_verdict = True, False
    for column, cell in row.items():
        if is_missing(cell) or not _may_be_evaluation(column):
            continue
        is_empty = False
        elements = nested(cell)
        for value in elements if isinstance(elements, list) else [cell]:
            is_word = any_word and isinstance(value, str) and len(value) <= _LONGEST_WORD
            if is_word or score_of(value) is not None or boolean_of(value) is not None:
                has_verdict = True
                yield {**ids, "name": column, "value": value}
    if not is_empty and not has_verdict:
        yield None


def attributes_of(row: Row) -> dict[str, Any]:
    """Return the attributes about evaluations in a row, from columns or nested ones, by their names on a span."""
    attributes: dict[str, Any] = {}
    for column, value in row.items():
        if plain(column) in _ATTRIBUTES:
            _flatten("", nested(value), attributes)
        elif _is_hint(column):
            inner = nested(value)
            _flatten(_bare(column), value if inner is None else inner, attributes)
    return {key: value for key, value in attributes.items() if not is_missing(value)}


def _is_hint(column: str) -> bool:
    return _bare(column).startswith(HINTS) or f"{_bare(column)}." in HINTS


def _bare(column: str) -> str:
    for prefix in _PREFIXES:
        column = column.removeprefix(prefix)
    return column


def _flatten(key: str, value: Any, attributes: dict[str, Any], depth: int = 8) -> None:
    """Add nested attributes under their names on a span, such as `evaluations.0.evaluation.name`."""
    if not isinstance(value, dict | list):
        if key:
            attributes[key] = value
        return
    if depth == 0:
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in parts:
        _flatten(f"{key}.{part}" if key else str(part), inner, attributes, depth - 1)
