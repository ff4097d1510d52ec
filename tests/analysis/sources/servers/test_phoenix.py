"""Phoenix's API, by what Phoenix 20.26 answered when it held known requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.row_table import Question
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.servers.phoenix import read_phoenix
from keras_otel.analysis.sources.tables.writer import TableWriter, Window
from keras_otel.errors import SourceError
from tests.analysis.sources.requests import START_NS, many, write
from tests.analysis.sources.test_same_rows import QUESTION

# Recorded with pages of 10: `many(8)` sent over OTLP, and four annotations named `helpful`.
ANSWERS = json.loads(Path(__file__).with_name("phoenix_answers.json").read_text(encoding="utf-8"))
PAGE = 10
ASKED: list[str] = []


@pytest.fixture
def phoenix() -> Iterator[str]:
    """A server that answers as Phoenix did, and with 404 to anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ASKED.append(self.path)
            answer = ANSWERS.get(self.path)
            body = b"not found" if answer is None else json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"phoenix+http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def rows_of(*sources: object, question: Question) -> list[dict]:
    """The rows of sources, without what Phoenix does not keep: the tracestate."""
    with open_sources(sources) as telemetry:
        rows = build_rows(telemetry, question).table.to_pyarrow().to_pylist()
    unweighted = [{key: value for key, value in row.items() if key != "weight"} for row in rows]
    return sorted(unweighted, key=lambda row: (row["trace_id"], row["model"], row["eval"]))


@pytest.fixture
def read(phoenix, tmp_path) -> Path:
    """A folder with what was read in pages of ten."""
    folder = tmp_path / "read"
    folder.mkdir()
    with TableWriter(folder, "part", Window()) as writer:
        read_phoenix(phoenix, writer, Window(), page=PAGE)
    assert list(writer.problems()) == []
    return folder


def test_the_same_rows(read, tmp_path):
    """Spans with their evaluations, over three pages, are those that were sent."""
    path = tmp_path / "traces.jsonl"
    write(path, many(8))
    question = Question(rules=QUESTION.rules)
    found = [row for row in rows_of(read, question=question) if row["eval"] != "helpful"]

    assert found == rows_of(path, question=question)


def test_annotations(read):
    """Annotations are evaluations of their spans."""
    question = Question(evals=("helpful",))
    failed = [
        row["failed"] for row in rows_of(read, question=question) if row["failed"] is not None
    ]

    assert sorted(failed) == [False, False, True, True]


def test_by_its_address(phoenix, monkeypatch):
    """The command line's sources take the address, with a project or without."""
    monkeypatch.setattr(read_phoenix, "__defaults__", (PAGE,))
    for address in (phoenix, f"{phoenix}/default"):
        with open_sources([address]) as telemetry:
            assert telemetry.problems == ()
            assert telemetry.spans.trace_id.nunique().to_pyarrow().as_py() == 8


def test_since(phoenix, tmp_path):
    """The start of the time asked for is part of what is asked."""
    with (
        pytest.raises(SourceError, match=r"answers 404 to /v1/projects"),
        TableWriter(tmp_path, "part", Window()) as writer,
    ):
        read_phoenix(f"{phoenix}/default", writer, Window(since_ns=START_NS), page=PAGE)
    assert "start_time=2026-05-28T20%3A26%3A40%2B00%3A00" in ASKED[-1]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("phoenix+http://127.0.0.1:9", "cannot be reached"),
        ("{phoenix}/nowhere", "is it Phoenix with that project"),
    ],
)
def test_bad_addresses(phoenix, address, message):
    """One line says what is wrong with the address."""
    with (
        pytest.raises(SourceError, match=message) as caught,
        open_sources([address.format(phoenix=phoenix)]),
    ):
        pass
    assert "\n" not in str(caught.value)
