"""The same verdicts in every form that tools write them in, and odd rows among them."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_otel.analysis.sources.reader import open_sources
from keras_otel.errors import SourceError
from tests.analysis.sources.requests import Request, write

SCORES = (0.25, 0.5, 0.0, 1.0, 0.875, 0.001)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """A file of traces, and what is to be said of them: trace, answered span, score."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, [Request(verdicts=[])] * len(SCORES))
    with open_sources([path]) as telemetry:
        spans = telemetry.spans.to_pyarrow().to_pylist()
    chats = sorted(
        (span["trace_id"], span["span_id"]) for span in spans if span["name"].startswith("chat")
    )
    assert len(chats) == len(SCORES)
    return path, [(*ids, score) for ids, score in zip(chats, SCORES, strict=True)]


def table(columns, rows, delimiter=",", head="", comma=False):
    """CSV as spreadsheets write it."""
    out = io.StringIO()
    out.write(head)
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [str(c).replace(".", ",") if comma and isinstance(c, float) else c for c in row]
        )
    return out.getvalue().encode()


def lines(objects):
    return "\n".join(json.dumps(each) for each in objects).encode()


def page(objects):
    return json.dumps({"data": list(objects), "meta": {"page": 1}}, indent=1).encode()


def parquet(rows):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


OURS = ["trace_id", "span_id", "name", "score"]


def ours(facts):
    return [(t, s, "faith", score) for t, s, score in facts]


def uuid(trace):
    return f"{trace[:8]}-{trace[8:12]}-{trace[12:16]}-{trace[16:20]}-{trace[20:]}"


# Langfuse: langfuse.com/docs/api (scores v2 and v3, traces), and its batch export's own code.
def langfuse(t, s, score):
    ids = {"traceId": t, "observationId": s, "sessionId": None}
    return {**ids, "name": "faith", "value": score, "stringValue": None, "dataType": "NUMERIC"}


def langfuse_v3(t, s, score):
    subject = {"kind": "observation", "traceId": t, "id": s}
    return {"id": "s", "subject": subject, "name": "faith", "value": score, "dataType": "NUMERIC"}


def langfuse_trace(t, s, score):
    base = {"id": t, "timestamp": "2026-11-26T12:00:00.000Z", "name": "POST /chat", "latency": 3.5}
    return {**base, "scores": [langfuse(t, s, score)]}


LANGFUSE_UI = ["id", "timestamp", "name", "userId", "tags", "latency", "totalCost", "faith"]


def langfuse_ui(t, score):
    return [t, "2026-11-26T12:00:00.000Z", "POST /chat", "u1", "[]", 3.5, 0.01, score]


# MLflow: mlflow.org/docs, search_traces and Assessment.to_dictionary.
def mlflow(t, s, score):
    value = {"feedback": {"value": score}, "rationale": None, "valid": True}
    return {"assessment_name": "faith", "trace_id": f"tr-{t}", "span_id": s, **value}


# Phoenix: arize.com/docs/phoenix, get_span_annotations_dataframe and the REST API.
def phoenix_annotation(s, score):
    result = {"label": None, "score": score, "explanation": "why"}
    return {"id": "a", "span_id": s, "name": "faith", "annotator_kind": "LLM", "result": result}


# OpenInference: the conventions' `evaluations.<i>`, in the spans that Phoenix exports.
def openinference(t, s, score):
    attributes = {
        "llm.model_name": "m",
        "evaluations.0.evaluation.name": "faith",
        "evaluations.0.evaluation.score": score,
    }
    context = {"trace_id": t, "span_id": s}
    return {"name": "chat", "context": context, "span_kind": "LLM", "attributes": attributes}


# LangSmith: docs.langchain.com/langsmith/feedback-data-format; ids as its OpenTelemetry exporter makes them.
def langsmith(t, s, score):
    ids = {"run_id": uuid(s + "9" * 16), "trace_id": uuid(t), "session_id": None}
    return {"id": "f", **ids, "key": "faith", "score": score, "value": None, "comment": "c"}


FORMS = {
    "CSV": lambda f: table(OURS, ours(f)),
    "CSV with a byte order mark and CRLF": lambda f: b"\xef\xbb\xbf" + table(OURS, ours(f), ";"),
    "CSV with ids in capitals and tabs": lambda f: table(
        OURS, [(t.upper(), s.upper(), *rest) for t, s, *rest in ours(f)], "\t"
    ),
    "Excel's decimal comma": lambda f: table(OURS, ours(f), ";", comma=True),
    "a quoted decimal comma between commas": lambda f: table(OURS, ours(f), comma=True),
    "Excel's first line sep=": lambda f: table(OURS, ours(f), ";", head="sep=;\r\n"),
    "Excel's Unicode text, UTF-16": lambda f: table(OURS, ours(f), "\t").decode().encode("utf-16"),
    "UTF-16, big-endian": lambda f: b"\xfe\xff" + table(OURS, ours(f)).decode().encode("utf-16-be"),
    "Windows-1252": lambda f: (
        table([*OURS, "Begründung"], [(*row, "für") for row in ours(f)], ";", comma=True)
        .decode()
        .encode("cp1252")
    ),
    "blank first lines": lambda f: b"\n\r\n" + table(OURS, ours(f)),
    "percentages": lambda f: table(OURS, [(*r[:3], f"{r[3] * 100:g}%") for r in ours(f)]),
    "percentages with a decimal comma": lambda f: table(
        OURS, [(*r[:3], f"{r[3] * 100:g} %".replace(".", ",")) for r in ours(f)], ";"
    ),
    "comments over several lines": lambda f: table(
        [*OURS, "comment"], [(*row, 'a "word",\n\nand more') for row in ours(f)]
    ),
    "JSON lines": lambda f: lines(dict(zip(OURS, row, strict=True)) for row in ours(f)),
    "a JSON array": lambda f: json.dumps(
        [dict(zip(OURS, r, strict=True)) for r in ours(f)]
    ).encode(),
    "Parquet": lambda f: parquet([dict(zip(OURS, row, strict=True)) for row in ours(f)]),
    "Parquet with binary ids": lambda f: parquet(
        [
            {"trace_id": bytes.fromhex(t), "span_id": bytes.fromhex(s), "name": n, "score": score}
            for t, s, n, score in ours(f)
        ]
    ),
    "Langfuse's scores": lambda f: page(langfuse(*each) for each in f),
    "Langfuse's scores, CSV": lambda f: table(
        list(langfuse(*f[0])), [list(langfuse(*each).values()) for each in f]
    ),
    "Langfuse's scores, v3": lambda f: page(langfuse_v3(*each) for each in f),
    "Langfuse's traces": lambda f: lines(langfuse_trace(*each) for each in f),
    "MLflow's assessments": lambda f: lines(mlflow(*each) for each in f),
    "MLflow's search_traces": lambda f: lines(
        {"trace_id": f"tr-{each[0]}", "state": "OK", "assessments": [mlflow(*each)]} for each in f
    ),
    "MLflow's traces": lambda f: lines(
        {"info": {"trace_id": f"tr-{e[0]}", "assessments": [mlflow(*e)]}, "data": {}} for e in f
    ),
    "MLflow's assessments as JSON in CSV": lambda f: table(
        ["trace_id", "state", "assessments"],
        [(f"tr-{each[0]}", "OK", json.dumps([mlflow(*each)])) for each in f],
    ),
    "MLflow's assessments as pandas writes them": lambda f: table(
        ["trace_id", "state", "assessments"],
        [(f"tr-{each[0]}", "OK", str([mlflow(*each)])) for each in f],
    ),
    "Phoenix's annotations": lambda f: page(phoenix_annotation(*each[1:]) for each in f),
    "Phoenix's annotations frame": lambda f: table(
        ["span_id", "annotation_name", "annotator_kind", "result.score", "result.label"],
        [(s, "faith", "LLM", score, "") for _, s, score in f],
    ),
    "Phoenix's evals frame": lambda f: table(
        ["context.span_id", "context.trace_id", "name", "score", "label"],
        [(s, t, "faith", score, "") for t, s, score in f],
    ),
    "LangSmith's feedback": lambda f: lines(langsmith(*each) for each in f),
    "LangSmith's feedback by the run alone": lambda f: lines(
        {k: v for k, v in langsmith(*each).items() if k != "trace_id"} for each in f
    ),
    "LangSmith's runs": lambda f: lines(
        {
            "id": uuid("0" * 16 + s),
            "trace_id": uuid(t),
            "start_time": "2026-11-26T12:00:00",
            "end_time": "2026-11-26T12:00:01",
            "feedback_stats": {"faith": {"n": 1, "avg": score}},
        }
        for t, s, score in f
    ),
    "OpenInference's spans": lambda f: lines(openinference(*each) for each in f),
    "OpenInference's spans, nested, as a frame": lambda f: table(
        ["name", "context.trace_id", "context.span_id", "attributes.evaluations"],
        [
            ("chat", t, s, json.dumps([{"evaluation": {"name": "faith", "score": score}}]))
            for t, s, score in f
        ],
    ),
    "Arize's spans": lambda f: table(
        [
            "context.trace_id",
            "context.span_id",
            "name",
            "eval.faith.score",
            "eval.faith.explanation",
        ],
        [(t, s, "chat", score, "why") for t, s, score in f],
    ),
    # FutureAGI: docs.futureagi.com, attributes of evaluated spans.
    "FutureAGI's spans": lambda f: table(
        ["trace_id", "span_id", "name", "eval.faith", "eval.faith.reason"],
        [(t, s, "chat", score, "why") for t, s, score in f],
    ),
}

OF_TRACES = {
    "Langfuse's traces, CSV of its page": lambda f: table(
        LANGFUSE_UI, [langfuse_ui(t, score) for t, _, score in f]
    ),
    "the same, with lists": lambda f: table(
        LANGFUSE_UI, [langfuse_ui(t, f"[{score}]") for t, _, score in f]
    ),
    "Langfuse's traces, JSON of its page": lambda f: json.dumps(
        [dict(zip(LANGFUSE_UI, langfuse_ui(t, [score]), strict=True)) for t, _, score in f]
    ).encode(),
    "a column for each evaluation": lambda f: table(
        ["trace_id", "question", "latency_ms", "faith"],
        [(t, "why?", 12, score) for t, _, score in f],
    ),
    "Arize's evaluations of traces": lambda f: table(
        ["context.trace_id", "context.span_id", "trace_eval.faith.score"],
        list(f),
    ),
}


def read(traces, tmp_path, content):
    """The evaluations of a file as dicts without what is None, and what could not be read."""
    path = tmp_path / "evals"
    path.write_bytes(content)
    with open_sources([traces, path]) as telemetry:
        found = telemetry.evaluations.to_pyarrow().to_pylist()
    evaluations = [{key: value for key, value in row.items() if value is not None} for row in found]
    return evaluations, [
        (problem.message, problem.count)
        for problem in telemetry.problems
        if problem.source != str(traces)
    ]


@pytest.mark.parametrize("form", [*FORMS, *OF_TRACES])
def test_the_same_verdicts(traces, tmp_path, form):
    """Whatever the form, the traces, spans and scores are the same, and nothing is left out."""
    path, facts = traces
    write_form = FORMS.get(form) or OF_TRACES[form]

    found, problems = read(path, tmp_path, write_form(facts))

    spans = [None if form in OF_TRACES else span for _, span, _ in facts]
    expected = [(t, s, "faith", score) for (t, _, score), s in zip(facts, spans, strict=True)]
    assert sorted(
        [(e["trace_id"], e.get("span_id"), e["name"], pytest.approx(e["score"])) for e in found]
    ) == sorted(expected)
    assert problems == []
    assert not any("error" in evaluation or "label" in evaluation for evaluation in found)


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = {"trace_id": TRACE, "name": "ok", "score": 0.5}
UNNUMBERED = "a row's score is no number, or may be one of two"
TYPES = "a row holds values of the wrong types"
FORMAT = "a line is of no format that is known"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**GOOD, "trace_id": "nope"}, "a row's trace id is not 32 hex digits"),
        ({**GOOD, "trace_id": 5}, "a row's trace id is not 32 hex digits"),
        ({**GOOD, "trace_id": None}, "a row has neither the id of a trace nor of a span"),
        ({**GOOD, "name": None}, "a row names no evaluation"),
        ({**GOOD, "name": ["a"]}, "a row's name of the evaluation is no text"),
        ({**GOOD, "score": [1, 2]}, UNNUMBERED),
        ({**GOOD, "score": {"a": {"b": 1}}}, UNNUMBERED),
        ({**GOOD, "score": "1,000"}, UNNUMBERED),
        ({"trace_id": TRACE, "name": "ok", "passed": "maybe"}, UNNUMBERED),
        ({**GOOD, "valid": False}, "an assessment was replaced by a later one"),
        ({"trace_id": TRACE, "scores": ["id1"]}, "a row holds something that is no evaluation"),
        ({"trace_id": TRACE, "assessments": "[{"}, "a row holds something that is no evaluation"),
        (
            {"subject": {"kind": "session", "id": "s1"}, "name": "ok", "value": 1},
            "a score of sessions is of no trace",
        ),
        ({"trace_id": TRACE, "assessment_name": "ok", "expectation": {"value": 1}}, "an expectation is no evaluation"),
        ({"trace_id": TRACE, "level": "info", "duration": 5}, FORMAT),
        ({"span_id": SPAN, "name": "ok", "score": 1}, "the span of an evaluation is in no trace that was read, or in several"),
    ],
)  # fmt: skip
def test_rows_that_are_counted(traces, tmp_path, row, reason):
    """Each row that cannot be read has its reason, and the others are read."""
    found, problems = read(traces[0], tmp_path, lines([GOOD, row, GOOD]))

    assert found == [GOOD, GOOD]
    assert problems == [(reason, 1)]


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"score": "NaN"}, {"error": "score is NaN"}),
        ({"score": 1e308}, {"score": 1e308}),
        ({"score": 10**400}, {"score": float("inf")}),
        ({"score": "none", "passed": "WAHR"}, {"passed": True}),
        ({"score": None, "passed": 0.0}, {"passed": False}),
        ({"score": None, "label": "none"}, {"label": "none"}),
        ({"score": None, "label": 5}, {"label": "5"}),
        ({"label": ["a"] * 3}, {"score": 0.5}),
        ({"name": 5}, {"name": "5", "score": 0.5}),
        ({"name": "a\0b"}, {"name": "a\0b", "score": 0.5}),
        ({"name": "\ud800"}, {"name": "?", "score": 0.5}),
        ({"time": "inf"}, {"score": 0.5}),
        ({"time": 1e308}, {"score": 0.5}),
        ({"time": {"a": 1}}, {"score": 0.5}),
        ({"time": "9999-99-99"}, {"score": 0.5}),
        ({"keras.upstream.intent.class": 5}, {"score": 0.5, "upstream": [("keras.upstream.intent.class", "5")]}),
        ({"input": {"deep": {"er": [1] * 9}}}, {"score": 0.5}),
    ],
)  # fmt: skip
def test_odd_values(traces, tmp_path, more, fields):
    """What is odd about a value costs neither the row, where the verdict is clear, nor the others."""
    found, problems = read(traces[0], tmp_path, lines([GOOD, {**GOOD, **more}, GOOD]))

    expected = {"trace_id": TRACE, "name": "ok"} | fields
    assert sorted(found, key=str) == sorted([GOOD, expected, GOOD], key=str)
    assert problems == []


MORE_CELLS = "a row has a stray quote, or not as many cells as the line of names"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{TRACE},ok,0,5", MORE_CELLS),
        (f"{TRACE},ok", MORE_CELLS),
        (f'{TRACE},ok,"0.5', MORE_CELLS),
        (f'"{TRACE},ok,0.5', MORE_CELLS),
        ("\0\0,\0,\0", "a row's trace id is not 32 hex digits"),
        ("x" * 200_000, MORE_CELLS),
        (f"{TRACE},ok,{'[' * 5000}", UNNUMBERED),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_odd_lines_of_csv(traces, tmp_path, line, reason, place):
    """A row with a stray quote or an unquoted comma is counted, and costs none of those around it."""
    rows = [f"{TRACE},ok,0.5"] * 3
    rows.insert(place, line)

    found, problems = read(traces[0], tmp_path, "\n".join(["trace_id,name,score", *rows]).encode())

    assert found == [GOOD] * 3
    assert problems == [(reason, 1)]


@pytest.mark.parametrize(
    "columns",
    [
        ["trace_id", "score"],
        ["span_id", "label", "explanation"],
        ["a", "b"],
        ["trace_id", "latency_ms"],
    ],
)
def test_columns_without_evaluations(traces, tmp_path, columns):
    """A table that names no evaluation is refused in one line with its columns."""
    with pytest.raises(
        SourceError, match=f"has the columns {', '.join(columns)}: evaluations need"
    ):
        read(traces[0], tmp_path, table(columns, [[1] * len(columns)]))
