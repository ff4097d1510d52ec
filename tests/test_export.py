"""`export=` fills the providers that nobody has set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from keras_otel.errors import OptionError
from keras_otel.export.providers import fill_providers

SIGNALS = {"resourceSpans", "resourceMetrics", "resourceLogs"}

# Providers are global to a process and can be set once, so each scenario has a process of its own.
IMPORTS = """
import sys
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from keras_otel.export.providers import fill_providers
target = sys.argv[1]
"""

EMIT = """
trace.get_tracer("test").start_span("a span").end()
metrics.get_meter("test").create_counter("a.counter").add(1)
_logs.get_logger("test").emit(_logs.LogRecord(body="a record"))
"""


def run(program: str, target: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the target as its argument."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS + textwrap.dedent(program), str(target)],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def lines(path) -> list[dict[str, object]]:
    """The JSON lines of a file; each must be whole."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_three_signals_are_set_up(tmp_path):
    """Where nothing is set, traces, metrics and logs all get an SDK, flushed at exit."""
    path = tmp_path / "traces.jsonl"

    run(f"assert fill_providers(target) == ('traces', 'metrics', 'logs')\n{EMIT}", f"file:{path}")

    assert {key for line in lines(path) for key in line} == SIGNALS


@pytest.mark.parametrize(
    ("mine", "filled", "missing"),
    [
        ("trace.set_tracer_provider(mine := TracerProvider())", ("metrics", "logs"), "Spans"),
        ("metrics.set_meter_provider(mine := MeterProvider())", ("traces", "logs"), "Metrics"),
        ("_logs.set_logger_provider(mine := LoggerProvider())", ("traces", "metrics"), "Logs"),
    ],
)
def test_a_provider_of_the_user_stays(tmp_path, mine, filled, missing):
    """What the program has set is the same object afterwards; only the rest is set up."""
    path = tmp_path / "traces.jsonl"

    run(
        f"{mine}\n"
        f"assert fill_providers(target) == {filled}\n"
        "assert mine in (trace.get_tracer_provider(), metrics.get_meter_provider(),"
        f" _logs.get_logger_provider())\n{EMIT}",
        f"file:{path}",
    )

    assert {key for line in lines(path) for key in line} == SIGNALS - {f"resource{missing}"}


def test_nothing_is_touched_where_all_is_set(tmp_path):
    """With three providers of the user no file is even opened."""
    path = tmp_path / "traces.jsonl"

    run(
        """
        trace.set_tracer_provider(TracerProvider())
        metrics.set_meter_provider(MeterProvider())
        _logs.set_logger_provider(LoggerProvider())
        assert fill_providers(target) == ()
        """,
        f"file:{path}",
    )

    assert not path.exists()


def test_filling_twice_fills_once(tmp_path):
    """The second call finds what the first has set."""
    path = tmp_path / "traces.jsonl"

    run(f"fill_providers(target)\nassert fill_providers(target) == ()\n{EMIT}", f"file:{path}")

    spans = [line for line in lines(path) if "resourceSpans" in line]
    assert len(spans) == 1


THREADS = """
import threading
fill_providers(target)
tracer, meter = trace.get_tracer("test"), metrics.get_meter("test")
logger, counter = _logs.get_logger("test"), meter.create_counter("a.counter")
start = threading.Barrier(8)

def emit(number):
    start.wait()
    for i in range(200):
        tracer.start_span(f"span {number} {i} " + "x" * 500).end()
        logger.emit(_logs.LogRecord(body=f"record {number} {i} " + "y" * 500))
        counter.add(1)
        if i % 50 == 0:
            trace.get_tracer_provider().force_flush()
            metrics.get_meter_provider().force_flush()
            _logs.get_logger_provider().force_flush()

threads = [threading.Thread(target=emit, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_lines_of_many_threads_are_whole(tmp_path):
    """Three signals from eight threads share the file line by line, and none is lost."""
    path = tmp_path / "traces.jsonl"

    run(THREADS, f"file:{path}", OTEL_BSP_MAX_QUEUE_SIZE="4096", OTEL_BLRP_MAX_QUEUE_SIZE="4096")

    content = lines(path)
    text = path.read_text(encoding="utf-8")
    assert {key for line in content for key in line} == SIGNALS
    assert len(set(re.findall(r"span \d+ \d+ x{500}\"", text))) == 1600
    assert len(set(re.findall(r"record \d+ \d+ y{500}\"", text))) == 1600


@pytest.mark.parametrize("form", ["file:{}", "file://{}"])
def test_a_file_is_appended_to(tmp_path, form):
    """Both ways to write a path reach it, and what is there stays."""
    path = tmp_path / "traces.jsonl"
    path.write_text('{"first": 1}\n')

    run(f"fill_providers(target)\n{EMIT}", form.format(path))

    assert lines(path)[0] == {"first": 1}
    assert len(lines(path)) == 4


@pytest.mark.parametrize("place", ["missing/traces.jsonl", "."])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path, place):
    """A missing folder and a folder in the file's place are told before anything is set up."""
    with pytest.raises(OptionError) as caught:
        fill_providers(f"file:{tmp_path / place}")

    message = str(caught.value)
    assert message.startswith(f"option 'export': {tmp_path / place} cannot be opened for writing")
    assert message.endswith("name a file in a folder that exists and is writable")
    assert "\n" not in message


ENDPOINTS = """
from keras_otel.export import providers
exporters = providers._exporters(target)
for exporter in (exporters.spans, exporters.metrics, exporters.logs):
    print(exporter._endpoint)
    exporter.shutdown()
"""


@pytest.mark.parametrize(
    ("target", "endpoints"),
    [
        (
            "http://localhost:4318",
            [f"http://localhost:4318/v1/{signal}" for signal in ("traces", "metrics", "logs")],
        ),
        (
            "https://host/otlp/",
            [f"https://host/otlp/v1/{signal}" for signal in ("traces", "metrics", "logs")],
        ),
        ("grpc://localhost:4317", ["localhost:4317"] * 3),
        ("grpcs://localhost:4317", ["localhost:4317"] * 3),
    ],
)
def test_each_target_has_its_endpoints(target, endpoints):
    """HTTP has a path for each signal, gRPC one address for all."""
    assert run(ENDPOINTS, target).stdout.split() == endpoints
