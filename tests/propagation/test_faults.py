"""Propagation may fail, requests may not: everything of it is made to raise in turn."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from opentelemetry import context as otel_context

import keras_otel
from keras_otel import _guard
from keras_otel.inference import recipients
from keras_otel.inference.observer import Observer
from keras_otel.propagation import (
    attachment,
    processors,
    publishing,
    request_tree,
    resolution,
    span_placement,
    waiting_tasks,
)
from keras_otel.propagation.request_tree import tree
from tests.propagation.conftest import Service


class BrokenError(Exception):
    """What the broken parts raise."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise BrokenError("broken")


@pytest.mark.parametrize(
    ("owner", "name", "site"),
    [
        (recipients, "publish", "publish"),
        (request_tree, "note_published", "publish"),
        (publishing, "Publication", "publish"),
        (tree, "node_for", "publish"),
        (span_placement, "note_started", "span start"),
        (processors, "followed_from", "span start"),
        (processors, "stamp", "span start"),
        (resolution, "remote_predictions", "span start"),
        (request_tree, "note_used", "span start"),
        (processors, "note_ended", "span end"),
    ],
    ids=lambda value: (
        getattr(value, "__name__", str(value)) if not isinstance(value, str) else value
    ),
)
def test_a_fault_reaches_neither_prediction_nor_span(providers, monkeypatch, owner, name, site):
    """The result is the model's, the LLM span is made all the same, and the fault counts."""
    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    before = _guard.failure_counts().get(site, 0)
    monkeypatch.setattr(owner, name, broken)
    with service.span():
        label = service.predict(1)
        found = service.llm()
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert label[0] == "refund"
    assert label[1] > 0.9
    assert found in (label, None)
    assert _guard.failure_counts()[site] > before


@pytest.mark.parametrize("name", ["waiter_for", "let_submitter_wait"])
def test_a_fault_while_looking_who_waits(providers, monkeypatch, name):
    """The task goes on with its thread's prediction or with no label, and the fault counts."""

    async def request() -> None:
        with service.span():
            for index in (0, 1):
                label = await asyncio.to_thread(service.predict, index)
                assert service.llm() in (label, None)

    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    before = _guard.failure_counts().get("follow who waits", 0)
    monkeypatch.setattr(waiting_tasks, name, broken)
    asyncio.run(request())
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert _guard.failure_counts()["follow who waits"] > before


def test_a_fault_while_publishing_a_failed_call(providers, monkeypatch):
    """The caller gets the model's own exception."""
    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    monkeypatch.setattr(recipients, "publish", broken)
    with service.span(), pytest.raises(Exception) as caught:
        service.model.predict_on_batch("no numbers")
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert not isinstance(caught.value, BrokenError)
    assert _guard.failure_counts()["publish"] > 0


def test_a_fault_in_one_row_of_a_shared_call(providers, monkeypatch):
    """A row that cannot be given to its request is missing there and nowhere else."""
    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    monkeypatch.setattr(Observer, "_emit_row", broken)
    with service.span():
        context = otel_context.get_current()
        with keras_otel.batch([context, context]):
            result = service.model.predict_on_batch(np.eye(3, dtype="float32")[:2])
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert np.asarray(result).shape == (2, 3)
    assert _guard.failure_counts()["row"] > 0
    assert len(providers.spans()) == 1


def test_a_fault_in_a_log_record(providers, monkeypatch):
    """A log record is emitted as it was."""
    providers.instrument()
    monkeypatch.setattr(processors, "carried_by", broken)
    logger = providers.logger_provider.get_logger("evaluator")
    logger.emit(event_name="gen_ai.evaluation.result", attributes={"a": 1})
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert _guard.failure_counts()["log record"] > 0
    (record,) = providers.logs()
    assert dict(record.log_record.attributes) == {"a": 1}


@pytest.mark.parametrize("signal", ["tracer", "logger"])
def test_a_provider_that_takes_no_processor(providers, monkeypatch, signal):
    """Instrumenting goes on without stamping where a provider refuses the processor."""
    site = f"attach to the {signal} provider"
    assert site in {"attach to the tracer provider", "attach to the logger provider"}
    monkeypatch.setattr(attachment, "_wake_or_add", broken)
    providers.instrument()
    monkeypatch.undo()
    service = Service(providers.tracer_provider.get_tracer("service"))
    with service.span():
        assert service.predict(0)[0] == "order"
    keras_otel.uninstrument()

    assert _guard.failure_counts()[site] > 0
    assert len(providers.spans()) == 1


def test_a_provider_that_raises_when_it_is_looked_at(providers):
    """Where a provider cannot even be asked for its processors, inferences are spans all the same."""

    class Hostile:
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            return providers.tracer_provider.get_tracer(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            raise BrokenError(name)

    before = _guard.failure_counts().get("attach to the tracer provider", 0)
    providers.instrument(tracer_provider=Hostile())
    Service(providers.tracer_provider.get_tracer("service")).predict(0)
    keras_otel.uninstrument()

    assert len(providers.spans()) == 1
    assert _guard.failure_counts()["attach to the tracer provider"] > before


def test_a_provider_without_processors(providers):
    """A tracer provider of another SDK is used as it is."""

    class Foreign:
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            return providers.tracer_provider.get_tracer(*args, **kwargs)

    providers.instrument(tracer_provider=Foreign())
    Service(providers.tracer_provider.get_tracer("service")).predict(0)
    keras_otel.uninstrument()

    assert len(providers.spans()) == 1


def test_a_fault_on_an_accelerator(providers, accelerator, monkeypatch):
    """Where what is pending cannot be published, the span is made all the same."""
    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    before = _guard.failure_counts().get("publish", 0)
    monkeypatch.setattr(recipients, "publish_pending", broken)
    with service.span():
        service.model(np.eye(3, dtype="float32")[:1])
    keras_otel.uninstrument()

    assert _guard.failure_counts()["publish"] == before + 1
    assert len(providers.spans()) == 1
