"""Two live models with one name: neither is stamped where the other predicted too."""

from __future__ import annotations

import asyncio

import keras
import numpy as np
import pytest

import keras_otel
from tests.propagation.conftest import CLASSES, Service


@pytest.fixture
def other(telemetry) -> Service:
    """A second service whose model is another one of the same name."""
    service = Service(telemetry.tracer_provider.get_tracer("service"))
    service.model.set_weights([5.0 * np.eye(len(CLASSES)), np.zeros(len(CLASSES))])
    return service


def test_both_in_one_request(service, other):
    """From the second model on the name says nothing, whichever of the two predicts."""
    with service.span():
        label = service.predict(0)
        assert service.llm() == label
        other.predict(1)
        assert service.llm() is None
        service.predict(2)
        assert service.llm() is None


def test_each_in_requests_of_its_own(service, other):
    """A request in which only one of them predicts has its label."""
    for each in (service, other, service):
        with each.span():
            label = each.predict(1)
            assert each.llm() == label


@pytest.mark.parametrize("is_other_first", [True, False])
def test_both_in_tasks_of_one_request(service, other, is_other_first):
    """A task that predicts with one model does not answer for the other one."""

    async def predict(each: Service):
        return each.predict(1)

    async def request() -> None:
        first, second = (other, service) if is_other_first else (service, other)
        with service.span():
            first.predict(0)
            await asyncio.create_task(predict(second))
            assert service.llm() is None
            assert await asyncio.to_thread(service.llm) is None

    asyncio.run(request())


def test_copies_of_one_model(service, telemetry):
    """A pool of copies is one model: the same weights have the same fingerprint."""
    copy = Service(telemetry.tracer_provider.get_tracer("service"))
    with service.span():
        service.predict(0)
        service.llm()
        label = copy.predict(1)
        assert service.llm() == label


def test_a_model_that_is_trained_between_two_turns(service):
    """One model stays one, whatever its weights are."""
    with service.span():
        service.predict(0)
        service.llm()
        service.model.set_weights([3.0 * np.eye(len(CLASSES)), np.zeros(len(CLASSES))])
        label = service.predict(1)
        assert service.llm() == label


def test_a_shadow_version(service, other):
    """Which of two versions the answer follows is not known while both predict for it."""
    keras_otel.describe(other.model, version="v2")
    with service.span():
        service.predict(0)
        other.predict(1)
        assert service.llm() is None


def test_a_version_that_takes_over(service, other):
    """A session goes on with the new version once the old one has had its answer."""
    keras_otel.describe(other.model, version="v2")
    with service.span("session"):
        service.predict(0)
        service.llm()
        label = other.predict(1)
        assert other.llm() == label


def test_an_unnamed_pair(telemetry):
    """Two models that nobody named are called after their class, and are not one for that."""
    tracer = telemetry.tracer_provider.get_tracer("service")
    models = []
    for size in (2, 3):
        layers = [keras.Input((2,)), keras.layers.Dense(size, activation="softmax")]
        models.append(keras.Sequential(layers))
    with tracer.start_as_current_span("server"):
        for model in models:
            model.predict_on_batch(np.ones((1, 2), "float32"))
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat"}
        ) as span:
            assert not [key for key in span.attributes if key.startswith("keras.")]
