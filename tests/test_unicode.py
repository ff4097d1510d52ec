"""Text of the program's that leaves is valid UTF-8 and not too long, wherever it enters."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import keras_otel
from keras_otel import _guard
from keras_otel._unicode import (
    MESSAGE_LENGTH,
    NAME_LENGTH,
    TRACEBACK_LENGTH,
    message_of,
    name_of,
    traceback_of,
    well_formed,
)
from keras_otel.diagnostics.findings import Findings
from keras_otel.errors import DescriptionError
from keras_otel.records import UpstreamPrediction

HALF = "cut \ud83d"
MENDED = "cut \ufffd"
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=600)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("refund", "refund"),
        ("Rückgabe 😀", "Rückgabe 😀"),
        (HALF, MENDED),
        ("\udcff\udcfe", "\ufffd\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("", ""),
    ],
)
def test_what_stands_alone_is_replaced(text, sent):
    """A lone surrogate is U+FFFD, two that make a character are that character."""
    assert well_formed(text) == sent


@given(ANY_TEXT)
def test_any_text_can_be_sent(text):
    """Whatever a program says can be encoded, within its limit, and the same each time."""
    for fit, limit in (
        (name_of, NAME_LENGTH),
        (message_of, MESSAGE_LENGTH),
        (traceback_of, TRACEBACK_LENGTH),
    ):
        sent = fit(text)
        sent.encode()
        assert len(sent) <= limit
        assert fit(sent) == sent


def test_a_subclass_of_text_becomes_text():
    """An object that prints itself otherwise is sent as the text that it is."""

    class Odd(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert type(well_formed(Odd("a"))) is str


def test_long_names_stay_apart():
    """Two names that begin alike do not become one; a short one is not touched."""
    first, second = (name_of("x" * 1000 + end) for end in "ab")

    assert first != second
    assert len(first) == len(second) == NAME_LENGTH
    assert name_of("x" * NAME_LENGTH) == "x" * NAME_LENGTH


def test_a_long_traceback_keeps_both_ends():
    """Where the call began and where it failed are both there."""
    sent = traceback_of("begin" + "x" * 100_000 + "end")

    assert sent.startswith("begin")
    assert sent.endswith("end")
    assert len(sent) == TRACEBACK_LENGTH


class Telemetry:
    """Providers in memory, and what of them can be encoded as OTLP."""

    def __init__(self) -> None:
        self.spans, self.records = InMemorySpanExporter(), InMemoryLogRecordExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.records))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def encoded(self) -> str:
        """Everything as OTLP; raises where a text cannot be encoded."""
        parts = [
            encode_spans(self.spans.get_finished_spans()),
            encode_logs(self.records.get_finished_logs()),
            encode_metrics(self.reader.get_metrics_data()),
        ]
        for part in parts:
            part.SerializeToString()
        return "".join(map(str, parts))


@pytest.fixture
def telemetry():
    """Instrument with providers in memory, and take it out again."""
    made = Telemetry()
    keras_otel.instrument(
        tracer_provider=made.tracers,
        logger_provider=made.loggers,
        meter_provider=made.meters,
        propagate="all",
    )
    yield made
    keras_otel.uninstrument()


def build(**parts):
    """A model of two classes that is described so."""
    import keras

    layers = [keras.Input((2,)), keras.layers.Activation("softmax")]
    return keras_otel.describe(keras.Sequential(layers), **parts)


def call(model):
    """One inference of one row."""
    import numpy as np

    return model(np.array([[9.0, 0.0]], "float32"))


@pytest.mark.parametrize(
    "parts",
    [{"name": HALF}, {"version": HALF}, {"labels": [HALF, "b"]}, {"labels": ["b", HALF * 1000]}],
)
def test_what_a_description_says(telemetry, parts):
    """Names, versions and labels with half a pair reach spans, metrics and stamps mended."""
    with telemetry.tracers.get_tracer("app").start_as_current_span("request"):
        call(build(**{"name": "intent", "version": "v", "labels": ["a", "b"], **parts}))
        with telemetry.tracers.get_tracer("app").start_as_current_span("chat"):
            keras_otel.record_evaluation("faithfulness", passed=False)
            keras_otel.record_outcome("b")

    sent = telemetry.encoded()
    assert "keras.upstream." in sent
    assert "keras.predictions" in sent


def test_labels_that_differ_only_in_what_is_lost():
    """Two labels that would be one are refused, since their classes would be mixed up."""
    with pytest.raises(DescriptionError, match="must differ"):
        build(labels=["a\ud83d", "a\ud83e"])


def test_names_that_keras_gives(telemetry):
    """The names of a model and of its outputs may be any text."""
    import keras
    import numpy as np

    inputs = keras.Input((2,))
    outputs = {
        "first " + HALF: keras.layers.Activation("softmax")(inputs),
        "x" * 1000: keras.layers.Activation("sigmoid")(inputs),
    }
    model = keras.Model(inputs, outputs, name="caf" + HALF)
    with telemetry.tracers.get_tracer("app").start_as_current_span("request"):
        model(np.ones((1, 2), "float32"))
        telemetry.tracers.get_tracer("app").start_span("chat").end()
        keras_otel.record_evaluation("faithfulness", passed=False)

    assert telemetry.encoded().count("caf") > 2


def test_what_an_exception_says(telemetry):
    """Message, status and traceback of a failed inference are sent, mended and cut."""
    import keras

    class Boom(keras.Model):
        def call(self, x):
            raise ValueError(HALF + "!" * 100_000)

    with pytest.raises(ValueError) as caught:
        call(Boom())

    assert HALF + "!" * 100_000 in str(caught.value)
    (span,) = telemetry.spans.get_finished_spans()
    (event,) = span.events
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == span.status.description
    assert MENDED + "!" in span.status.description
    assert len(span.status.description) == MESSAGE_LENGTH
    assert event.attributes["exception.stacktrace"].startswith("Traceback")
    assert len(event.attributes["exception.stacktrace"]) <= TRACEBACK_LENGTH
    telemetry.encoded()


def test_what_an_evaluator_says(telemetry):
    """Names, labels, explanations, errors and outcomes of feedback are mended, on a span of its own too."""
    tracer = telemetry.tracers.get_tracer("app")
    with tracer.start_as_current_span("chat") as span:
        keras_otel.record_evaluation(HALF, label=HALF, explanation=HALF * 10_000)
    keras_otel.record_evaluation(HALF, error=ValueError(HALF), span=span)
    keras_otel.record_evaluation(
        "a", error=HALF, span=span, conventions=("openinference", "futureagi")
    )
    keras_otel.record_outcome(HALF, model=HALF, span=span)

    assert telemetry.encoded().count("cut ") > 8


def test_predictions_that_the_program_hands_on(telemetry):
    """A prediction that somebody wrote by hand is mended where it is handed on; others stay."""
    mine = UpstreamPrediction(model=HALF, version=HALF, class_name=HALF, labels=(HALF,))
    other = UpstreamPrediction(model="topic", class_name="ai")
    with (
        keras_otel.prediction_context(mine, other),
        telemetry.tracers.get_tracer("app").start_as_current_span("chat") as span,
    ):
        assert keras_otel.current_predictions()[1] is other
        keras_otel.record_evaluation("faithfulness", passed=False)

    assert span.attributes["keras.upstream.cut__.class"] == MENDED
    telemetry.encoded()


def test_what_is_logged_can_be_written(caplog):
    """A log line about a failure can be written to any file, and exported as a log record."""
    with caplog.at_level(logging.WARNING, "keras_otel"):
        _guard.record_failure("a site of this test only", ValueError(HALF))

    assert caplog.messages
    for message in caplog.messages:
        message.encode()


def test_what_doctor_prints_can_be_printed():
    """A value with half a pair does not keep the report from being printed."""
    findings = Findings()
    findings.add_fact("options", "Options", HALF)
    findings.add_problem(HALF, HALF)
    findings.add_note(HALF)

    findings.as_text("title", 80).encode()
