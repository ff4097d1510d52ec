"""The query API of a running Jaeger."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest

from keras_otel.analysis.reports import render_json
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.slices.slicing import slice_rows
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.servers.jaeger_api import read_jaeger
from keras_otel.analysis.sources.tables.writer import TableWriter, Window
from tests.analysis.sources.requests import MS, START_NS, many, write
from tests.analysis.sources.test_same_rows import QUESTION, SETTINGS, answer
from tests.go_binaries import build_jaeger
from tests.parts import missing_part

CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 100000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""

WINDOW = Window(since_ns=START_NS - 1000 * MS, until_ns=START_NS + 10**6 * MS)


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(url):
    for _ in range(200):
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Requests, without those that Jaeger cannot show: evaluations in logs only."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, many(60))
    return path


@pytest.fixture(scope="module")
def jaeger(traces, tmp_path_factory):
    """A real Jaeger that holds the traces."""
    binary = build_jaeger()
    if binary is None:
        missing_part("Go is not installed, so Jaeger cannot be built")
    ports = {name: _free_port() for name in ("query", "grpc", "otlp")}
    config = tmp_path_factory.mktemp("jaeger") / "config.yaml"
    config.write_text(CONFIG.format(**ports))
    environment = {**os.environ, "OTEL_TRACES_SAMPLER": "always_off"}
    with subprocess.Popen(
        [binary, "--config", str(config)], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        url = f"http://127.0.0.1:{ports['query']}"
        _wait_for(f"{url}/api/services")
        for line in traces.read_bytes().splitlines():
            if line.startswith(b'{"resourceSpans"'):
                _post(f"http://127.0.0.1:{ports['otlp']}/v1/traces", line)
        yield url
        process.terminate()


def _post(url, body):
    request = HttpRequest(url, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as response:
        assert response.status == 200


def test_the_same_rows(jaeger, traces):
    """Jaeger's answers give the rows that the spans' own file gives."""
    with open_sources([jaeger], window=WINDOW) as telemetry:
        built = build_rows(telemetry, QUESTION)
        rows = built.table.to_pyarrow().to_pylist()
        document = json.loads(render_json(slice_rows(built, SETTINGS)))

    expected, _, whole = answer(traces)
    assert telemetry.problems == ()
    # Jaeger keeps no log records: only the counts of deliveries differ.
    assert {**document, "accounting": None} == {**json.loads(whole), "accounting": None}
    assert sorted(rows, key=lambda r: (r["trace_id"], r["model"], r["eval"])) == expected


@pytest.mark.parametrize("page", [2, 7, 59, 60])
def test_every_trace_is_read_whatever_a_page_holds(jaeger, tmp_path, page):
    """A full answer is asked for again in halves, and each trace is taken once."""
    with TableWriter(Path(tmp_path), "part", WINDOW) as writer:
        read_jaeger(jaeger, writer, WINDOW, page=page)

    assert [str(problem) for problem in writer.problems()] == []
    with open_sources([tmp_path]) as telemetry:
        spans = telemetry.spans
        assert spans.trace_id.nunique().to_pyarrow().as_py() == 60
        assert spans.count().to_pyarrow().as_py() == spans.distinct().count().to_pyarrow().as_py()


def test_bounded_by_time(jaeger):
    """Traces outside of the window are not asked for."""
    window = Window(since_ns=START_NS + 10_000 * MS, until_ns=START_NS + 20_000 * MS)

    with open_sources([jaeger], window=window) as telemetry:
        assert telemetry.spans.trace_id.nunique().to_pyarrow().as_py() == 10
