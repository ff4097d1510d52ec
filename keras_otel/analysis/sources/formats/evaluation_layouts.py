"""Forms of a table that hold several evaluations in a row, each brought into rows of one.

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
Form = Literal[
    "one", "assessments", "scores", "feedback", "columns", "attributes", "observations", "traces",
    "wide",
]  # fmt: skip
"""What the columns of a row are; `one` is one evaluation, and `wide` a column for each."""

# The first column that is there counts.
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
        "answer",
        "at",
        "attributes",
        "bookmarked",
        "comment",
        "comments",
        "context",
        "contexts",
        "cost",
    }
    | {
        "costs",
        "count",
        "date",
        "duration",
        "environment",
        "error",
        "explanation",
        "id",
        "ids",
        "index",
    }
    | {
        "input",
        "inputs",
        "kind",
        "latency",
        "level",
        "metadata",
        "model",
        "ms",
        "name",
        "ns",
        "output",
    }
    | {
        "outputs",
        "path",
        "price",
        "prompt",
        "public",
        "question",
        "rationale",
        "reason",
        "reference",
    }
    | {"release", "response", "row", "session", "source", "state", "status", "tag", "tags", "time"}
    | {"timestamp", "token", "tokens", "ttft", "type", "usage", "user", "version"}
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LONGEST_WORD: Final = 64


def plain(column: str) -> str:
    """A column's name without case and punctuation."""
    return "".join(character for character in column.lower() if character.isalnum())


@lru_cache(maxsize=256)
def form_of(columns: tuple[str, ...]) -> Form | None:
    """What a row with these columns is; None where it is none of the forms."""
    there = {plain(column) for column in columns}
    has_ids = not there.isdisjoint(_IDS)
    if has_ids and not there.isdisjoint(NAME) and not there.isdisjoint(_VERDICTS):
        return "one"
    if has_ids and "assessments" in there:
        return "assessments"
    if "scores" in there and (has_ids or "id" in there):
        return "scores"
    if has_ids and "feedbackstats" in there:
        return "feedback"
    if has_ids and any(_EVAL_COLUMN.fullmatch(column) for column in columns):
        return "columns"
    if has_ids and any(plain(each) in _ATTRIBUTES or _is_hint(each) for each in columns):
        return "attributes"
    if there >= _LANGFUSE_OBSERVATION:
        return "observations"
    if there >= _LANGFUSE_TRACE and not has_ids:
        return "traces"
    return "wide" if has_ids and any(_may_be_evaluation(column) for column in columns) else None


@lru_cache(maxsize=1024)
def _may_be_evaluation(column: str) -> bool:
    """True unless a column's name says that it is something else."""
    words = _WORDS.findall(column)
    return (
        plain(column) not in {*_IDS, *_VERDICTS}
        and bool(words)
        and words[-1].lower() not in _OTHERS
    )


def rows_of(row: Row, form: Form) -> Iterator[Row | None]:
    """The rows of one evaluation each that a row holds; None for each part that is none."""
    match form:
        case "assessments":
            yield from _of_list(row, "assessments", _cell(row, TRACE))
        case "scores":
            yield from _of_list(row, "scores", _cell(row, (*TRACE, "id")))
        case "feedback":
            yield from _of_feedback(row)
        case "columns":
            yield from _of_columns(row)
        case "observations":
            ids = {"trace_id": _cell(row, TRACE), "span_id": _cell(row, ("id",))}
            yield from _of_wide(row, ids, any_word=True)
        case "traces":
            yield from _of_wide(row, {"trace_id": _cell(row, ("id",))}, any_word=True)
        case "wide":
            ids = {"trace_id": _cell(row, TRACE), "span_id": _cell(row, SPAN)}
            yield from _of_wide(row, ids, any_word=False)
        case "one" | "attributes":
            yield row


def _cell(row: Row, columns: Sequence[str]) -> Any:
    found = {plain(key): value for key, value in row.items() if not is_missing(value)}
    return next((found[column] for column in columns if column in found), None)


def _of_list(row: Row, column: str, trace: Any) -> Iterator[Row | None]:
    given = _cell(row, (column,))
    found = [] if given is None else nested(given)
    if isinstance(found, dict):
        found = [{"name": name, "value": value} for name, value in found.items()]
    if found is None:
        yield None
        return
    for each in found:
        yield {"trace_id": trace, **_without_missing(each)} if isinstance(each, dict) else None


def _without_missing(row: Row) -> Row:
    return {key: value for key, value in row.items() if not is_missing(value)}


def _of_feedback(row: Row) -> Iterator[Row | None]:
    stats = nested(_cell(row, ("feedbackstats",)))
    if not isinstance(stats, dict):
        return
    ids = {"trace_id": _cell(row, TRACE), "run_id": _cell(row, ("id", "runid"))}
    for name, each in stats.items():
        average = each.get("avg") if isinstance(each, dict) else None
        yield None if average is None else {**ids, "name": name, "score": average}


def _of_columns(row: Row) -> Iterator[Row]:
    found: dict[tuple[bool, str], dict[str, Any]] = {}
    for column, value in row.items():
        match = _EVAL_COLUMN.fullmatch(column)
        if match and not is_missing(value):
            found.setdefault((bool(match[1]), match[2]), {})[match[3]] = value
    trace = _cell(row, TRACE)
    for (is_about_trace, name), fields in found.items():
        span = None if is_about_trace else _cell(row, SPAN)
        yield {"trace_id": trace, "span_id": span, "name": name, **fields}


def _of_wide(row: Row, ids: Row, *, any_word: bool) -> Iterator[Row | None]:
    """A row for each column that may be an evaluation; None where no cell of them is a verdict.

    The time of such a row is that of the trace, not of the evaluation.
    """
    is_empty, has_verdict = True, False
    for column, cell in row.items():
        if is_missing(cell) or not _may_be_evaluation(column):
            continue
        is_empty = False
        found = nested(cell)
        for value in found if isinstance(found, list) else [cell]:
            is_word = any_word and isinstance(value, str) and len(value) <= _LONGEST_WORD
            if is_word or score_of(value) is not None or boolean_of(value) is not None:
                has_verdict = True
                yield {**ids, "name": column, "value": value}
    if not is_empty and not has_verdict:
        yield None


def attributes_of(row: Row) -> dict[str, Any]:
    """The attributes about evaluations that a row has, in columns or nested, by their own names."""
    found: dict[str, Any] = {}
    for column, value in row.items():
        if plain(column) in _ATTRIBUTES:
            _flatten("", nested(value), found)
        elif _is_hint(column):
            _flatten(_bare(column), value if nested(value) is None else nested(value), found)
    return {key: value for key, value in found.items() if not is_missing(value)}


def _is_hint(column: str) -> bool:
    return _bare(column).startswith(HINTS) or f"{_bare(column)}." in HINTS


def _bare(column: str) -> str:
    for prefix in _PREFIXES:
        column = column.removeprefix(prefix)
    return column


def _flatten(key: str, value: Any, found: dict[str, Any], depth: int = 8) -> None:
    """Nested attributes under the names that they have on a span, such as `evaluations.0.evaluation.name`."""
    if not isinstance(value, dict | list):
        if key:
            found[key] = value
        return
    if depth == 0:
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in parts:
        _flatten(f"{key}.{part}" if key else str(part), inner, found, depth - 1)
