"""Bad input: one clear line each, what is readable is used, what is not is counted."""

from __future__ import annotations

import contextlib
import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_otel.analysis.ready_file import read_rows
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.row_table import Question
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.errors import SourceError
from tests.analysis.sources.jaeger_download import download
from tests.analysis.sources.requests import Request, Verdict, write


@pytest.fixture
def traces(tmp_path):
    """Ten requests with two inferences' worth of spans each."""
    path = tmp_path / "traces.jsonl"
    write(path, [Request(verdicts=[Verdict(passed=True)])] * 10)
    return path


def read(*sources):
    """Number of spans, number of evaluations, and the problems as text."""
    with open_sources(sources) as telemetry:
        counts = [
            table.count().to_pyarrow().as_py() for table in (telemetry.spans, telemetry.evaluations)
        ]
    return (*counts, [str(problem) for problem in telemetry.problems])


def refusal(*sources):
    """The one line that says why nothing can be read."""
    with pytest.raises(SourceError) as error, open_sources(sources):
        pass
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_last_line_is_cut(traces):
    """The lines before it are used."""
    content = traces.read_bytes()
    traces.write_bytes(content[:-20])

    spans, _, problems = read(traces)

    assert spans == 29
    assert problems == [f"{traces}: the last line is cut off; the lines before it were read"]


@pytest.mark.parametrize("half", [True, False])
def test_a_compressed_file_is_cut(traces, tmp_path, half):
    """What can be unpacked is used, and both faults are said."""
    packed = gzip.compress(traces.read_bytes())
    path = tmp_path / "traces.gz"
    path.write_bytes(packed[: len(packed) // 2] if half else packed[:-4])

    spans, _, problems = read(path)

    assert 0 < spans <= 30
    assert problems[0] == (f"{path}: the gzip file is cut off or damaged; what is whole was read")


def test_broken_lines_are_counted(traces):
    """Lines that are no JSON, and JSON of another kind, are counted by kind."""
    with traces.open("a", encoding="utf-8") as stream:
        stream.write('not json\n{"a": 1}\n[1, 2]\n\n{"b": \n')

    spans, _, problems = read(traces)

    assert spans == 30
    assert problems == [
        f"{traces}: a line is no JSON (2 times)",
        f"{traces}: a line is of no format that is known (2 times)",
    ]


def _span(**changes):
    span = {
        "traceId": "0" * 31 + "1",
        "spanId": "0" * 15 + "1",
        "name": "s",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        **changes,
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"traceId": "W47/95gDgQPSabYzgT/GD"}, "ids are neither hex digits"),
        ({"spanId": ""}, "ids are neither hex digits"),
        ({"traceId": "0" * 32}, "ids are neither hex digits"),
        ({"traceId": "AAAAAAAAAAAAAAAAAAAAAA=="}, "ids are neither hex digits"),
        ({"startTimeUnixNano": "-1"}, "time is out of range"),
        ({"startTimeUnixNano": str(2**70)}, "time is out of range"),
        ({"startTimeUnixNano": "soon"}, "time is no number"),
    ],
)
def test_spans_that_cannot_be_used(tmp_path, changes, problem):
    """Each is counted with its reason; the others are used."""
    path = tmp_path / "spans.jsonl"
    path.write_text(f"{_span(**changes)}\n{_span()}\n")

    spans, _, (message,) = read(path)

    assert spans == 1
    assert problem in message


def test_what_otlp_allows(tmp_path):
    """Unknown keys, numbers as text or not, NaN, half a surrogate pair, and long values."""
    attributes = [
        {"key": "a", "value": {"doubleValue": "NaN"}},
        {"key": "b", "value": {"intValue": 7}},
        {"key": "c", "value": {"stringValue": "\ud83d"}},
        {"key": "d", "value": {"stringValue": "x" * 300}},
        {"key": "e", "value": {"arrayValue": {"values": [{"doubleValue": 1.0}]}}},
        {"key": "f", "value": {}},
        {"key": "b", "value": {"intValue": "8"}},
    ]
    path = tmp_path / "spans.jsonl"
    path.write_text(_span(attributes=attributes, unknown={"deep": [1]}, startTimeUnixNano=1) + "\n")

    with open_sources([path]) as telemetry:
        (span,) = telemetry.spans.to_pyarrow().to_pylist()

    assert dict(span["attributes"]) == {"a": "NaN", "b": "8", "c": "?", "e": "[1]"}
    assert telemetry.problems == ()


def test_a_jaeger_download_is_cut(traces, tmp_path):
    """The traces that are whole are used."""
    text = json.dumps(download(traces), indent=1)
    path = tmp_path / "download.json"
    path.write_text(text[: len(text) // 2])

    spans, _, problems = read(path)

    assert 0 < spans < 30
    assert spans % 3 == 0
    assert problems == [f"{path}: the document is cut off or broken; what is whole was read"]


def test_mixed_formats_in_one_folder(traces, tmp_path):
    """Every file is read as what it is; what is nothing is counted."""
    (tmp_path / "download.json").write_text(json.dumps(download(traces)))
    (tmp_path / "evals.csv").write_text(f"trace_id,name,passed\n{'a' * 32},x,true\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "notes.txt").write_text("nothing of ours\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")

    spans, evaluations, problems = read(tmp_path)

    assert (spans, evaluations) == (60, 21)
    assert [problem.partition(": ")[2].partition(":")[0] for problem in problems] == [
        "the file is empty",
        "is of no known format",
        "has the columns a, b",
    ]


def test_what_is_refused(tmp_path):
    """A single source that cannot be read at all is an error that says how to mend it."""
    text, table, parquet = (tmp_path / name for name in ("a.txt", "a.csv", "a.parquet"))
    text.write_text("nothing of ours\n")
    table.write_text("a,b\n1,2\n")
    parquet.write_bytes(b"PAR1 and no more")
    other = tmp_path / "b.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    (tmp_path / "empty").mkdir()

    os.mkfifo(tmp_path / "pipe")

    assert "does not exist: check the path" in refusal(tmp_path / "none")
    assert "is no file and no folder" in refusal(tmp_path / "pipe")
    assert "a source has no name" in refusal("")
    assert "cannot be opened (File name too long)" in refusal(tmp_path / ("x" * 300))
    assert "is a folder without files" in refusal(tmp_path / "empty")
    assert "is of no known format: OTLP JSON lines" in refusal(text)
    assert "evaluations need trace_id, name" in refusal(table)
    assert "damaged or unfinished Parquet" in refusal(parquet)
    assert "spans need trace_id, span_id" in refusal(other)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_folder_that_may_not_be_opened(tmp_path):
    """One line."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o000)

    assert "cannot be opened (Permission denied)" in refusal(folder)


UNREAD = {
    "broken lines": ('{"resourceSpans"\n{"resourceSpans"\n', "a line is no JSON (2 times)"),
    "no ids": (_span(traceId="x"), "a span's ids are neither hex digits"),
    "other times": (_span(startTimeUnixNano="9" * 20), "a span's time is out of range"),
    "an unknown key": ('{"spans_of_ours": []}', "a line is of no format that is known"),
    "nothing": ("\n\n", "the file is empty"),
    "Zipkin": ('[{"traceId": "1", "id": "2", "duration": 3}]', "this is Zipkin's JSON"),
    "Tempo's search": ('{"traces": [{"rootServiceName": "a"}]}', "download each trace by its id"),
    "the console": ('{"name": "a", "context": {}, "kind": "", "parent_id": 1}', "console exporter"),
    "Jaeger's storage": ('{"traceId": "", "spanId": "", "operationName": ""}', "Jaeger's protobuf"),
    "Datadog": (
        '[[{"trace_id": 1, "span_id": 2, "parent_id": 0, "service": "", "resource": "", "name": ""}]]',
        "this is Datadog's JSON",
    ),
    "X-Ray": ('{"trace_id": "1-a-b", "id": "2", "start_time": 1, "end_time": 2}', "X-Ray segment"),
    "cut messages": ("\0\0\0\x7f{", "a message is cut off"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_the_reason_why_nothing_is_read(tmp_path, case):
    """The one line begins with what the reader met."""
    content, reason = UNREAD[case]
    path = tmp_path / "t.jsonl"
    path.write_text(content)

    message = refusal(path)

    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "so nothing was read: OTLP JSON lines" in message


def test_a_folder_of_other_things(tmp_path):
    """The most frequent reason first, for all files that it holds for."""
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("nothing of ours\n")
    (tmp_path / "z.jsonl").write_text("{\n" * 3)

    message = refusal(tmp_path)

    assert message.startswith(f"{tmp_path / '0.txt'} and 8 more: is of no known format (9 times); ")
    assert "z.jsonl" in message


def test_the_reason_why_no_evaluation_is_found(traces):
    """Where only evaluations are broken, that is said before what would help."""
    content = traces.read_text().replace("gen_ai.evaluation.result", "other")
    traces.write_text(content + '{"resourceLogs": 5}\n')

    with open_sources([traces]) as telemetry, pytest.raises(SourceError) as error:
        build_rows(telemetry, Question())

    assert str(error.value).startswith(
        f"{traces}: resourceLogs is no list; so no evaluation was found"
    )


ATTRIBUTES = pa.array([[("keras.model.name", "intent")]], pa.map_(pa.string(), pa.string()))
OTHER_TYPES = {
    "start_ns": pa.array([1], pa.timestamp("ns")),
    "duration_ns": pa.array(["soon"]),
    "trace_id": pa.array([b"1" * 16]),
    "span_id": pa.array([7]),
    "attributes": pa.array(['{"keras.model.name": "intent"}']),
    "resource": pa.array([{"service.name": "router"}]),
    "name": pa.array([["a"]]),
}


@pytest.mark.parametrize("column", OTHER_TYPES)
def test_columns_of_other_types(tmp_path, column):
    """One line names the column, its type and the type that is needed."""
    path = tmp_path / "spans.parquet"
    columns = {"trace_id": ["1" * 32], "span_id": ["1" * 16], "start_ns": [1], "duration_ns": [1]}
    pq.write_table(pa.table({**columns, column: OTHER_TYPES[column]}), path)

    message = refusal(path)

    assert f"has the column {column} of type " in message
    assert ": it must be " in message


def test_text_where_numbers_are_meant(tmp_path):
    """In a column that a span can do without, what is no number is none."""
    path = tmp_path / "spans.parquet"
    columns = {"trace_id": ["1" * 32], "span_id": ["1" * 16], "start_ns": [1], "duration_ns": [1]}
    given = {"keras.batch.size": ["many"], "keras.prediction.confidence": ["0.5"]}
    pq.write_table(pa.table({**columns, **given, "attributes": ATTRIBUTES}), path)

    with open_sources([path]) as telemetry:
        (span,) = telemetry.spans.to_pyarrow().to_pylist()

    assert (span["keras.batch.size"], span["keras.prediction.confidence"]) == (None, 0.5)
    assert span["keras.model.name"] == "intent"


def test_times_of_evaluations_in_nanoseconds(tmp_path):
    """As pandas writes them to Parquet."""
    path = tmp_path / "evals.parquet"
    time = pa.array([1_780_000_000_000_000_001], pa.timestamp("ns"))
    rows = {"trace_id": ["1" * 32], "name": ["x"], "passed": [True], "time": time}
    pq.write_table(pa.table(rows), path)

    with open_sources([path]) as telemetry:
        (evaluation,) = telemetry.evaluations.to_pyarrow().to_pylist()

    assert evaluation["time_ns"] == 1_780_000_000_000_000_000


def test_names_that_are_patterns(tmp_path):
    """`a*.parquet` is one file, in a folder whose name is a pattern too."""
    folder = tmp_path / "d[1]*"
    folder.mkdir()
    names = [
        "a*.parquet",
        "a?c.parquet",
        "a[b].parquet",
        "a\\*.parquet",
        "abc.parquet",
        "ab.parquet",
    ]
    for number, name in enumerate(names):
        rows = {"trace_id": [f"{number + 1:032x}"], "span_id": ["1" * 16]}
        table = {**rows, "start_ns": [1], "duration_ns": [1], "is_wrong": [number == 0]}
        pq.write_table(pa.table(table), folder / name)
        (folder / name).with_suffix(".csv").write_text(f"trace_id,is_wrong\n{number + 1:032x},1\n")

    for number, name in enumerate(names):
        with open_sources([folder / name]) as telemetry:
            found = telemetry.spans.trace_id.to_pyarrow().to_pylist()
        assert found == [f"{number + 1:032x}"]
        if "\\" not in name:
            for path in (folder / name, (folder / name).with_suffix(".csv")):
                assert read_rows(path).table.count().to_pyarrow().as_py() == 1
    with pytest.raises(SourceError, match="rename it"):
        read_rows(folder / "a\\*.parquet")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "clickhouse://user:secret@127.0.0.1:9/otel"])
def test_an_unreachable_server(url):
    """One line, without the password."""
    if url.startswith("clickhouse"):
        pytest.importorskip("clickhouse_connect")

    message = refusal(url)

    assert "127.0.0.1:9" in message
    assert "secret" not in message


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0), junk=st.binary(max_size=40), at=st.integers(min_value=0))
def test_no_damage_raises(tmp_path_factory, cut, junk, at):
    """However a file is cut and overwritten, it is read as far as it goes or refused."""
    path = tmp_path_factory.mktemp("damaged") / "traces.jsonl"
    write(path, [Request(verdicts=[Verdict(passed=True)])])
    content = path.read_bytes()
    content = content[: cut % (len(content) + 1)]
    at %= len(content) + 1
    path.write_bytes(content[:at] + junk + content[at + len(junk) :])

    with contextlib.suppress(SourceError), open_sources([path]) as telemetry:
        assert telemetry.spans.count().to_pyarrow().as_py() <= 3
