"""The processors themselves: which spans and records they stamp, and what they leave alone."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
)
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

import keras_otel
from keras_otel.errors import OptionError
from keras_otel.propagation.processors import KerasLogRecordProcessor, KerasSpanProcessor
from keras_otel.propagation.request_tree import tree
from keras_otel.records import UpstreamPrediction
from tests.propagation.conftest import Label, Service, label_of

GENAI = {"gen_ai.operation.name": "chat"}


def started(tracer: trace.Tracer, **attributes: Any) -> Label | None:
    """What a span with these attributes carries; `__` stands for a dot."""
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    with tracer.start_as_current_span("later", attributes=given) as span:
        return label_of(span)


def predicted(providers: Any, **options: Any) -> Service:
    """An instrumented service, by these options."""
    providers.instrument(**options)
    return Service(providers.tracer_provider.get_tracer("service"))


@pytest.fixture(autouse=True)
def uninstrumented():
    """Leave nothing instrumented, whatever a test did."""
    yield
    keras_otel.uninstrument()


# -- which spans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("propagate", "genai", "other"), [("genai", 1, 0), ("all", 1, 1), ("none", 0, 0)]
)
def test_modes(providers, propagate, genai, other):
    """GenAI spans, all spans or no span is stamped."""
    service = predicted(providers, propagate=propagate)
    with service.span():
        label = service.predict(1)
        assert started(service.tracer, gen_ai__system="x") == (label if genai else None)
        assert started(service.tracer, http__method="GET") == (label if other else None)


@pytest.mark.parametrize("kind", [KerasSpanProcessor, KerasLogRecordProcessor])
def test_a_mode_that_does_not_exist(kind):
    """A bad mode is refused at once, in words that list the good ones."""
    with pytest.raises(OptionError, match="genai"):
        kind("everything")


@pytest.mark.parametrize(
    "key",
    ["gen_ai.system", "llm.model", "openinference.span.kind", "traceloop.a", "fi.b", "langfuse.c"],
)
def test_keys_of_genai(service, key):
    """The keys of each GenAI convention make a span one about GenAI."""
    with service.span():
        label = service.predict(2)
        with service.tracer.start_as_current_span("later", attributes={key: "x"}) as span:
            assert label_of(span) == label


@pytest.mark.parametrize("key", ["gen_aix", "http.request.method", "my.gen_ai.key", "fiction"])
def test_other_keys(service, key):
    """A key that only looks like one of GenAI's does not."""
    with service.span():
        service.predict(2)
        with service.tracer.start_as_current_span("later", attributes={key: "x"}) as span:
            assert label_of(span) is None


def test_a_scope_of_genai(service, telemetry):
    """A span of a known LLM instrumentation needs no key."""
    tracer = telemetry.tracer_provider.get_tracer("openinference.instrumentation.openai")
    with service.span():
        label = service.predict(0)
        assert started(tracer) == label


def test_its_own_spans_are_never_stamped(providers):
    """An inference span says what it predicted itself, and nothing of the one before."""
    service = predicted(providers, propagate="all")
    with service.span():
        service.predict(0)
        service.predict(1)
        for span in providers.spans():
            assert not [key for key in span.attributes if key.startswith("keras.upstream")]


# -- what they leave alone -------------------------------------------------------------------------


def test_a_key_that_is_there(service):
    """What the program says itself is never overwritten."""
    own = {**GENAI, "keras.upstream.intent.class": "mine"}
    with service.span():
        _, confidence = service.predict(1)
        with service.tracer.start_as_current_span("chat", attributes=own) as span:
            assert label_of(span) == ("mine", confidence)


@pytest.mark.parametrize("limit", [128, 16])
@pytest.mark.parametrize("free", [0, 1, 2, 3])
@pytest.mark.parametrize("later", [0, 1])
def test_a_span_that_is_nearly_full(providers, limit, free, later):
    """A span loses nothing of its own; what there is no room for is left out, the class last."""
    providers.instrument()
    limited = TracerProvider(
        span_limits=SpanLimits(max_span_attributes=limit), shutdown_on_exit=False
    )
    limited.add_span_processor(KerasSpanProcessor())
    service = Service(limited.get_tracer("service"))
    own = {"gen_ai.a": 0, **{f"key{n}": n for n in range(limit - free - later - 1)}}
    with service.span():
        label = service.predict(1)
        with service.tracer.start_as_current_span("chat", attributes=own) as span:
            if limit < 128:  # room is kept for what the program sets later
                own.update({f"later{n}": n for n in range(later)})
                span.set_attributes(own)
    limited.shutdown()
    room = free if limit < 128 else free + later

    assert {**span.attributes, **own} == dict(span.attributes)
    assert label_of(span) == [None, (label[0], None), label, label, label][room]
    assert len(span.attributes) == min(limit, len(own) + 3)
    assert ("keras.upstream.intent.version" in span.attributes) == (room >= 3)


def test_at_most_eight_models(telemetry):
    """The eight models that predicted last are stamped."""
    tracer = telemetry.tracer_provider.get_tracer("service")
    services = [Service(tracer, f"model{n}") for n in range(10)]
    with services[0].span():
        for service in services:
            service.predict(0)
        with tracer.start_as_current_span("chat", attributes=GENAI) as span:
            stamped = {n for n in range(10) if label_of(span, f"model{n}") is not None}

    assert stamped == set(range(2, 10))


# -- more than one processor or provider -----------------------------------------------------------


@pytest.mark.parametrize("more", [1, 2])
def test_processors_of_the_user_s_own(providers, more):
    """A processor that the user adds besides ours changes nothing."""
    for _ in range(more):
        providers.tracer_provider.add_span_processor(KerasSpanProcessor())
    service = predicted(providers)
    with service.span():
        label = service.predict(1)
        assert service.llm() == label
        second = service.predict(2)
        assert service.llm() == second


def test_a_provider_of_the_user_s_own(providers):
    """Spans of another provider are stamped where the user adds the processor to it."""
    plain, stamping = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    stamping.add_span_processor(KerasSpanProcessor())
    service = predicted(providers)
    with service.span():
        label = service.predict(1)
        assert started(plain.get_tracer("llm"), **{"gen_ai.a": 1}) is None
        assert started(stamping.get_tracer("llm"), **{"gen_ai.a": 1}) == label
    plain.shutdown()
    stamping.shutdown()


def test_a_provider_that_is_set_later():
    """Where the SDK is set up after `instrument()`, the first inference finds it."""
    program = """
import keras_otel
keras_otel.instrument()
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
from tests.propagation.conftest import Service
service = Service(trace.get_tracer("service"))
with service.span():
    label = service.predict(1)
    assert service.llm() == label
    second = service.predict(2)
    assert service.llm() == second
"""
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stderr


def test_uninstrument_and_instrument_again(providers):
    """The processor sleeps between the two, and is added only once."""
    service = predicted(providers)
    processors = providers.tracer_provider._active_span_processor._span_processors
    count = len(processors)
    with service.span():
        label = service.predict(1)
        keras_otel.uninstrument()
        assert service.llm() is None
        providers.instrument()
        assert service.llm() == label

    assert len(providers.tracer_provider._active_span_processor._span_processors) == count


# -- log records -----------------------------------------------------------------------------------


def batched(providers: Any) -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
    """A provider whose processor exports later, and is added first."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    providers.instrument(logger_provider=provider)
    return provider, exporter


@pytest.mark.parametrize(
    ("event_name", "attributes", "is_genai"),
    [
        ("gen_ai.evaluation.result", {}, True),
        (None, {"gen_ai.a": 1}, True),
        ("app.started", {}, False),
        (None, {"user": "x"}, False),
    ],
)
@pytest.mark.parametrize("propagate", ["genai", "all", "none"])
def test_log_records(providers, propagate, event_name, attributes, is_genai):
    """Records about GenAI are stamped, others only where all are; a batch processor may come first."""
    provider, exporter = batched(providers)
    keras_otel.uninstrument()
    providers.instrument(logger_provider=provider, propagate=propagate)
    service = Service(providers.tracer_provider.get_tracer("service"))
    with service.span():
        label = service.predict(1)
        provider.get_logger("app").emit(event_name=event_name, body="x", attributes=attributes)
    provider.force_flush()
    (record,) = exporter.get_finished_logs()
    provider.shutdown()
    carried = record.log_record.attributes.get("keras.upstream.intent.class")

    is_stamped = propagate == "all" or (propagate == "genai" and is_genai)
    assert carried == (label[0] if is_stamped else None)
    assert {**record.log_record.attributes, **attributes} == dict(record.log_record.attributes)


def test_a_record_keeps_what_it_says(providers):
    """A record's own upstream key stays."""
    provider, exporter = batched(providers)
    service = Service(providers.tracer_provider.get_tracer("service"))
    own = {"keras.upstream.intent.class": "mine"}
    with service.span():
        service.predict(1)
        provider.get_logger("app").emit(event_name="gen_ai.evaluation.result", attributes=own)
    provider.force_flush()
    (record,) = exporter.get_finished_logs()
    provider.shutdown()

    assert record.log_record.attributes["keras.upstream.intent.class"] == "mine"


def test_a_record_outside_of_any_request(providers):
    """Without a span there is nothing that a record could follow."""
    provider, exporter = batched(providers)
    service = Service(providers.tracer_provider.get_tracer("service"))
    service.predict(1)
    provider.get_logger("app").emit(event_name="gen_ai.evaluation.result", attributes={"a": 1})
    provider.force_flush()
    (record,) = exporter.get_finished_logs()
    provider.shutdown()

    assert dict(record.log_record.attributes) == {"a": 1}


# -- requests that are not recorded ----------------------------------------------------------------


def test_a_request_that_is_not_sampled(providers):
    """Nothing is stamped or raised, and nothing stays."""
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    service = Service(unsampled.get_tracer("service"))
    providers.instrument(tracer_provider=unsampled)
    with service.span():
        service.predict(1)
        with service.tracer.start_as_current_span("chat", attributes=GENAI) as span:
            assert not span.is_recording()
        assert [p.class_name for p in keras_otel.current_predictions()] == ["refund"]
    unsampled.shutdown()
    del span
    gc.collect()

    assert len(tree) == 0


def test_a_recorded_span_below_one_that_is_not(providers):
    """A span of another provider below an unsampled request still follows its prediction."""
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    recording = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    recording.add_span_processor(KerasSpanProcessor())
    providers.instrument(tracer_provider=unsampled)
    service = Service(unsampled.get_tracer("service"))
    with service.span():
        label = service.predict(1)
        found = started(recording.get_tracer("llm"), **{"gen_ai.a": 1})
    unsampled.shutdown()
    recording.shutdown()

    assert found == label


# -- what the program says itself ------------------------------------------------------------------


def test_a_given_prediction_goes_before_all(service):
    """`prediction_context` decides for its model, whatever was predicted, and blocks may nest."""
    outer = UpstreamPrediction(model="intent", class_name="outer", confidence=0.5)
    inner = UpstreamPrediction(model="intent", class_name="inner", confidence=0.25)
    with service.span():
        label = service.predict(1)
        with keras_otel.prediction_context(outer):
            assert service.llm() == ("outer", 0.5)
            with keras_otel.prediction_context(inner):
                assert service.llm() == ("inner", 0.25)
            assert service.llm() == ("outer", 0.5)
        assert service.llm() == label


def test_a_given_prediction_outside_of_any_request(service):
    """It needs no span around it."""
    given = UpstreamPrediction(model="intent", class_name="mine", confidence=0.5)
    with keras_otel.prediction_context(given):
        assert service.llm() == ("mine", 0.5)


def test_a_prediction_through_a_queue(service):
    """What one process keeps can be pickled and handed on in another."""
    with service.span():
        label = service.predict(2)
        kept = pickle.dumps(keras_otel.current_predictions())
    with service.span("worker"), keras_otel.prediction_context(*pickle.loads(kept)):
        assert service.llm() == label


def test_current_predictions_are_newest_first(service, guard):
    """One prediction for each model, the newest first, with the span that it was made in."""
    with service.span() as span:
        assert keras_otel.current_predictions() == ()
        service.predict(0)
        guard.predict(1)
        found = keras_otel.current_predictions()

    assert [prediction.model for prediction in found] == ["guard", "intent"]
    assert {prediction.trace_id for prediction in found} == {span.get_span_context().trace_id}
    assert [prediction.version for prediction in found] == ["v1", "v1"]


# -- fork ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_with_nothing(service):
    """The parent's requests are its parent's: a child stamps none of their predictions."""
    program = """
import os, sys
import keras_otel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
keras_otel.instrument()
from keras_otel.propagation.request_tree import tree
from tests.propagation.conftest import Service
service = Service(trace.get_tracer("service"))
with service.span():
    label = service.predict(1)
    child = os.fork()
    if child == 0:
        ok = len(tree) == 0 and service.llm() is None
        with service.span("child"):
            own = service.predict(2)
            ok = ok and service.llm() == own
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    assert service.llm() == label
    assert os.waitstatus_to_exitcode(status) == 0
"""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 0, finished.stderr
