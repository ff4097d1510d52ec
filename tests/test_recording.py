"""When an inference becomes a span: in the background, at once, or when somebody needs it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel import _worker
from keras_otel._guard import failure_counts
from keras_otel._worker import worker
from keras_otel.introspection.arrays import MAX_COPIED_BYTES
from keras_otel.metrics import dropped_counts

CLASS = "keras.prediction.class"
LABELS = ["a", "b", "c"]
TENANT: ContextVar[str] = ContextVar("tenant")


class Recorded:
    """A process whose spans are exported in batches, and what has arrived."""

    def __init__(self, record: str = "background", **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        # Before ours, as where a program sets its provider up first.
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.model = keras_otel.describe(
            keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")]),
            name="intent",
            version="1",
            labels=LABELS,
        )
        keras_otel.instrument(
            tracer_provider=self.provider, meter_provider=self.meters, record=record, **options
        )

    def answer(self, index: int = 0, rows: int = 1) -> Any:
        """What a function around the model returns: numpy, and the program's own to change."""
        scores = np.full((rows, 3), 0.05, "float32")
        scores[:, index] = 0.9
        return keras_otel.traced(lambda: scores, self.model)()

    def classes(self) -> list[Any]:
        """The classes of the inference spans that have arrived."""
        return [
            span.attributes[CLASS]
            for span in self.exporter.get_finished_spans()
            if span.instrumentation_scope.name == "keras_otel"
        ]


@pytest.fixture
def recorded() -> Iterator[Callable[..., Recorded]]:
    """Instrument the process; nothing may have failed behind the guard."""
    keras_otel.uninstrument()
    before = failure_counts()
    made: list[Recorded] = []

    def record(*arguments: Any, **options: Any) -> Recorded:
        made.append(Recorded(*arguments, **options))
        return made[-1]

    yield record
    keras_otel.uninstrument()
    for each in made:
        each.provider.shutdown()
        each.meters.shutdown()
    assert failure_counts() == before


def held(run: Callable[[], object]) -> None:
    """Run something while the worker is kept from working."""
    assert worker.hold(60)
    try:
        run()
    finally:
        worker.release()


def test_a_call_returns_before_it_is_recorded(recorded):
    """The caller pays for noting it; the worker makes the span."""
    process = recorded()
    held(process.answer)
    assert keras_otel.flush(60)

    assert process.classes() == ["a"]


def test_inline_is_done_when_the_call_returns(recorded):
    """Nothing is left to the worker."""
    process = recorded("inline")
    held(process.answer)
    assert not worker._jobs
    process.provider.force_flush()

    assert process.classes() == ["a"]


@pytest.mark.parametrize(("processor", "is_inline"), [(SimpleSpanProcessor, True), (None, False)])
def test_auto_is_inline_where_spans_are_exported_at_once(recorded, processor, is_inline):
    """Also where the processor was added later."""
    process = recorded("auto")
    process.answer()
    worker.flush(60)
    simple = InMemorySpanExporter()
    if processor is not None:
        process.provider.add_span_processor(processor(simple))

    def look() -> None:
        process.answer()
        names = [span.name for span in simple.get_finished_spans()]
        assert names == (["traced intent"] if is_inline else [])

    held(look)


@pytest.mark.parametrize("rows", [1, MAX_COPIED_BYTES // 12 + 1])
def test_what_the_program_changes_after_the_call(recorded, rows):
    """An array is recorded as the call returned it, large or small."""
    process = recorded()

    def change() -> None:
        scores = process.answer(1, rows)
        scores[:] = [0.0, 0.0, 1.0]

    held(change)
    keras_otel.flush(60)
    (span,) = process.exporter.get_finished_spans()

    if rows == 1:
        assert span.attributes[CLASS] == "b"
    else:
        assert span.attributes["keras.batch.confidence_mean"] == pytest.approx(0.9)


def test_what_is_described_after_the_call(recorded):
    """A call is read as the model was described when it was made."""
    process = recorded()

    def describe() -> None:
        process.answer(1)
        keras_otel.describe(process.model, labels=["x", "y", "z"])

    held(describe)
    process.answer(1)
    keras_otel.flush(60)

    assert process.classes() == ["b", "y"]


@pytest.mark.parametrize("end", ["force_flush", "shutdown"])
def test_the_provider_s_own_flush_has_everything(recorded, end):
    """Whatever the order of its processors: the one that exports was there first."""
    process = recorded()
    for index in range(3):
        process.answer(index)
    getattr(process.provider, end)()

    assert process.classes() == LABELS


def test_a_reader_of_metrics_has_everything(recorded):
    """Metrics that are collected right after a call have it."""
    process = recorded()
    process.answer()
    data = process.reader.get_metrics_data()
    counts = {
        metric.name: metric.data.data_points[0]
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }

    assert counts["keras.inference.duration"].count == 1
    assert counts["keras.predictions"].value == 1


def test_a_later_span_has_the_label_from_its_start(recorded):
    """It records the inference itself, once, and the worker finds nothing to do."""
    process = recorded()
    tracer = process.provider.get_tracer("app")

    def request() -> None:
        with tracer.start_as_current_span("request"):
            process.answer(2)
            span = tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"})
            assert span.attributes["keras.upstream.intent.class"] == "c"
            span.end()
            assert [p.class_name for p in keras_otel.current_predictions()] == ["c"]

    held(request)
    keras_otel.flush(60)

    assert process.classes() == ["c"]


def test_the_second_prediction_of_a_request_is_compared_with_the_first(recorded):
    """The same class twice is not ambiguous, wherever the worker stands."""
    process = recorded()
    tracer = process.provider.get_tracer("app")

    def request() -> None:
        with tracer.start_as_current_span("request"):
            for index in (1, 1):
                process.answer(index)
            span = tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"})
            assert span.attributes["keras.upstream.intent.class"] == "b"
            span.end()

    held(request)


def test_a_full_queue_loses_nothing(recorded, monkeypatch):
    """Who finds no place in it records the inference itself."""
    monkeypatch.setattr(worker, "_capacity", 2)
    process = recorded()

    def many() -> None:
        for index in (0, 1, 2, 0, 1):
            process.answer(index)

    before = dropped_counts()
    held(many)
    keras_otel.flush(60)

    assert sorted(process.classes()) == ["a", "a", "b", "b", "c"]
    assert dropped_counts() == before


def test_the_hook_runs_in_the_worker_and_in_the_request(recorded):
    """`on_prediction` sees the call's context variables; its own inferences are not observed."""
    seen: list[Any] = []

    def hook(span: Any, inference: Any) -> None:
        process.answer(0)
        seen.append((threading.current_thread().name, trace.get_current_span(), TENANT.get()))

    process = recorded(on_prediction=hook)
    with process.provider.get_tracer("app").start_as_current_span("request") as request:
        TENANT.set("a tenant")
        process.answer(1)
        TENANT.set("another one")
        assert keras_otel.flush(60)

    assert seen == [("keras_otel", request, "a tenant")]
    assert process.classes() == ["b"]


def test_two_hooks_that_need_each_other_s_prediction(recorded):
    """Two threads that record and wait for one another give up after a moment."""
    process = recorded(on_prediction=lambda *_: keras_otel.current_predictions())
    tracer = process.provider.get_tracer("app")
    with tracer.start_as_current_span("request"):
        process.answer(0)
        process.answer(1)
    assert keras_otel.flush(60)

    assert sorted(process.classes()) == ["a", "b"]


def test_a_seeded_program_draws_what_it_drew(recorded):
    """Ids are drawn by keras_otel alone: the worker never touches Python's generator."""
    process = recorded()
    random.seed(3)
    expected = [random.random() for _ in range(3)]
    random.seed(3)
    drawn = []
    for _ in range(3):
        process.answer()
        keras_otel.flush(60)
        drawn.append(random.random())

    assert drawn == expected


def test_nothing_is_noted_where_nothing_is_traced():
    """Without an SDK there is no thread and no queue."""
    script = """
import threading, numpy as np, keras, keras_otel
keras_otel.instrument()
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
before = threading.active_count()
model.predict_on_batch(np.ones((1, 3), "float32"))
assert threading.active_count() == before, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


PROGRAM = """
import os, sys, numpy as np, keras, keras_otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry import trace

class Printed(SpanExporter):
    def export(self, spans):
        for span in spans:
            os.write(1, f"{os.getpid() == PARENT} {span.attributes['keras.batch.size']}\\n".encode())
        return SpanExportResult.SUCCESS

PARENT = os.getpid()
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Printed()))
trace.set_tracer_provider(provider)
keras_otel.instrument(metrics=False)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
predict = lambda rows: model.predict_on_batch(np.ones((rows, 3), "float32"))
"""


def run(script: str) -> list[str]:
    """The lines that a program has printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + script],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        # The threads of TensorFlow and JAX survive no fork, and the programs are about ours.
        env={**os.environ, "KERAS_BACKEND": "numpy"},
    )
    return sorted(done.stdout.split("\n")[:-1])


def test_a_program_that_ends_at_once():
    """Everything is recorded before the provider's own exit handler runs."""
    assert run("for rows in (1, 2, 3): predict(rows)") == ["True 1", "True 2", "True 3"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is forked here")
def test_a_fork_in_between():
    """What the parent noted is the parent's, and the child goes on with a worker of its own."""
    lines = run(
        """
predict(1)
predict(2)
child = os.fork()
predict(3 if child else 4)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
else:
    assert keras_otel.flush(30)
    os._exit(0)
"""
    )
    assert lines == ["False 4", "True 1", "True 2", "True 3"]


@pytest.fixture
def faulty() -> Iterator[Recorded]:
    """The same, where something is to fail."""
    keras_otel.uninstrument()
    process = Recorded()
    yield process
    keras_otel.uninstrument()
    process.provider.shutdown()


def test_a_fault_of_the_worker_reaches_nobody(faulty, monkeypatch):
    """A fork and a span that needs a prediction go on where recording it fails."""
    process = faulty
    tracer = process.provider.get_tracer("app")
    before = failure_counts()

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("keras_otel.inference.pending._recorded", broken)
        patched.setattr("keras_otel.inference.tracer._draw_ids_apart", broken)
        with tracer.start_as_current_span("request"):
            process.answer()
            span = tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"})
            assert "keras.upstream.intent.class" not in span.attributes
            span.end()
        patched.setattr(_worker._around_fork, "_hold_all", broken)
        _worker._around_fork.before()
        _worker._around_fork.in_parent()
    after = failure_counts()

    assert after["settle a prediction"] > before.get("settle a prediction", 0)
    assert after["before a fork"] > before.get("before a fork", 0)
    assert after["tracer"] > before.get("tracer", 0)
