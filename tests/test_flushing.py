"""`flush` and `shutdown`: everything recorded leaves, in time, whichever providers there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel import options as options_module
from keras_otel._worker import Worker
from keras_otel.inference import active
from keras_otel.inference.observer import Observer
from keras_otel.options import Options


class Providers:
    """Providers of the user's own that only a flush empties."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.records = InMemoryLogRecordExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(
            BatchSpanProcessor(self.spans, schedule_delay_millis=600_000)
        )
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(
            BatchLogRecordProcessor(self.records, schedule_delay_millis=600_000)
        )
        self.meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)

    def options(self) -> Options:
        return Options(
            tracer_provider=self.tracers,
            logger_provider=self.loggers,
            meter_provider=self.meters,
        )


@pytest.fixture
def observed(monkeypatch):
    """Make these options the ones that the process is instrumented with."""

    def observe(options: Options) -> None:
        monkeypatch.setattr(active, "observer", Observer(options))
        monkeypatch.setattr(options_module, "_in_force", [options])

    return observe


def test_providers_that_were_handed_over_are_flushed(observed):
    """Spans and log records of the user's providers are exported when `flush` returns."""
    own = Providers()
    observed(own.options())
    own.tracers.get_tracer("app").start_span("a span").end()
    own.loggers.get_logger("app").emit(body="a record")
    assert own.spans.get_finished_spans() == ()

    assert keras_otel.flush() is True

    assert [span.name for span in own.spans.get_finished_spans()] == ["a span"]
    assert len(own.records.get_finished_logs()) == 1


def test_the_worker_comes_before_the_providers(observed):
    """A span that a background job makes while `flush` waits is exported too."""
    own = Providers()
    observed(own.options())
    worker = Worker(capacity=4)
    is_waiting = threading.Event()

    def finish() -> None:
        is_waiting.wait(10)
        time.sleep(0.1)
        own.tracers.get_tracer("app").start_span("late").end()

    worker.submit(finish)
    threading.Timer(0.1, is_waiting.set).start()

    assert keras_otel.flush() is True
    assert [span.name for span in own.spans.get_finished_spans()] == ["late"]


class OtherTracers(TracerProvider):
    """A provider of another make; `flush` is what its `force_flush` does."""

    def __init__(self, flush) -> None:
        super().__init__(shutdown_on_exit=False)
        self.force_flush = flush


def raises(_timeout_millis):
    raise RuntimeError("no connection")


@pytest.mark.parametrize(
    ("force_flush", "answer"),
    [
        (lambda timeout_millis: True, True),
        (lambda timeout_millis: None, True),
        (lambda: True, True),
        (lambda **options: True, True),
        (None, True),
        ("not callable", True),
        (lambda timeout_millis: False, False),
        (raises, False),
        (lambda timeout_millis: time.sleep(5), False),
    ],
)
def test_whatever_a_provider_does_flush_answers(observed, force_flush, answer):
    """No provider makes `flush` raise or wait longer than it was told to."""
    observed(Options(tracer_provider=OtherTracers(force_flush)))
    start_s = time.monotonic()

    assert keras_otel.flush(timeout_s=1.0) is answer
    assert time.monotonic() - start_s < 4


@pytest.mark.parametrize("end", [keras_otel.flush, keras_otel.shutdown])
@pytest.mark.parametrize("timeout_s", [None, "5", float("nan")])
def test_a_time_that_is_none(end, timeout_s):
    """What is no number of seconds is refused in one line, before anything is waited for."""
    with pytest.raises(TypeError, match="timeout_s must be a number of seconds"):
        end(timeout_s=timeout_s)


def test_as_long_as_it_takes(observed):
    """Without an end of the wait everything is sent, as with any other time."""
    own = Providers()
    observed(own.options())
    own.tracers.get_tracer("app").start_span("a span").end()
    assert keras_otel.flush(timeout_s=float("inf")) is True
    assert len(own.spans.get_finished_spans()) == 1


def test_flush_without_anything():
    """Where nothing is instrumented and no SDK is set up there is nothing to send."""
    assert subprocess.run(
        [sys.executable, "-c", "import keras_otel; assert keras_otel.flush() is True"],
        check=True,
        timeout=60,
    )


def run(program: str, target: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, since `export=` sets up the process's providers."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS + textwrap.dedent(program), str(target)],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


IMPORTS = """
import os, signal, sys
signals = signal.signal, signal.getsignal, signal.getsignal(signal.SIGTERM)
from opentelemetry import _logs, metrics, trace
import keras_otel
keras_otel.instrument(export=sys.argv[1])
def record(name):
    trace.get_tracer("app").start_span(name).end()
    _logs.get_logger("app").emit(body=name)
    metrics.get_meter("app").create_counter("a.counter").add(1)
"""


def kinds(path) -> list[str]:
    """The signals of a file's lines."""
    return [
        key for line in path.read_text(encoding="utf-8").splitlines() for key in json.loads(line)
    ]


def test_flush_sends_what_export_set_up(tmp_path):
    """After `flush` all three signals are in the file, though the process goes on."""
    path = tmp_path / "traces.jsonl"

    run(
        """
        record("a span")
        assert keras_otel.flush() is True
        os._exit(0)
        """,
        f"file:{path}",
    )

    assert kinds(path) == ["resourceSpans", "resourceLogs", "resourceMetrics"]


def test_shutdown_ends_it(tmp_path):
    """After `shutdown` nothing more is sent, and the signal's handling is the program's again."""
    path = tmp_path / "traces.jsonl"

    ended = run(
        """
        assert signal.getsignal(signal.SIGTERM) == signals[2]
        record("before")
        assert keras_otel.shutdown() is True
        assert (signal.signal, signal.getsignal, signal.getsignal(signal.SIGTERM)) == signals
        trace.get_tracer("app").start_span("after").end()
        assert keras_otel.shutdown() is True
        """,
        f"file:{path}",
    )

    assert ended.stderr == ""
    assert kinds(path) == ["resourceSpans", "resourceLogs", "resourceMetrics"]
    assert "after" not in path.read_text(encoding="utf-8")


def test_a_provider_that_the_program_shut_down_is_left_alone(tmp_path):
    """The program's own shutdown is the only one, and neither side complains."""
    path = tmp_path / "traces.jsonl"

    ended = run(
        """
        record("a span")
        for provider in (
            trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()
        ):
            provider.shutdown()
        """,
        f"file:{path}",
    )

    assert ended.stderr == ""
    assert sorted(kinds(path)) == ["resourceLogs", "resourceMetrics", "resourceSpans"]


@pytest.mark.parametrize("end", ["", "assert keras_otel.shutdown() is False"])
def test_losses_are_said_in_one_line(end):
    """An endpoint that refuses is asked for a few seconds, and one line counts what is lost."""
    start_s = time.monotonic()

    ended = run(
        f"""
        import logging
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        for i in range(40): record("a span")
        {end}
        """,
        "http://user:secret@127.0.0.1:9",
    )

    assert time.monotonic() - start_s < 12
    (line,) = ended.stderr.splitlines()
    assert line.startswith(
        "keras_otel: not sent to http://127.0.0.1:9 before the end: "
        "40 of 40 spans, 40 of 40 log records, the last metrics ("
    )


def test_a_full_queue_is_a_loss(tmp_path):
    """Spans that the SDK's queue dropped count, though the endpoint is well."""
    ended = run(
        """
        import threading
        held = threading.Lock()
        processor, *_ = trace.get_tracer_provider()._active_span_processor._span_processors
        export = processor.span_exporter.export
        def slow(batch):
            with held:
                return export(batch)
        processor.span_exporter.export = slow
        with held:
            for i in range(100): record("a span")
        """,
        f"file:{tmp_path}/t",
        OTEL_BSP_MAX_QUEUE_SIZE="10",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10",
    )

    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("keras_otel")]
    lost = int(line.partition("before the end: ")[2].partition(" of 100 spans (")[0])
    assert 80 <= lost <= 90


def test_a_flush_that_fails_says_so():
    """Where the endpoint refuses, `flush` answers False."""
    ended = run(
        """
        record("a span")
        assert keras_otel.flush(timeout_s=20.0) is False
        os._exit(0)
        """,
        "http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )

    assert ended.returncode == 0
