"""Evaluations in the forms of other tools."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_otel.analysis.sources.reader import open_sources
from tests.analysis.sources.requests import Request, write

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def read(*sources):
    """The evaluations as dicts, without what is None."""
    with open_sources(sources) as telemetry:
        found = telemetry.evaluations.to_pyarrow().to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in found], [
        str(problem) for problem in telemetry.problems
    ]


def on_span(tmp_path, **attributes):
    """The evaluations on an LLM span with these attributes, without ids and time."""
    path = tmp_path / "traces.jsonl"
    (trace,) = write(
        path, [Request(llm_more={k.replace("__", "."): v for k, v in attributes.items()})]
    )
    found, _ = read(path)
    assert {row.pop("trace_id") for row in found} <= {trace}
    for row in found:
        row.pop("time_ns")
    return found


def test_an_evaluation_s_own_span_without_its_link(tmp_path):
    """Phoenix drops links and scopes: a span `evaluate {name}` is about its parent."""
    path = tmp_path / "traces.jsonl"
    verdict = {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.label": "fail"}
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in verdict.items()]
    times = {"startTimeUnixNano": "1000", "endTimeUnixNano": "1001"}
    below = [
        {"traceId": TRACE, "spanId": f"{number:016x}", "parentSpanId": SPAN, "name": name, **times}
        | {"attributes": attributes}
        for number, name in enumerate(("evaluate tone", "chat m"), 1)
    ]
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": below}]}]}) + "\n")

    found, _ = read(path)

    assert [row["span_id"] for row in found] == [SPAN, f"{2:016x}"]


def test_openinference(tmp_path):
    """`evaluations.<i>.evaluation.*` is about its span, `trace.evaluations…` about the trace."""
    found = on_span(
        tmp_path,
        evaluations__0__evaluation__name="relevance",
        evaluations__0__evaluation__score=0.4,
        evaluations__0__evaluation__explanation="about another order",
        evaluations__1__evaluation__name="tone",
        evaluations__1__evaluation__label="fail",
        trace__evaluations__0__evaluation__name="solved",
        trace__evaluations__0__evaluation__score=1,
    )

    span = found[0].pop("span_id")
    assert found[1].pop("span_id") == span
    assert found == [
        {"name": "relevance", "score": 0.4, "explanation": "about another order"},
        {"name": "tone", "label": "fail"},
        {"name": "solved", "score": 1.0},
    ]


def test_future_agi(tmp_path):
    """`eval.<metric>` beside its reason, and the same in `gen_ai.evaluation.*` once."""
    found = on_span(
        tmp_path,
        eval__groundedness=0.8,
        eval__groundedness__reason="cites the page",
        eval__groundedness__latency_ms=12.0,
        eval__toxicity=0.1,
        eval__evaluator_version="2",
        eval__model="judge",
        gen_ai__evaluation__name="groundedness",
        gen_ai__evaluation__score__value=0.8,
        gen_ai__evaluation__target_span_id=SPAN,
    )

    assert found == [
        {
            "span_id": SPAN,
            "name": "groundedness",
            "score": 0.8,
            "explanation": "cites the page",
        },
        {"span_id": SPAN, "name": "toxicity", "score": 0.1},
    ]


LANGFUSE = f"""id,timestamp,projectId,traceId,observationId,name,value,stringValue,dataType,comment
s1,2026-06-01T10:00:00.000Z,p,{TRACE},{SPAN},faithful,0.25,,NUMERIC,"a, b"
s2,2026-06-01T10:00:01.000Z,p,{TRACE},,verdict,0,fail,CATEGORICAL,
s3,2026-06-01T10:00:02.000Z,p,{TRACE},,correct,1,True,BOOLEAN,
"""


def test_langfuse_scores(tmp_path):
    """A score export: numbers, categories and booleans."""
    path = tmp_path / "scores.csv"
    path.write_text(LANGFUSE)

    found, problems = read(path)

    time = 1_780_308_000_000_000_000
    assert found == [
        {
            "trace_id": TRACE,
            "span_id": SPAN,
            "name": "faithful",
            "score": 0.25,
            "time_ns": time,
            "explanation": "a, b",
        },
        {
            "trace_id": TRACE,
            "name": "verdict",
            "score": 0.0,
            "label": "fail",
            "time_ns": time + 10**9,
        },
        {
            "trace_id": TRACE,
            "name": "correct",
            "score": 1.0,
            "label": "True",
            "passed": True,
            "time_ns": time + 2 * 10**9,
        },
    ]
    assert problems == []


def test_langfuse_api(tmp_path):
    """What the API answers is the same, in `data`."""
    row = {"id": "s", "traceId": TRACE, "name": "correct", "value": 0, "dataType": "BOOLEAN"}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"data": [row], "meta": {"page": 1}}, indent=2))

    (found,), _ = read(path)

    assert (found["trace_id"], found["passed"]) == (TRACE, False)


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        ({"value": True}, {"passed": True}),
        ({"value": 0.5}, {"score": 0.5}),
        ({"value": "no"}, {"label": "no"}),
        ({"value": None, "error": {"error_code": "RateLimited"}}, {"error": "RateLimited"}),
    ],
)
def test_mlflow_assessments(tmp_path, feedback, expected):
    """Assessments by themselves or within their trace."""
    assessment = {
        "assessment_name": "correct",
        "span_id": SPAN,
        "feedback": feedback,
        "rationale": "too long",
    }
    expected = {**expected, "explanation": "too long"}
    alone = tmp_path / "alone.jsonl"
    alone.write_text(json.dumps({"trace_id": f"tr-{TRACE}", **assessment}) + "\n")
    within = tmp_path / "within.jsonl"
    trace = {"info": {"trace_id": f"tr-{TRACE}", "assessments": [assessment]}, "data": {}}
    within.write_text(json.dumps(trace) + "\n")

    found, _ = read(alone, within)

    assert found == [{"trace_id": TRACE, "span_id": SPAN, "name": "correct", **expected}] * 2


def test_rows_of_our_own(tmp_path):
    """CSV with semicolons, JSON lines, a JSON array and Parquet say the same."""
    row = {"trace_id": TRACE, "span_id": SPAN, "name": "ok", "score": 0.5, "passed": False}
    sources = [tmp_path / name for name in ("a.csv", "a.jsonl", "a.json", "a.parquet", "b.parquet")]
    sources[0].write_text(f"trace_id;span_id;name;score;passed\n{TRACE};{SPAN};ok;0.5;False\n")
    sources[1].write_text(json.dumps(row) + "\n")
    sources[2].write_text(json.dumps([row]))
    pq.write_table(pa.Table.from_pylist([row]), sources[3])
    columns = ["traceId", "spanId", "Name", "SCORE", "passed"]
    pq.write_table(pa.Table.from_pylist([row]).rename_columns(columns), sources[4])

    found, problems = read(*sources)

    assert found == [row] * 5
    assert problems == []


def test_rows_that_cannot_be_used(tmp_path):
    """A wrong trace id and a missing name are counted; a NaN score is an error of the evaluator."""
    path = tmp_path / "evals.csv"
    path.write_text(f"trace_id,name,score\nzz,a,1\n{TRACE},,1\n{TRACE},b,NaN\n{TRACE},c,1\n")

    found, problems = read(path)

    assert found == [
        {"trace_id": TRACE, "name": "b", "error": "score is NaN"},
        {"trace_id": TRACE, "name": "c", "score": 1.0},
    ]
    assert problems == [
        f"{path}: a row's trace id is not 32 hex digits",
        f"{path}: a row names no evaluation",
    ]
