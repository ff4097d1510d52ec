"""Mistakes of the program raise one line; faults never reach the caller."""

from __future__ import annotations

import pytest
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.errors import FeedbackError
from keras_otel.feedback import (
    emitters,
    evaluations,
    formats,
    outcomes,
    record_evaluation,
    record_outcome,
    recording,
    target_span,
    validation,
)
from keras_otel.metrics import Instruments
from tests.feedback.conftest import counts, finished, span_of


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: record_evaluation(""), "an evaluation needs a name"),
        (lambda: record_evaluation("  "), "an evaluation needs a name"),
        (lambda: record_evaluation(None), "an evaluation needs a name"),
        (lambda: record_evaluation("x", span="chat"), "span cannot be of type str"),
        (lambda: record_evaluation("x", span=(1, 2, 3)), "span cannot be of type tuple"),
        (lambda: record_evaluation("x", span=NonRecordingSpan), "span cannot be of type"),
        (lambda: record_evaluation("x", span=("xyz", 1)), "span: 'xyz' is no trace id"),
        (lambda: record_evaluation("x", span=("a" * 33, 1)), "is no trace id"),
        (lambda: record_evaluation("x", span=(1, -1)), "span: -1 is no span id"),
        (lambda: record_evaluation("x", span=(1, 1 << 64)), "is no span id"),
        (lambda: record_evaluation("x", span=(1, None)), "span: None is no span id"),
        (lambda: record_evaluation("x", span=(True, 1)), "span: True is no trace id"),
        (
            lambda: record_evaluation("x", conventions="phoenix"),
            "conventions must be one or more of 'openinference'",
        ),
        (
            lambda: record_evaluation("x", conventions=["futureagi", "?"]),
            "conventions must be one or more of",
        ),
        (lambda: record_evaluation("x", conventions=3), "conventions must be one or more of"),
        (
            lambda: record_evaluation("x", conventions="futureagi", also="openinference"),
            "conventions and its deprecated name also are both given",
        ),
        (lambda: record_outcome("x", span=object()), "span cannot be of type object"),
        (lambda: record_outcome("x", model=3), "model must be the name of a model"),
        (lambda: record_outcome("x", model=""), "model must be the name of a model"),
    ],
)
def test_a_mistake_in_the_program(telemetry, call, line):
    """It raises one line at once, which says how to mend it, and nothing is recorded."""
    with pytest.raises(FeedbackError) as caught:
        call()

    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert telemetry.logs() == []


class BrokenError(Exception):
    """What the broken parts raise."""


def broken(*args, **kwargs):
    raise BrokenError("broken")


# What is made to raise, the site whose guard must catch it, and what is still recorded.
FAULTS = [
    (validation, "_checked_score", "evaluation", {"log", "event", "metric"}),
    (evaluations, "message_of", "evaluator's message", {"log", "event", "metric"}),
    (target_span, "get_current", "record an evaluation", set()),
    (emitters, "instruments_of", "record an evaluation", set()),
    (evaluations, "known_predictions", "upstream of an evaluation", {"log", "event", "metric"}),
    (recording.time, "time_ns", "feedback event", {"event", "metric"}),
    (recording._AttributeWriter, "add", "feedback span", {"log", "event", "metric"}),
    (Instruments, "count_evaluation", "evaluation metric", {"log", "event"}),
    (formats, "_genai_attributes", "record an evaluation", set()),
]


@pytest.mark.parametrize(
    ("owner", "name", "site", "left"), FAULTS, ids=[f"{o.__name__}.{n}" for o, n, _, _ in FAULTS]
)
def test_a_fault_stays_away_from_the_caller(providers, monkeypatch, owner, name, site, left):
    """Whatever breaks, nothing is raised, the fault counts, and the rest is recorded."""
    providers.instrument()
    before = failure_counts().get(site, 0)
    with span_of(providers) as span:
        monkeypatch.setattr(owner, name, broken)
        record_evaluation("faithfulness", score=0.5, conventions="openinference", error="")
        monkeypatch.undo()
    keras_otel.uninstrument()

    assert failure_counts()[site] == before + 1
    recorded = {
        "log": providers.logs(),
        "event": span.events,
        "metric": counts(providers),
    }
    assert {what for what, found in recorded.items() if found} == left


@pytest.mark.parametrize(
    ("owner", "name", "site"),
    [
        (outcomes, "predicted_by", "prediction of an outcome"),
        (outcomes, "find_target", "record an outcome"),
    ],
)
def test_a_fault_while_recording_an_outcome(providers, monkeypatch, owner, name, site):
    """An outcome that cannot be recorded is counted as a fault of ours, and no more."""
    before = failure_counts().get(site, 0)
    monkeypatch.setattr(owner, name, broken)

    record_outcome("refund")

    assert failure_counts()[site] == before + 1


class Raising(LogRecordProcessor):
    """A user's log processor that fails."""

    def on_emit(self, log_record):
        raise BrokenError("no disk")

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


def test_a_log_pipeline_that_raises(providers):
    """A processor of the user's that raises costs the log event, and neither span nor metric."""
    before = failure_counts().get("feedback event", 0)
    providers.logger_provider.add_log_record_processor(Raising())
    providers.instrument()
    with span_of(providers) as span:
        record_evaluation("faithfulness", passed=False)
    keras_otel.uninstrument()

    assert failure_counts()["feedback event"] == before + 1
    assert len(span.events) == 1
    assert [number for _, number in counts(providers)] == [1]


class BrokenExporter(SpanExporter, LogRecordExporter):
    """An exporter that fails."""

    def export(self, *batch):
        raise BrokenError("no network")

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


def test_exporters_that_raise(providers):
    """Exporters that fail in the caller's own thread cost neither the caller nor the metric."""
    providers.tracer_provider.add_span_processor(SimpleSpanProcessor(BrokenExporter()))
    providers.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(BrokenExporter()))
    providers.instrument()
    with span_of(providers) as span:
        record_evaluation("faithfulness", passed=False)
    record_evaluation("faithfulness", passed=False, span=span)
    keras_otel.uninstrument()

    assert len(providers.logs()) == 2
    assert finished(providers, "evaluate faithfulness")
    assert [number for _, number in counts(providers)] == [2]


class MuteError(Exception):
    """An evaluator's error that has no words."""

    def __str__(self):
        raise BrokenError("mute")


def test_an_evaluators_error_without_words(providers):
    """Its type is recorded all the same."""
    before = failure_counts().get("evaluator's message", 0)
    providers.instrument()
    with span_of(providers) as span:
        pass
    record_evaluation("faithfulness", error=MuteError(), span=span)
    keras_otel.uninstrument()

    made = finished(providers, "evaluate faithfulness")
    assert made.attributes["error.type"].endswith("MuteError")
    assert made.status.description.endswith("MuteError")
    assert failure_counts()["evaluator's message"] == before + 1
