"""Predictions that are published before they are known."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

import keras_otel
from keras_otel.propagation.publishing import PendingPrediction, publish, publish_pending
from keras_otel.records import Decoded, ModelIdentity
from tests.propagation.conftest import Label, Service

IDENTITY = ModelIdentity(name="intent", version="v1")
REFUND = ("refund", 0.9)


class Pending:
    """A prediction that is noted, and found out when somebody needs it."""

    def __init__(self) -> None:
        self.count = 0
        self.prediction = publish_pending(
            get_current(), IDENTITY, [None], resolve_now=self.resolve_now
        )

    def resolve_now(self) -> None:
        """Find it out."""
        self.count += 1
        assert isinstance(self.prediction, PendingPrediction)
        self.prediction.resolve([decoded(*REFUND)], get_current_span())


def decoded(class_name: str, confidence: float) -> Decoded:
    """What one row says."""
    return Decoded(task="multiclass", rows=1, classes=(class_name,), confidences=(confidence,))


@pytest.fixture(params=[False, True], ids=["at start", "late"])
def late_or_not(request, service) -> Service:
    """A service whose LLM spans say at their start, or later, that they are about GenAI."""
    service.is_late = request.param
    return service


def test_a_span_that_needs_it_finds_it_out(late_or_not):
    """An LLM span has its label although nobody had found the prediction out before."""
    with late_or_not.span():
        pending = Pending()
        assert late_or_not.llm() == REFUND
        assert late_or_not.llm() == REFUND
        assert pending.count == 1


def test_any_other_span_leaves_it_alone(service):
    """A span that is not about GenAI does not make its thread decode."""
    with service.span():
        pending = Pending()
        with service.span("step"):
            pass
        assert pending.count == 0
        assert [p.class_name for p in keras_otel.current_predictions()] == ["refund"]
        assert pending.count == 1


@pytest.mark.parametrize("is_used", [False, True])
def test_the_next_prediction_finds_it_out(late_or_not, is_used):
    """Two predictions of one model are compared, so the earlier one is found out."""
    with late_or_not.span():
        pending = Pending()
        if is_used:
            assert late_or_not.llm() == REFUND
        assert publish_pending(get_current(), IDENTITY, [None], resolve_now=lambda: None) is None
        publish(get_current(), IDENTITY, [decoded("order", 0.8)], get_current_span())
        assert pending.count == 1
        assert late_or_not.llm() == ("order", 0.8)


def test_an_open_span_follows_what_was_there_at_its_start(service):
    """What was predicted since does not reach a span that says late what it is."""
    first: Label = ("order", 0.8)
    with service.span():
        publish(get_current(), IDENTITY, [decoded(*first)], get_current_span())
        with service.tracer.start_as_current_span("llm") as span:
            publish(get_current(), IDENTITY, [decoded(*REFUND)], get_current_span())
            span.set_attribute("gen_ai.operation.name", "chat")
        carried: Any = span.attributes
        assert carried["keras.upstream.intent.class"] == "order"
