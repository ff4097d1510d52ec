"""Where predictions and LLM calls meet: the right label, or none where right cannot be known."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

import keras_otel
from keras_otel._worker import flush_workers
from keras_otel.propagation.context_identity import flow_contexts
from keras_otel.propagation.publication import MAX_MODELS
from keras_otel.propagation.remote_predictions import with_remote_predictions
from keras_otel.propagation.request_tree import tree
from keras_otel.records import UpstreamPrediction
from tests.propagation.conftest import Service, label_of

# -- one request, one thread ---------------------------------------------------------------------


def test_a_sibling_under_a_server_span(service):
    """The LLM call that follows a prediction carries it."""
    with service.span():
        assert service.llm() is None
        label = service.predict(1)
        assert service.llm() == label


def test_a_step_that_has_ended(service):
    """A prediction made inside a step is known to what comes after the step."""
    with service.span():
        with service.span("route"):
            label = service.predict(1)
        with service.span("answer"):
            assert service.llm() == label


def test_two_calls_follow_one_prediction(service):
    """A prediction is not used up: a draft and its critique both follow it."""
    with service.span():
        label = service.predict(2)
        assert [service.llm(), service.llm()] == [label, label]


def test_turns_of_a_conversation(service):
    """Each answer carries the prediction of its own turn."""
    with service.span():
        for index in (0, 1, 1, 2, 0):
            label = service.predict(index, strength=1.0 + index)
            assert service.llm() == label


def test_two_predictions_in_sequence(service):
    """Code that predicts one thing after the other means the newer one."""
    with service.span():
        service.predict(0)
        label = service.predict(1)
        assert service.llm() == label


def test_the_same_prediction_twice(service):
    """Two predictions that say the same, such as a retry, are one."""
    with service.span():
        service.predict(0)
        label = service.predict(0)
        assert service.llm() == label


def test_same_class_and_another_confidence(service):
    """The confidence is part of the label: the newer one counts."""
    with service.span():
        service.predict(0, strength=1.0)
        label = service.predict(0, strength=2.0)
        assert service.llm() == label


def test_a_step_of_its_own_after_an_ambiguous_one(service):
    """What was predicted inside a step is known to the step, whatever came before."""

    async def request() -> None:
        with service.span():
            await asyncio.gather(*(asyncio.to_thread(service.predict, i) for i in (0, 1)))
            assert service.llm() is None
            with service.span("turn"):
                label = service.predict(2)
                assert service.llm() == label
            assert service.llm() == label

    asyncio.run(request())


def test_two_models(service, guard):
    """Each model has its own keys."""
    with service.span():
        intent, toxicity = service.predict(1), guard.predict(2)
        with service.tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat"}
        ) as span:
            assert label_of(span, "intent") == intent
            assert label_of(span, "guard") == toxicity


def test_a_failed_prediction_takes_the_label_back(service):
    """After a call that failed the program goes on without a prediction, and so does the label."""
    with service.span():
        service.predict(1)
        service.llm()
        with pytest.raises(Exception):  # noqa: B017 - each backend has its own
            service.model.predict_on_batch("no numbers")
        assert service.llm() is None
        label = service.predict(0)
        assert service.llm() == label


def test_a_batch_has_no_label(service):
    """Which row of a batch an answer follows is not knowable."""
    import numpy as np

    with service.span():
        service.predict(1)
        service.llm()
        service.model.predict_on_batch(np.eye(3, dtype="float32"))
        assert service.llm() is None


def test_no_span_at_all(service):
    """Without a span there is no request that a prediction could belong to."""
    service.predict(1)
    assert service.llm() is None
    with service.span("unrelated request"):
        assert service.llm() is None
        assert keras_otel.current_predictions() == ()


def test_another_request_in_the_same_thread(service):
    """A request that predicts nothing has no label, whatever its thread did before."""
    with service.span("first"):
        service.predict(1)
        service.llm()
    with service.span("second"):
        assert service.llm() is None


def test_a_look_up_does_not_use_a_prediction(service):
    """An embedding on the way to the answer carries the label and leaves it to the answer."""
    with service.span():
        label = service.predict(0)
        with service.tracer.start_as_current_span(
            "embeddings", attributes={"gen_ai.operation.name": "embeddings"}
        ) as span:
            assert label_of(span) == label
        newer = service.predict(1)
        assert service.llm() == newer


# -- several requests ----------------------------------------------------------------------------


def _remote(trace_id: int = 7, span_id: int = 9) -> otel_context.Context:
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(parent), otel_context.Context())


def test_two_requests_with_one_remote_trace_id(service):
    """A retry by the caller shares its trace id and has nothing else in common."""
    with service.span("first", _remote()):
        service.predict(1)
    with service.span("second", _remote()):
        assert service.llm() is None


@pytest.mark.parametrize("is_sampled", [True, False])
def test_a_remote_parent_without_a_server_span(service, is_sampled):
    """A consumer that attaches what it extracted is a request too, and the next one another."""
    for index in (0, 1):
        parent = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1))
        context = set_span_in_context(NonRecordingSpan(parent), otel_context.Context())
        token = otel_context.attach(context)
        assert service.llm() is None
        label = service.predict(index)
        assert service.llm() == label
        otel_context.detach(token)


def test_a_process_below_one_remote_span(service):
    """Spans of a batch job that was started by a traced one do not share what they predict."""
    shared = _remote()
    with service.span("first", shared):
        service.predict(1)
    with service.span("second", shared):
        assert service.llm() is None


def test_thread_reuse(service):
    """A pool's thread carries nothing from one request to the next."""

    def first() -> None:
        with service.span("first"):
            service.predict(1)

    def second() -> object:
        with service.span("second"):
            return service.llm()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(first).result()
        assert pool.submit(second).result() is None


def test_interleaved_requests(service):
    """Two requests that take turns in one thread keep to themselves."""
    one = service.tracer.start_span("one", otel_context.Context())
    two = service.tracer.start_span("two", otel_context.Context())
    with trace.use_span(one):
        first = service.predict(0)
    with trace.use_span(two):
        second = service.predict(1)
    with trace.use_span(one):
        assert service.llm() == first
    with trace.use_span(two):
        assert service.llm() == second


# -- tasks and threads of one request --------------------------------------------------------------


def test_predict_in_to_thread(service):
    """The prediction of a thread that the request waits for is the request's."""

    async def request() -> None:
        with service.span():
            label = await asyncio.to_thread(service.predict, 1)
            assert service.llm() == label

    asyncio.run(request())


def test_turns_predicted_in_to_thread(service):
    """Turn by turn, each answer follows the thread that was waited for."""

    async def request() -> None:
        with service.span():
            for index in (0, 1, 2, 1):
                label = await asyncio.to_thread(service.predict, index)
                assert service.llm() == label
                assert await asyncio.to_thread(service.llm) == label

    asyncio.run(request())


def test_predict_in_a_child_task_and_llm_in_another(service):
    """One prediction in a request is the request's, whichever task makes or follows it."""

    async def predict():
        return service.predict(2)

    async def llm():
        return service.llm()

    async def request() -> None:
        with service.span():
            label = await asyncio.create_task(predict())
            assert await asyncio.create_task(llm()) == label
            assert await asyncio.to_thread(service.llm) == label

    asyncio.run(request())


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("with_spans", [True, False])
def test_a_fan_out_of_twenty(service, in_thread, with_spans):
    """Twenty items at once: each answer carries its own item's label, or none."""

    async def item(number: int) -> tuple[object, object]:
        index, strength = number % 3, 1.0 + number / 20
        await asyncio.sleep(0.001 * (number % 4))
        if in_thread:
            label = await asyncio.to_thread(service.predict, index, strength)
        else:
            label = service.predict(index, strength)
        await asyncio.sleep(0.001 * (number % 5))
        return label, service.llm()

    async def item_in_span(number: int) -> tuple[object, object]:
        with service.span(f"item {number}"):
            return await item(number)

    async def request() -> list[tuple[object, object]]:
        with service.span():
            one = item_in_span if with_spans else item
            return await asyncio.gather(*(one(number) for number in range(20)))

    results = asyncio.run(request())

    assert [found for label, found in results if found not in (label, None)] == []
    if with_spans or not in_thread:
        assert [label for label, _ in results] == [found for _, found in results]


def test_whole_items_in_threads(service):
    """An item that predicts and asks inside one thread knows its own label."""

    def item(number: int) -> tuple[object, object, object]:
        label = service.predict(number % 3, 1.0 + number / 20)
        return label, service.llm(), service.llm()

    async def request() -> list[tuple[object, object, object]]:
        with service.span():
            return await asyncio.gather(*(asyncio.to_thread(item, n) for n in range(20)))

    for label, first, second in asyncio.run(request()):
        assert (first, second) == (label, label)


def test_two_answers_an_item_with_a_few_at_a_time(service):
    """A second answer keeps its item's label although another item predicted meanwhile."""

    async def item(number: int, turn: asyncio.Semaphore) -> list[object]:
        async with turn:
            label = await asyncio.to_thread(service.predict, number % 3, 1.0 + number / 20)
            first = service.llm()
        await asyncio.sleep(0.002)
        return [found for found in (first, service.llm()) if found not in (label, None)]

    async def request() -> list[list[object]]:
        turn = asyncio.Semaphore(1)
        with service.span():
            return await asyncio.gather(*(item(number, turn) for number in range(20)))

    assert asyncio.run(request()) == [[]] * 20


def test_a_fan_out_in_one_task(service):
    """All predictions, then all answers: the program says which belongs to which."""
    with service.span():
        labels, predictions = [], []
        for number in range(5):
            labels.append(service.predict(number % 3, 1.0 + number))
            predictions.append(keras_otel.current_predictions()[0])
        found = []
        for prediction in predictions:
            with keras_otel.prediction_context(prediction):
                found.append(service.llm())
        assert found == labels


def test_answers_started_while_the_next_is_predicted(service):
    """A task that answers keeps what was predicted before it was started."""

    async def answer():
        await asyncio.sleep(0)
        return service.llm()

    async def request() -> None:
        with service.span():
            labels, answers = [], []
            for number in range(5):
                labels.append(service.predict(number % 3, 1.0 + number))
                answers.append(asyncio.create_task(answer()))
            assert await asyncio.gather(*answers) == labels

    asyncio.run(request())


def test_a_branch_that_predicts_nothing_keeps_what_it_started_with(service):
    """A task does not take over what its sibling predicted."""

    async def sibling(predicted: asyncio.Event) -> None:
        await asyncio.to_thread(service.predict, 2)
        predicted.set()
        await asyncio.sleep(0.01)

    async def branch(predicted: asyncio.Event):
        await predicted.wait()
        return service.llm()

    async def request() -> None:
        with service.span():
            label = service.predict(0)
            assert service.llm() == label
            predicted = asyncio.Event()
            _, found = await asyncio.gather(sibling(predicted), branch(predicted))
            assert found in (label, None)

    asyncio.run(request())


def test_executor_submit(service):
    """Without its context a pool's thread belongs to no request: no label, never a wrong one."""

    def item(index: int):
        label = service.predict(index)
        return label, service.llm()

    with service.span(), ThreadPoolExecutor(2) as pool:
        results = list(pool.map(item, (0, 1, 2, 0, 1)))
        assert [found for _, found in results] == [None] * 5
        assert service.llm() is None


def test_executor_submit_with_threading_instrumented(service):
    """With the context handed on, each answer carries its item's label or none."""

    def item(number: int):
        label = service.predict(number % 3, 1.0 + number / 20)
        return label, service.llm()

    ThreadingInstrumentor().instrument()
    try:
        with service.span(), ThreadPoolExecutor(4) as pool:
            results = [f.result() for f in [pool.submit(item, n) for n in range(20)]]
            one = pool.submit(service.predict, 1).result
        assert [found for label, found in results if found not in (label, None)] == []
        with service.span("next"), ThreadPoolExecutor(1) as pool:
            label = pool.submit(service.predict, 1).result()
            assert service.llm() == label
            assert pool.submit(service.llm).result() == label
    finally:
        ThreadingInstrumentor().uninstrument()
    assert one() is not None


def test_a_copied_context(service):
    """A thread that runs in the request's context belongs to the request."""
    with service.span():
        context = contextvars.copy_context()
        labels: queue.Queue[object] = queue.Queue()
        worker = threading.Thread(target=lambda: labels.put(context.run(service.predict, 1)))
        worker.start()
        worker.join()
        assert service.llm() == labels.get()


def test_async_generators_closed_from_another_task(service):
    """What a generator leaves behind in the task that started it is no wrong label."""

    async def stream(prediction):
        with keras_otel.prediction_context(prediction):
            yield service.llm()
            yield service.llm()

    async def request() -> None:
        with service.span():
            label = service.predict(0)
            (prediction,) = keras_otel.current_predictions()
            generator = stream(prediction)
            assert await anext(generator) == label
            await asyncio.create_task(generator.aclose())
            keras_otel.KerasSpanProcessor.clear()
            assert service.llm() is None
            newer = service.predict(1)
            assert service.llm() == newer

    asyncio.run(request())


def test_a_prediction_in_an_async_generator_closed_from_another_task(service):
    """A generator that predicts and asks labels its own answers, and closing it raises nothing."""

    async def stream():
        label = service.predict(0)
        yield service.llm() == label
        yield None

    async def request() -> None:
        with service.span():
            generator = stream()
            assert await anext(generator)
            await asyncio.create_task(generator.aclose())
        with service.span("next"):
            assert service.llm() is None

    asyncio.run(request())


# -- long lives ----------------------------------------------------------------------------------


def test_a_root_span_that_lives_for_hours(service):
    """A session's root keeps no more than the newest prediction of each model."""
    with service.span("session"):
        before = len(tree)
        for number in range(2_000):
            with service.span("turn"):
                label = service.predict(number % 3, 1.0 + number % 7)
                assert service.llm() == label
        assert len(tree) <= before + 1
        root = tree.node_of(trace.get_current_span())
        assert list(root.slots) == ["intent"]


def test_clear(service):
    """A session may say that something new begins."""
    with service.span("session"):
        service.predict(0)
        service.predict(1)
        keras_otel.KerasSpanProcessor.clear()
        assert service.llm() is None
        assert keras_otel.current_predictions() == ()
        label = service.predict(2)
        assert service.llm() == label


def test_models_without_end(telemetry):
    """A request that calls ever new models stays bounded, and a span carries eight of them."""
    tracer = telemetry.tracer_provider.get_tracer("service")
    with tracer.start_as_current_span("server"):
        for number in range(MAX_MODELS + 6):
            Service(tracer, f"m{number}").predict(0)
        flush_workers(60.0)
        root = tree.node_of(trace.get_current_span())
        assert len(root.slots) == MAX_MODELS
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat"}
        ) as span:
            models = {key.split(".")[2] for key in span.attributes if key.startswith("keras.")}
    assert models == {f"m{number}" for number in range(MAX_MODELS - 2, MAX_MODELS + 6)}


def test_nothing_is_left(service):
    """When the spans are gone, so is what was known of them."""
    with service.span(), service.span("step"):
        service.predict(1)
        service.llm()

    assert len(tree) == 0


# -- threads that a task waits for, and branches that it does not ----------------------------------


def test_a_step_inside_a_thread(service):
    """A thread that opens a span of its own still predicts for the task that waits for it."""

    def classify(index: int):
        with service.span("classify"):
            return service.predict(index)

    async def request() -> None:
        with service.span():
            for index in (0, 1, 2):
                label = await asyncio.to_thread(classify, index)
                assert service.llm() == label

    asyncio.run(request())


def test_two_predictions_inside_a_thread(service):
    """What a thread predicted last is what the task that waited for it goes on with."""

    def twice():
        service.predict(1)
        return service.predict(2)

    async def request() -> None:
        with service.span():
            label = await asyncio.to_thread(service.predict, 0)
            assert service.llm() == label
            label = await asyncio.to_thread(twice)
            assert service.llm() == label

    asyncio.run(request())


def test_items_with_spans_after_a_prediction_of_the_request(service):
    """Each item's answer carries the item's label, also where the request predicted before."""

    async def item(number: int):
        with service.span(f"item {number}"):
            label = await asyncio.to_thread(service.predict, number % 3, 1.0 + number / 20)
            await asyncio.sleep(0.001 * (number % 5))
            return label, service.llm()

    async def request() -> None:
        with service.span():
            service.predict(0)
            results = await asyncio.gather(*(item(number) for number in range(20)))
            assert [found for _, found in results] == [label for label, _ in results]

    asyncio.run(request())


def test_a_branch_uses_what_it_predicted(service):
    """After a task with a turn of its own, whether its parent's answer goes on from it is unknown."""

    async def follow_up() -> None:
        with service.span("follow up"):
            label = await asyncio.to_thread(service.predict, 2)
            assert service.llm() == label

    async def request() -> None:
        with service.span():
            label = service.predict(0)
            assert service.llm() == label
            await asyncio.create_task(follow_up())
            assert service.llm() is None
            label = service.predict(1)
            assert service.llm() == label

    asyncio.run(request())


def test_a_branch_that_still_runs(service):
    """While a background task has a prediction of its own, its parent's answer has that of neither."""

    async def follow_up(predicted: asyncio.Event) -> None:
        with service.span("follow up"):
            label = await asyncio.to_thread(service.predict, 2)
            predicted.set()
            await asyncio.sleep(0.01)
            assert service.llm() == label

    async def request() -> None:
        with service.span():
            label = service.predict(0)
            assert service.llm() == label
            predicted = asyncio.Event()
            background = asyncio.create_task(follow_up(predicted))
            await predicted.wait()
            assert service.llm() is None
            await background
            assert service.llm() is None

    asyncio.run(request())


def test_turns_predicted_in_tasks_that_are_waited_for(service):
    """`wait_for` and `gather` run what they wait for in tasks; the answer follows it."""

    async def classify(index: int):
        return service.predict(index)

    async def request() -> None:
        with service.span():
            for index in (0, 1, 2):
                label = await asyncio.wait_for(classify(index), 60)
                assert service.llm() == label
                (label,) = await asyncio.gather(classify((index + 1) % 3))
                assert service.llm() == label

    asyncio.run(request())


# -- steps in copied contexts, tasks and threads, over several turns ---------------------------------


def in_copied_context(step, *arguments):
    """Run a step as LangGraph and LangChain do."""
    return contextvars.copy_context().run(step, *arguments)


def test_turns_of_steps_in_copied_contexts(service):
    """Classify and answer each run in a copy of the context, three turns below one span."""
    with service.span("session"):
        for index in range(3):
            label = in_copied_context(service.predict, index)
            assert in_copied_context(service.llm) == label
            assert service.llm() == label


def test_a_step_in_a_copied_context_after_the_code_s_own(service):
    """A step that predicts anew replaces what the code around it had predicted and used."""
    with service.span():
        service.predict(0)
        service.llm()
        label = in_copied_context(in_copied_context, service.predict, 1)
        assert service.llm() == label


def test_a_task_started_after_a_step_in_a_copied_context(service):
    """Whether the task was started before the step or after it cannot be seen: never the old one."""

    async def answer():
        return service.llm()

    async def request() -> None:
        with service.span():
            service.predict(0)
            label = in_copied_context(service.predict, 1)
            assert await asyncio.create_task(answer()) in (label, None)
            with service.span("step"):
                assert await asyncio.create_task(answer()) == label

    asyncio.run(request())


@pytest.mark.parametrize("node", ["task", "thread", "thread in a task"])
def test_turns_of_awaited_nodes(service, node):
    """Classify and answer are each a task or a thread that is awaited, three turns below one span."""

    async def as_task(step, *arguments):
        return step(*arguments)

    async def run(step, *arguments):
        if node == "thread":
            return await asyncio.to_thread(step, *arguments)
        inner = as_task if node == "task" else asyncio.to_thread
        task = asyncio.create_task(inner(step, *arguments), context=contextvars.copy_context())
        await asyncio.wait([task])
        return task.result()

    async def turns() -> None:
        for index in range(3):
            label = await run(service.predict, index)
            assert await run(service.llm) == label
            assert service.llm() == label

    async def request() -> None:
        with service.span():
            await turns()
        with service.span("side by side"):
            await asyncio.gather(*(branch(number) for number in range(9)))

    async def branch(number: int) -> None:
        label = await run(service.predict, number % 3, 1.0 + number / 9)
        await asyncio.sleep(0)
        assert await run(service.llm) == label
        assert service.llm() == label

    asyncio.run(request())


def test_branches_of_steps_in_a_pool(service):
    """Each of a pool's jobs runs its steps one after the other, in copies of its context."""

    def branch(number: int):
        label = in_copied_context(service.predict, number % 3, 1.0 + number / 9)
        return label, in_copied_context(service.llm), service.llm()

    for workers in (1, 4):
        with service.span(), ThreadPoolExecutor(workers) as pool:
            jobs = [pool.submit(contextvars.copy_context().run, branch, n) for n in range(9)]
            for label, first, second in [job.result() for job in jobs]:
                assert (first, second) == (label, label)


def test_a_batch_that_goes_step_by_step(service):
    """All items are classified, then all are answered, each in a job: no answer tells its item."""

    def classify(number: int) -> None:
        # The span of the step follows what the step before predicted, for want of anything else.
        with service.tracer.start_as_current_span("step", attributes={"llm.step": number}):
            service.predict(number % 3, 1.0 + number / 9)

    with service.span(), ThreadPoolExecutor(1) as pool:
        for number in range(6):
            pool.submit(contextvars.copy_context().run, classify, number)
        answers = [pool.submit(contextvars.copy_context().run, service.llm) for _ in range(6)]
        assert [answer.result() for answer in answers] == [None] * 6


def test_gathered_tasks_that_predict_in_threads(service):
    """A task that waits for a thread of its own follows what that one predicted."""

    async def item(number: int):
        label = await asyncio.to_thread(service.predict, number % 3, 1.0 + number / 9)
        await asyncio.sleep(0.001 * (number % 4))
        return label, service.llm(), await asyncio.to_thread(service.llm)

    async def request() -> None:
        with service.span():
            for label, first, second in await asyncio.gather(*(item(n) for n in range(9))):
                assert (first, second) == (label, label)
            assert service.llm() is None

    asyncio.run(request())


@pytest.mark.parametrize("how", ["wait_for", "shield", "wait", "group", "gather"])
def test_every_way_to_wait(service, how):
    """However a task waits for another one, it goes on with what that one predicted."""

    async def node(step, *arguments):
        await asyncio.sleep(0)
        return step(*arguments)

    async def run(step, *arguments):
        if how == "wait_for":
            return await asyncio.wait_for(node(step, *arguments), 60)
        if how == "shield":
            return await asyncio.shield(node(step, *arguments))
        if how == "gather":
            return (await asyncio.gather(node(step, *arguments), asyncio.sleep(0)))[0]
        if how == "group":
            async with asyncio.TaskGroup() as group:
                task = group.create_task(node(step, *arguments))
        else:
            task = asyncio.create_task(node(step, *arguments))
            await asyncio.wait([task], return_when=asyncio.FIRST_COMPLETED)
        return task.result()

    async def request() -> None:
        with service.span():
            for index in range(3):
                label = await run(service.predict, index)
                assert await run(service.llm) == label
                assert service.llm() == label

    asyncio.run(request())


def test_task_groups_and_threads_of_anyio(service):
    """FastAPI's and Starlette's way to wait: task groups and worker threads of AnyIO."""

    async def node(step, *arguments):
        results.append(step(*arguments))

    async def in_group(step, *arguments):
        async with anyio.create_task_group() as group:
            group.start_soon(node, step, *arguments)
        return results.pop()

    async def item(number: int) -> None:
        label = await anyio.to_thread.run_sync(service.predict, number % 3, 1.0 + number / 9)
        await anyio.sleep(0.001 * (number % 4))
        assert service.llm() == label
        assert await anyio.to_thread.run_sync(service.llm) == label

    async def request() -> None:
        for run in (in_group, anyio.to_thread.run_sync):
            with service.span():
                for index in range(3):
                    label = await run(service.predict, index)
                    assert await run(service.llm) == label
                    assert service.llm() == label
        async with anyio.create_task_group() as group:
            with service.span():
                for number in range(9):
                    group.start_soon(item, number)

    results: list[object] = []
    anyio.run(request)


def test_a_worker_thread_that_does_one_job_after_the_other(service):
    """A worker of somebody's own carries nothing from one job of a request to the next."""

    def work() -> None:
        while (job := jobs.get()) is not None:
            context, step, arguments = job
            results.put(context.run(step, *arguments))

    def run(step, *arguments):
        jobs.put((contextvars.copy_context(), step, arguments))
        return results.get()

    jobs: queue.Queue = queue.Queue()
    results: queue.Queue = queue.Queue()
    worker = threading.Thread(target=work)
    worker.start()
    with service.span():
        label = service.predict(0)
        assert service.llm() == label
        context = contextvars.copy_context()
        assert run(service.predict, 1) is not None
        jobs.put((context, service.llm, ()))
        assert results.get() in (label, None)
    jobs.put(None)
    worker.join()


def test_a_race_between_two_tasks(service):
    """What a task that lost the race predicts later is its own affair."""

    async def slow() -> None:
        await asyncio.sleep(0.01)
        service.predict(2)
        await asyncio.sleep(0.05)

    async def fast():
        return service.predict(1)

    async def request() -> None:
        with service.span():
            loser = asyncio.create_task(slow())
            label = await asyncio.create_task(fast())
            assert service.llm() == label
            await asyncio.sleep(0.02)
            assert service.llm() in (label, None)
            await loser

    asyncio.run(request())


def test_contexts_are_let_go_of(service):
    """When a request has ended, nothing keeps its contexts, and so its spans, alive."""

    def request() -> None:
        with service.span():
            in_copied_context(service.predict, 0)
            in_copied_context(service.llm)

    before = len(flow_contexts)
    request()
    assert len(flow_contexts) == before
    assert len(tree) == 0


@pytest.mark.parametrize("pool", ["executor", "anyio"])
def test_an_idle_worker_keeps_nothing_of_its_last_job(service, pool):
    """A pool's thread that waits for work does not keep the request that it worked for alive."""

    async def request() -> None:
        run = asyncio.to_thread if pool == "executor" else anyio.to_thread.run_sync
        with service.span():
            label = await run(service.predict, 0)
            assert await run(service.llm) == label
        await asyncio.sleep(0)
        gc.collect()
        assert len(tree) == 0

    asyncio.run(request())


# -- another service's predictions -----------------------------------------------------------------


async def both(service: Service) -> None:
    """Two predictions side by side."""
    await asyncio.gather(*(asyncio.to_thread(service.predict, index) for index in (1, 2)))


def test_a_remote_prediction_gives_way_to_the_service_s_own(service):
    """What another service sent is older than what is predicted here, also where that is unclear."""
    sent = UpstreamPrediction(model="intent", version="v0", class_name="other", confidence=0.5)
    context = with_remote_predictions(otel_context.Context(), (sent,))
    token = otel_context.attach(context)
    try:
        with service.span():
            assert service.llm() == ("other", 0.5)
            label = service.predict(0)
            assert service.llm() == label
            asyncio.run(both(service))
            assert service.llm() is None
    finally:
        otel_context.detach(token)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_task_that_answers_behind_the_one_that_predicts(service, is_late):
    """Behind a queue, an answer does not carry the label of an item that came after its own."""
    service.is_late = is_late

    async def classify(items: asyncio.Queue, classified: asyncio.Queue) -> None:
        while True:
            index, context = await items.get()
            token = otel_context.attach(context)
            classified.put_nowait((service.predict(index), context))
            otel_context.detach(token)

    async def answer(classified: asyncio.Queue, answers: asyncio.Queue) -> None:
        while True:
            label, context = await classified.get()
            token = otel_context.attach(context)
            answers.put_nowait((label, service.llm()))
            otel_context.detach(token)

    async def request(indices: list[int]) -> list:
        items, classified, answers = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        workers = [
            asyncio.create_task(classify(items, classified)),
            asyncio.create_task(answer(classified, answers)),
        ]
        with service.span():
            for index in indices:
                items.put_nowait((index, otel_context.get_current()))
            answered = [await answers.get() for _ in indices]
        for worker in workers:
            worker.cancel()
        return answered

    ((label, followed),) = asyncio.run(request([1]))
    assert followed == label
    assert [followed for _, followed in asyncio.run(request([0, 1, 2]))] == [None, None, None]


def test_a_request_that_answers_behind_a_task_that_predicts(service):
    """The request's own code may lag behind a task that it does not wait for, too."""

    async def classify(classified: asyncio.Queue) -> None:
        for index in (0, 1, 2):
            classified.put_nowait(service.predict(index))

    async def request() -> list:
        classified = asyncio.Queue()
        with service.span():
            task = asyncio.create_task(classify(classified))
            answers = [(await classified.get(), service.llm()) for _ in range(3)]
            await task
        return answers

    assert [followed for _, followed in asyncio.run(request())] == [None, None, None]
