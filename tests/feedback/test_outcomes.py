"""Outcomes belong to the prediction that they are the truth of."""

from __future__ import annotations

import numpy as np
import pytest

from keras_otel.feedback import record_outcome
from tests.backends.models import rows
from tests.feedback.conftest import event_of, finished, span_of, upstream


def test_the_outcome_of_an_inference_span(telemetry, intent):
    """Ids of an inference span find its prediction; a short span below it says what was true."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
    predicted = finished(telemetry, "predict_on_batch intent")
    own = predicted.context
    expected = {
        "keras.outcome.class": "refund",
        "keras.model.name": "intent",
        "keras.prediction.class": predicted.attributes["keras.prediction.class"],
    }

    for span in (predicted, own, (own.trace_id, own.span_id)):
        record_outcome("refund", span=span)

    made = [span for span in telemetry.spans() if span.name == "outcome intent"]
    assert [dict(span.attributes) for span in made] == [expected] * 3
    assert {span.parent.span_id for span in made} == {own.span_id}
    for span in made:
        (link,) = span.links
        assert (link.context.trace_id, link.context.span_id) == (own.trace_id, own.span_id)
        assert link.attributes == {"keras.link.type": "prediction"}
    for record in telemetry.logs():
        log = record.log_record
        assert (log.event_name, dict(log.attributes)) == ("keras.prediction.outcome", expected)
        assert log.span_id == own.span_id


def test_an_inference_span_that_is_no_longer_remembered(telemetry):
    """A readable inference span says itself what it predicted."""
    tracer = telemetry.tracer_provider.get_tracer("keras_otel")
    said = {
        "keras.operation.name": "predict",
        "keras.model.name": "intent",
        "keras.prediction.class": "order",
    }
    with tracer.start_as_current_span("predict intent", attributes=said):
        pass

    record_outcome("refund", span=finished(telemetry, "predict intent"))

    assert event_of(telemetry)[1] == {
        "keras.outcome.class": "refund",
        "keras.model.name": "intent",
        "keras.prediction.class": "order",
    }


def test_the_outcome_in_the_request(telemetry, intent):
    """In the request of the only prediction, the current span gets the event."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry):
            record_outcome("refund")

    predicted = finished(telemetry, "predict_on_batch intent").attributes
    (event,) = finished(telemetry, "chat").events
    assert event.name == "keras.prediction.outcome"
    assert dict(event.attributes) == {
        "keras.outcome.class": "refund",
        "keras.model.name": "intent",
        "keras.prediction.class": predicted["keras.prediction.class"],
    }


def test_the_outcome_among_several_models(telemetry, caplog):
    """Nothing is guessed; the model's name, as it is written anywhere, decides."""
    said = {**upstream("intent", **{"class": "a"}), **upstream("tox_check", **{"class": "b"})}
    with span_of(telemetry, **said):
        record_outcome("c")
        record_outcome("c", model="intent")
        record_outcome("c", model="Tox Check")
        record_outcome("c", model="unknown")

    first, second, third, fourth = (dict(r.log_record.attributes) for r in telemetry.logs())
    assert first == {"keras.outcome.class": "c"}
    assert (second["keras.model.name"], second["keras.prediction.class"]) == ("intent", "a")
    assert (third["keras.model.name"], third["keras.prediction.class"]) == ("Tox Check", "b")
    assert fourth == {"keras.outcome.class": "c", "keras.model.name": "unknown"}
    assert caplog.messages == [
        (
            "keras_otel: an outcome is recorded without its prediction, because several models "
            "predicted: pass model= one of 'intent', 'tox_check', or span= the inference span"
        ),
        (
            "keras_otel: an outcome is recorded without its prediction, because none of the model "
            "'unknown' is known for its span: pass span= the inference span, or record it in the "
            "request of the prediction"
        ),
    ]


def test_the_outcome_of_a_batch(telemetry, intent):
    """Of several rows none is meant: the model is named, and no class."""
    intent.predict_on_batch(rows(3))

    record_outcome("refund", span=telemetry.span())

    assert event_of(telemetry)[1] == {
        "keras.outcome.class": "refund",
        "keras.model.name": "intent",
    }


@pytest.mark.parametrize(
    ("outcome", "written"),
    [("refund", "refund"), (3, "3"), (np.int64(3), "3"), (np.str_("x"), "x")],
)
def test_a_true_class(telemetry, outcome, written):
    """A label as it is, an index as a class without a label is written."""
    with span_of(telemetry, **upstream(**{"class": "a"})):
        record_outcome(outcome)

    assert event_of(telemetry)[1]["keras.outcome.class"] == written


@pytest.mark.parametrize("outcome", [None, "", True, 0.5, ["refund"]])
def test_an_outcome_that_is_no_class(telemetry, caplog, outcome):
    """What cannot be a class is not recorded, and one line says so."""
    with span_of(telemetry):
        record_outcome(outcome)
        record_outcome(outcome)

    assert telemetry.logs() == []
    (line,) = caplog.messages
    assert "is not recorded: pass the label of the true class, or its index" in line
