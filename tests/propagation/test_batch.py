"""Calls that several requests share: each request gets its own row and nobody else's."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
from opentelemetry import context as otel_context
from opentelemetry.context import Context

import keras_otel
from keras_otel import semconv
from keras_otel._worker import Worker
from tests.propagation.conftest import CLASSES, Label, Service, label_of


def rows(*indexes: int) -> Any:
    """Questions that are routed to these classes, each row with a confidence of its own."""
    x = np.zeros((len(indexes), len(CLASSES)), "float32")
    for row, index in enumerate(indexes):
        x[row, index] = 1.0 + row / 10
    return x


def call(service: Service, contexts: Sequence[Context | None], *indexes: int) -> list[Label]:
    """Predict for all in another thread, as a batching server does: the labels by row."""
    results: list[Any] = []

    def work() -> None:
        with keras_otel.batch(contexts):
            results.append(np.asarray(service.model.predict_on_batch(rows(*indexes))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return [(CLASSES[i], float(results[0][row, i])) for row, i in enumerate(indexes)]


def test_each_request_has_its_row(service, telemetry):
    """A row is a span in its request's trace, linked to the one span of the call."""
    with service.span("first") as first:
        mine = otel_context.get_current()
    with service.span("second") as second:
        theirs = otel_context.get_current()
    labels = call(service, [mine, None, theirs], 0, 1, 2)
    shared, *spans = telemetry.spans()

    assert shared.attributes[semconv.BATCH_SIZE] == 3
    for span, request, label in zip(spans, (first, second), (labels[0], labels[2]), strict=True):
        assert span.parent.span_id == request.get_span_context().span_id
        assert span.context.trace_id == request.get_span_context().trace_id
        (link,) = span.links
        assert link.context == shared.context
        assert link.attributes == {semconv.LINK_TYPE: semconv.LINK_SHARED_CALL}
        attributes = span.attributes
        found = attributes[semconv.PREDICTION_CLASS], attributes[semconv.PREDICTION_CONFIDENCE]
        assert found == label
        assert attributes[semconv.BATCH_SIZE] == 1
        assert (span.start_time, span.end_time) == (shared.start_time, shared.end_time)


def test_only_its_own_request_is_stamped(service):
    """The answer of each request carries its own row, and an outsider's none."""
    with service.span("first"):
        first = otel_context.get_current()
    with service.span("second"):
        second = otel_context.get_current()
    labels = call(service, [first, second], 2, 1)

    assert service.llm(second) == labels[1]
    assert service.llm(first) == labels[0]
    with service.span("outsider"):
        assert service.llm() is None


def test_one_row(service):
    """A batch of one is a row like any other."""
    with service.span():
        (label,) = call(service, [otel_context.get_current()], 1)
        assert service.llm() == label


def test_rows_without_a_request(service, telemetry):
    """Padding and a context without a span get no span of their own."""
    call(service, [None, Context()], 0, 1)

    assert len(telemetry.spans()) == 1


def test_the_result_is_the_model_s_own(service):
    """The caller gets the very object that the model returned."""
    made = []

    class Echo(keras.Model):
        def call(self, x):
            made.append(x + 0)
            return made[-1]

    model = Echo()
    model(rows(0, 1))
    with service.span(), keras_otel.batch([otel_context.get_current(), None]):
        result = model(rows(0, 1))

    assert result is made[-1]


def test_another_number_of_rows(service, telemetry, caplog):
    """Nobody gets a row, one line says why, and what the model said before is outdated."""
    with service.span():
        context = otel_context.get_current()
        service.predict(0)
        with caplog.at_level(logging.WARNING, "keras_otel"), keras_otel.batch([context, context]):
            service.model.predict_on_batch(rows(0, 1, 2))
            service.model.predict_on_batch(rows(0, 1, 2))
        assert service.llm() is None

    assert len(telemetry.spans()) == 3
    said = [record.getMessage() for record in caplog.records if "batch()" in record.getMessage()]
    assert len(said) == 1
    assert "batch() has 2 contexts and the call has 3 rows" in said[0]


def test_a_call_that_fails(service):
    """The caller gets the exception, and each request's earlier label is outdated."""
    with service.span():
        context = otel_context.get_current()
        service.predict(0)

        def work() -> None:
            with keras_otel.batch([context]), pytest.raises(Exception):  # noqa: B017
                service.model.predict_on_batch("no numbers")

        work()
        assert service.llm() is None


def test_two_models_in_one_block(service, guard):
    """Each model's rows go to the same requests."""
    with service.span():
        context = otel_context.get_current()
        with keras_otel.batch([None, context]):
            service.model.predict_on_batch(rows(0, 1))
            guard.model.predict_on_batch(rows(0, 2))
        attributes = {"gen_ai.operation.name": "chat"}
        with service.tracer.start_as_current_span("chat", attributes=attributes) as span:
            assert label_of(span, "intent")[0] == "refund"
            assert label_of(span, "guard")[0] == "other"


def test_several_outputs(service):
    """Each output's row is published under its own name."""
    x = keras.Input((3,))
    outputs = {
        "intent": keras.layers.Softmax(name="intent")(x),
        "toxic": keras.layers.Dense(1, activation="sigmoid", name="toxic")(x),
    }
    model = keras_otel.describe(keras.Model(x, outputs), name="router", version="v1")
    with service.span():
        with keras_otel.batch([None, otel_context.get_current()]):
            model.predict_on_batch(rows(0, 2))
        found = {prediction.model for prediction in keras_otel.current_predictions()}

    assert found == {"router.intent", "router.toxic"}


@pytest.mark.parametrize("given", [["no context"], [object()], [{}], [Context(), 3]])
def test_something_else_than_contexts(service, given):
    """What is no context is refused, in words that say what to give."""
    with pytest.raises(TypeError, match=r"get_current\(\) for each row"), keras_otel.batch(given):
        pass


def test_nested_blocks(service):
    """The inner block counts while it is open, and then the outer one again."""
    with service.span("outer"):
        outer = otel_context.get_current()
    with service.span("inner"):
        inner = otel_context.get_current()
    with keras_otel.batch([outer]):
        with keras_otel.batch([inner]):
            service.model.predict_on_batch(rows(0))
        service.model.predict_on_batch(rows(1))

    assert service.llm(inner)[0] == "order"
    assert service.llm(outer)[0] == "refund"


def test_a_block_that_has_ended(service, telemetry):
    """Code that keeps a block's context after its end is outside of it."""
    with service.span():
        context = otel_context.get_current()

        async def late() -> None:
            await asyncio.sleep(0)
            service.model.predict_on_batch(rows(0, 1))

        async def request() -> None:
            with keras_otel.batch([context]):
                task = asyncio.create_task(late())
            await task

        asyncio.run(request())

    assert len(telemetry.spans()) == 1


class Batcher:
    """Collects what requests ask, predicts for all at once, and gives each its row."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: list[tuple[int, float, Context, asyncio.Future[Label]]] = []

    async def predict(self, index: int, strength: float) -> Label:
        future: asyncio.Future[Label] = asyncio.get_running_loop().create_future()
        self._waiting.append((index, strength, otel_context.get_current(), future))
        return await future

    async def serve(self, requests: int) -> None:
        done = 0
        while done < requests:
            await asyncio.sleep(0.002)
            batch, self._waiting = self._waiting[:8], self._waiting[8:]
            if not batch:
                continue
            x = np.zeros((8, len(CLASSES)), "float32")  # padded to a fixed size
            for row, (index, strength, _, _) in enumerate(batch):
                x[row, index] = strength
            contexts = [context for _, _, context, _ in batch] + [None] * (8 - len(batch))
            with keras_otel.batch(contexts):
                output = np.asarray(await asyncio.to_thread(self._service.model, x))
            for row, (index, _, _, future) in enumerate(batch):
                future.set_result((CLASSES[index], float(output[row, index])))
            done += len(batch)


def test_a_batching_server(service):
    """Twenty concurrent requests in batches of up to eight: each answer has its own label."""
    chance = random.Random(0)
    batcher = Batcher(service)

    async def request() -> tuple[Label, Label | None]:
        await asyncio.sleep(chance.uniform(0, 0.01))
        with service.span():
            label = await batcher.predict(chance.randrange(3), chance.uniform(1, 3))
            await asyncio.sleep(chance.uniform(0, 0.01))
            return label, service.llm()

    async def main() -> list[tuple[Label, Label | None]]:
        requests = [asyncio.create_task(request()) for _ in range(20)]
        await batcher.serve(len(requests))
        return await asyncio.gather(*requests)

    for label, carried in asyncio.run(main()):
        assert carried == label


def test_a_second_row_for_the_same_span(service):
    """Which of two rows an answer follows is not known: it has no label, and never the older one."""
    with service.span():
        context = otel_context.get_current()
        (label,) = call(service, [context], 0)
        assert service.llm() == label
        call(service, [context], 1)
        assert service.llm() is None


@pytest.mark.parametrize("is_used", [False, True])
def test_a_row_after_a_prediction_of_its_own(service, is_used):
    """The request's own prediction may be the older one, so it is not stamped any longer."""
    with service.span():
        label = service.predict(0)
        if is_used:
            assert service.llm() == label
        call(service, [otel_context.get_current()], 1)
        assert service.llm() is None


def test_turns_with_a_span_each(service):
    """Each turn's answer follows the row of its turn."""
    with service.span("session"):
        for index in (0, 1, 2, 0):
            with service.span("turn"):
                (label,) = call(service, [otel_context.get_current()], index)
                assert service.llm() == label


# -- accelerators ----------------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch) -> threading.Event:
    """The worker waits for this event before it finishes anything."""
    event = threading.Event()
    submit = Worker.submit

    def later(self: Worker, finish: Any, *capacity: int) -> bool:
        def wait_and_finish() -> None:
            assert event.wait(10)
            finish()

        return submit(self, wait_and_finish, *capacity)

    monkeypatch.setattr(Worker, "submit", later)
    return event


def test_rows_that_are_still_computed(service, accelerator, held):
    """An answer that starts meanwhile is stamped as soon as its row is known."""
    with service.span():
        context = otel_context.get_current()
        with keras_otel.batch([None, context]):
            service.model(rows(0, 1))
        attributes = {"gen_ai.operation.name": "chat"}
        with service.tracer.start_as_current_span("chat", attributes=attributes) as span:
            assert label_of(span) is None
            held.set()
            assert keras_otel.inference.active.observer.flush(10)
            assert label_of(span)[0] == "refund"


def test_an_older_label_while_rows_are_computed(service, accelerator, held):
    """What the model said to the request before is not stamped in the meantime, nor later."""
    with service.span():
        context = otel_context.get_current()
        held.set()
        with keras_otel.batch([context]):
            service.model(rows(0))
        assert keras_otel.inference.active.observer.flush(10)
        assert service.llm()[0] == "order"
        held.clear()
        with keras_otel.batch([context]):
            service.model(rows(1))
        attributes = {"gen_ai.operation.name": "chat"}
        with service.tracer.start_as_current_span("chat", attributes=attributes) as span:
            assert label_of(span) is None
            held.set()
            assert keras_otel.inference.active.observer.flush(10)
            assert label_of(span) in (None, ("refund", pytest.approx(0.9647, abs=1e-3)))


def test_rows_that_turn_out_not_to_fit(service, accelerator):
    """A wrong number of rows on an accelerator leaves nobody with a label."""
    with service.span():
        context = otel_context.get_current()
        with keras_otel.batch([context, context]):
            service.model(rows(0, 1, 2))
        assert keras_otel.inference.active.observer.flush(10)
        assert service.llm() is None


def test_a_full_queue(service, accelerator, monkeypatch):
    """Rows that nobody waits for any longer are no label, and are counted as dropped."""
    monkeypatch.setattr(Worker, "submit", lambda *_: False)
    with service.span():
        context = otel_context.get_current()
        with keras_otel.batch([context]):
            service.model(rows(0))
        assert service.llm() is None
        assert keras_otel.current_predictions() == ()
