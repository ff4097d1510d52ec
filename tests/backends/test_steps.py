"""Predictions that are made in steps: coroutines, generators, and what is computed later."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.introspection.scope import current
from keras_otel.runtimes import steps
from tests.backends.models import IS_EAGER, WIDTH, rows

pytestmark = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")

CALL_S = 0.01
KINDS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


class Slow(keras.Model):
    """A classifier that takes its time."""

    def __init__(self):
        super().__init__(name="intent")
        self.head = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        time.sleep(CALL_S)
        return self.head(x)

    def one(self, x):
        return keras.ops.convert_to_numpy(self(x))


class Awaited(Slow):
    async def predict(self, x):
        await asyncio.sleep(CALL_S)
        return self.one(x)


class AwaitedTwice(Slow):
    async def predict(self, x):
        first = self.one(x)
        await asyncio.sleep(0)
        return (first + self.one(x)) / 2


class InThread(Slow):
    async def predict(self, x):
        return await asyncio.to_thread(self.one, x)


class AwaitsItsParent(Awaited):
    async def predict(self, x):
        return await super().predict(x)


class ReturnsCoroutine(Slow):
    def predict(self, x):
        async def compute():
            return self.one(x)

        return compute()


class Decorated(Slow):
    async def plain(self, x):
        await asyncio.sleep(0)
        return self.one(x)

    @functools.wraps(plain)
    def predict(self, *args):
        return self.plain(*args)


class Generates(Slow):
    def predict(self, x):
        for row in x:
            yield self.one(row[None])


class ReturnsGenerator(Slow):
    def predict(self, x):
        return (self.one(row[None]) for row in x)


class GeneratesLast(Slow):
    def predict(self, x):
        yield "working"
        return self.one(x)


class ReturnsMap(Slow):
    def predict(self, x):
        return map(self.one, (row[None] for row in x))


class ReturnsPartial(Slow):
    def predict(self, x):
        return functools.partial(self.one, x)


class GeneratesAwaited(Slow):
    async def predict(self, x):
        for row in x:
            await asyncio.sleep(0)
            yield self.one(row[None])


class ReturnsAsyncGenerator(Slow):
    def predict(self, x):
        async def compute():
            for row in x:
                yield self.one(row[None])

        return compute()


class ReturnsTask(Slow):
    def predict(self, x):
        async def compute():
            return self.one(x)

        return asyncio.ensure_future(compute())


class OnBatch(Slow):
    async def predict_on_batch(self, x):
        return self.one(x)


def awaits(make):
    async def run():
        return await make()

    return asyncio.run(run())


def drains(make):
    async def run():
        return [item async for item in make()]

    return asyncio.run(run())


def consumes(make):
    return list(make())


def ends(make):
    made = make()
    while True:
        try:
            next(made)
        except StopIteration as stop:
            return stop.value


def calls(make):
    return make()()


FORMS = [
    (Awaited, awaits),
    (AwaitedTwice, awaits),
    (InThread, awaits),
    (AwaitsItsParent, awaits),
    (ReturnsCoroutine, awaits),
    (Decorated, awaits),
    (ReturnsTask, awaits),
    (Generates, consumes),
    (ReturnsGenerator, consumes),
    (GeneratesLast, ends),
    (ReturnsMap, consumes),
    (ReturnsPartial, calls),
    (GeneratesAwaited, drains),
    (ReturnsAsyncGenerator, drains),
]


def built(kind):
    model = keras_otel.describe(kind(), labels=["a", "b", "c"])
    model(rows())
    return model


@pytest.mark.parametrize(("kind", "run"), FORMS, ids=lambda part: part.__name__)
def test_a_prediction_made_later_is_one_span(telemetry, kind, run):
    """One span with the class and the time of the work, which the request's LLM span follows."""
    model = built(kind)
    telemetry.spans()
    tracer = telemetry.tracer_provider.get_tracer("app")

    with tracer.start_as_current_span("POST"):
        result = run(lambda: model.predict(rows(1)))
        with tracer.start_as_current_span("chat", attributes={"gen_ai.system": "openai"}) as chat:
            pass

    span = telemetry.span()
    array = result[0] if isinstance(result, list) else result
    expected = "abc"[int(array.argmax())]
    assert span.attributes["keras.prediction.class"] == expected
    assert span.attributes["keras.prediction.confidence"] == pytest.approx(float(array.max()))
    assert span.attributes["keras.inference.duration"] >= CALL_S
    assert chat.attributes["keras.upstream.intent.class"] == expected
    assert current.get() is None


@pytest.mark.parametrize("kind", [Awaited, Generates, GeneratesAwaited, ReturnsPartial, OnBatch])
def test_the_function_stays_of_its_kind(telemetry, kind):
    """Whatever asks whether a method is a coroutine function or generator function is right."""
    method = "predict_on_batch" if kind is OnBatch else "predict"
    wrapped = getattr(kind, method)
    original = inspect.unwrap(wrapped)
    assert wrapped is not original
    for function in (wrapped, getattr(kind(), method)):
        assert [ask(function) for ask in KINDS] == [ask(original) for ask in KINDS]
        assert function.__name__ == method
        assert function.__qualname__ == original.__qualname__
    assert inspect.signature(wrapped) == inspect.signature(original)
    keras_otel.uninstrument()
    assert vars(kind)[method] is original


def test_every_item_of_a_generator_is_a_span_that_what_follows_it_carries(telemetry):
    """Between two items the LLM is asked about the one that is there."""
    model = built(Generates)
    model.head.set_weights([np.eye(WIDTH, 3) * 5, np.zeros(3)])
    x = np.eye(3, WIDTH, dtype="float32")[[2, 0, 1]]
    telemetry.spans()
    tracer = telemetry.tracer_provider.get_tracer("app")

    with tracer.start_as_current_span("POST"):
        followed = []
        for _ in model.predict(x):
            time.sleep(20 * CALL_S)
            with tracer.start_as_current_span("chat", attributes={"gen_ai.system": "x"}) as chat:
                followed.append(chat.attributes["keras.upstream.intent.class"])

    spans = telemetry.spans()
    assert followed == ["c", "a", "b"]
    assert [span.attributes["keras.prediction.class"] for span in spans] == followed
    durations = [span.attributes["keras.inference.duration"] for span in spans]
    assert all(CALL_S <= duration < 20 * CALL_S for duration in durations), durations


class Echo(Slow):
    """What a generator may do: take values and exceptions, clean up, return."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def predict(self, x):
        got = yield "first"
        self.log.append(got)
        try:
            got = yield self.one(x)
        except ValueError as error:
            self.log.append(error)
            got = yield "caught"
        finally:
            self.log.append("cleaned")
        self.log.append(got)
        return "value"

    async def predict_on_batch(self, x):
        got = yield "first"
        self.log.append(got)
        try:
            got = yield self.one(x)
        except ValueError as error:
            self.log.append(error)
            got = yield "caught"
        finally:
            self.log.append("cleaned")
        self.log.append(got)


THROWN = ValueError("thrown")
STOPPED = KeyError("not caught")
SCRIPTS = [
    [("send", None), ("send", 1), ("send", 2), ("send", 3)],
    [("send", None), ("send", 1), ("throw", THROWN), ("send", 5)],
    [("send", None), ("send", 1), ("throw", STOPPED), ("send", 5)],
    [("send", None), ("send", 1), ("close", None), ("send", 5)],
    [("send", None), ("close", None), ("close", None)],
    [("close", None), ("send", None)],
    [("throw", THROWN), ("send", None)],
    [("send", 7)],
    [("send", None), ("throw", GeneratorExit()), ("send", None)],
]


def played(made, script):
    """What comes of each step: a value, or an exception and whether it is the one thrown in."""
    seen = []
    loop = asyncio.new_event_loop()  # one for all: closing it closes what is left half-way
    for method, value in script:
        asynchronous = {"send": "asend", "throw": "athrow", "close": "aclose"}[method]
        name = method if hasattr(made, method) else asynchronous
        arguments = () if method == "close" else (value,)

        def step(name=name, arguments=arguments):
            result = getattr(made, name)(*arguments)
            return (
                loop.run_until_complete(awaitable(result))
                if inspect.isawaitable(result)
                else result
            )

        async def awaitable(result):
            return await result

        try:
            result = step()
        except BaseException as error:  # noqa: BLE001 - the outcome to compare is any exception
            seen.append((type(error), str(error), error is value, getattr(error, "value", None)))
        else:
            seen.append(result.shape if isinstance(result, np.ndarray) else result)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return seen


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_a_generator_behaves_as_its_own(telemetry, method, script):
    """Values sent, exceptions thrown, closing and the returned value are those of the user's code."""

    def play():
        log = []
        model = Echo(log)
        model(rows())
        return played(getattr(model, method)(rows()), script), log

    seen, log = play()
    spans = telemetry.spans()
    assert [s for s in spans if s.attributes["keras.operation.name"] != "call"] == spans[1:]
    assert len(spans) <= 3
    keras_otel.uninstrument()
    assert (seen, log) == play()
    assert current.get() is None


def test_what_is_never_consumed_leaves_nothing(telemetry):
    """A generator or coroutine that nobody runs makes no span and calls nothing."""
    model = built(Generates)
    telemetry.spans()
    model.predict(rows(2))
    asynchronous = built(Awaited)
    telemetry.spans()
    asynchronous.predict(rows()).close()
    gc.collect()
    assert telemetry.spans() == []


@pytest.mark.parametrize("how", ["close", "drop", "elsewhere"])
def test_a_generator_left_half_way(telemetry, how):
    """What was consumed is recorded, closing is no failure, and later calls are seen."""
    model = built(Generates)
    telemetry.spans()
    made = contextvars.copy_context().run(lambda: model.predict(rows(3)))
    next(made)
    assert current.get() is None
    match how:
        case "close":
            made.close()
        case "elsewhere":
            contextvars.copy_context().run(made.close)
    del made
    gc.collect()
    assert telemetry.span().attributes.get("error.type") is None
    model(rows())
    assert telemetry.span().name == "call intent"


def test_a_generator_that_changes_contexts(telemetry):
    """Each item may be asked for in another context; each belongs to the request that asks."""
    model = built(Generates)
    telemetry.spans()
    tracer = telemetry.tracer_provider.get_tracer("app")
    made = model.predict(rows(3))
    requests = []
    for _ in range(3):
        with tracer.start_as_current_span("POST") as request:
            contextvars.copy_context().run(next, made)
            requests.append(request.get_span_context().span_id)
    assert [span.parent.span_id for span in telemetry.spans()] == requests


def test_a_coroutine_whose_steps_run_in_several_contexts(telemetry):
    """Nothing is put back where it was not set."""
    model = built(Awaited)
    telemetry.spans()
    made = model.predict(rows())
    loop = asyncio.new_event_loop()
    try:
        asyncio.events._set_running_loop(loop)
        contextvars.copy_context().run(made.send, None)
        asyncio.events._set_running_loop(None)
        contextvars.Context().run(made.close)
    finally:
        asyncio.events._set_running_loop(None)
        loop.close()
    assert telemetry.spans() == []
    assert current.get() is None


def test_a_cancelled_coroutine(telemetry):
    """`CancelledError` is the caller's, and one ERROR span says so."""
    model = built(Awaited)
    telemetry.spans()

    async def run():
        task = asyncio.create_task(model.predict(rows()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(run())
    assert telemetry.span().attributes["error.type"].endswith("CancelledError")


@pytest.mark.parametrize("kind", ["coroutine", "generator", "asynchronous generator"])
def test_a_failure_is_the_users_own(telemetry, kind):
    """The exception is the very object that was raised, after one ERROR span."""
    error = RuntimeError("no")

    class Fails(Slow):
        async def predict(self, x):
            raise error

        def predict_on_batch(self, x):
            raise error
            yield x

        async def __call__(self, x):
            raise error
            yield x

    model = Fails()
    telemetry.spans()
    run = {
        "coroutine": lambda: awaits(lambda: model.predict(rows())),
        "generator": lambda: list(model.predict_on_batch(rows())),
        "asynchronous generator": lambda: drains(lambda: model(rows())),
    }[kind]
    with pytest.raises(RuntimeError, match="no") as caught:
        run()
    assert caught.value is error
    assert telemetry.span().attributes["error.type"] == "RuntimeError"


def test_concurrent_coroutines_follow_their_own(telemetry):
    """Each request's LLM span carries what its own coroutine predicted."""
    model = built(Awaited)
    model.head.set_weights([np.eye(WIDTH, 3) * 5, np.zeros(3)])
    x = np.eye(3, WIDTH, dtype="float32")
    tracer = telemetry.tracer_provider.get_tracer("app")

    async def request(row):
        with tracer.start_as_current_span("POST"):
            await model.predict(row[None])
            with tracer.start_as_current_span("chat", attributes={"gen_ai.system": "x"}) as chat:
                return chat.attributes["keras.upstream.intent.class"]

    async def run():
        return await asyncio.gather(*map(request, x))

    telemetry.spans()
    assert asyncio.run(run()) == ["a", "b", "c"]
    assert len(telemetry.spans()) == 3


def test_a_call_that_is_a_coroutine_function(telemetry):
    """Keras hands on whatever `call` returns; the inference is made when that is awaited."""

    class AwaitedCall(Slow):
        def build(self, shape):
            self.head.build(shape)

        async def call(self, x):
            await asyncio.sleep(CALL_S)
            return self.head(x)

    model = keras_otel.describe(AwaitedCall(), labels=["a", "b", "c"])
    model.build((None, WIDTH))
    result = keras.ops.convert_to_numpy(awaits(lambda: model(rows())))
    span = telemetry.span()
    assert span.name == "call intent"
    assert span.attributes["keras.prediction.class"] == "abc"[int(result.argmax())]
    assert span.attributes["keras.inference.duration"] >= CALL_S


def test_two_threads_of_one_coroutine_are_two_calls(telemetry):
    """Where a coroutine computes in threads side by side, neither result stands for both."""
    together = threading.Barrier(2)

    class Both(Slow):
        def call(self, x):
            return self.head(x)

        def one(self, x):
            together.wait(30)
            return keras.ops.convert_to_numpy(self(x))

        async def predict(self, x):
            halves = [asyncio.to_thread(self.one, row[None]) for row in x]
            return ["abc"[int(half.argmax())] for half in await asyncio.gather(*halves)]

    model = built(Both)
    telemetry.spans()
    for _ in range(20):
        assert len(awaits(lambda: model.predict(rows(2)))) == 2
    spans = telemetry.spans()
    assert len(spans) == 20
    assert not any("keras.prediction.class" in span.attributes for span in spans)


def test_a_future_is_the_users_own(telemetry):
    """What a pool computes is recorded where it is computed, not where it is ordered."""
    with ThreadPoolExecutor(1) as pool:

        class InPool(Slow):
            def predict(self, x):
                return pool.submit(self.one, x)

        model = built(InPool)
        telemetry.spans()
        result = model.predict(rows()).result()
        span = telemetry.span()
    assert span.attributes["keras.operation.name"] == "call"
    assert span.attributes["keras.prediction.class"] == "abc"[int(result.argmax())]


def test_a_fault_in_looking_at_an_item_changes_nothing(providers, monkeypatch):
    """An item comes back as it was though keras_otel cannot look at it."""
    providers.instrument()
    model = built(GeneratesLast)
    before = failure_counts().get("look at an item", 0)
    monkeypatch.setattr(steps, "_holds_arrays", None)
    assert next(model.predict(rows())) == "working"
    keras_otel.uninstrument()
    assert failure_counts()["look at an item"] > before


def test_a_generator_that_stands_for_a_coroutine(telemetry):
    """A function of `types.coroutine` can still be awaited."""

    class Old(Slow):
        @types.coroutine
        def predict(self, x):
            yield from asyncio.sleep(0).__await__()
            return self.one(x)

    model = built(Old)
    telemetry.spans()
    result = awaits(lambda: model.predict(rows()))
    assert telemetry.span().attributes["keras.prediction.class"] == "abc"[int(result.argmax())]


@pytest.mark.parametrize(("kind", "run"), FORMS, ids=lambda part: part.__name__)
def test_a_traced_function_may_be_made_in_steps(telemetry, kind, run):
    """`traced` takes coroutine functions and generator functions, and what returns them."""
    model = built(kind)
    keras_otel.uninstrument()
    predict = getattr(model, "predict")  # noqa: B009 - as the class has it without us
    telemetry.instrument()
    telemetry.spans()
    function = keras_otel.traced(predict, model)
    assert [ask(function) for ask in KINDS] == [ask(predict) for ask in KINDS]

    results = [run(lambda: function(rows(1))) for _ in range(2)]

    spans = telemetry.spans()
    is_later = kind in (ReturnsPartial, ReturnsMap, ReturnsTask)
    assert [span.name for span in spans] == ["call intent" if is_later else "traced intent"] * 2
    array = results[0][0] if isinstance(results[0], list) else results[0]
    assert spans[0].attributes["keras.prediction.class"] == "abc"[int(array.argmax())]
    if not is_later and kind is not GeneratesLast:  # whose first step is no prediction
        assert [span.attributes["keras.inference.cold"] for span in spans] == [True, False]
