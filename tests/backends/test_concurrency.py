"""Threads, asyncio, fork and accelerators."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel.inference import active
from keras_otel.introspection import registry
from keras_otel.metrics import dropped_counts
from tests.backends.models import IS_EAGER, classifier, rows

BACKEND = keras.backend.backend()


def safe_in_threads(model):
    """On JAX `predict_on_batch` gives the model's buffers away: `model(x)` is for threads."""
    return model if BACKEND == "jax" else model.predict_on_batch


def test_sixteen_threads_on_one_model(telemetry):
    """Each of 16 threads' calls is one span in its own thread's trace, with its own result."""
    if BACKEND == "openvino":
        pytest.skip("OpenVINO's infer request serves one thread at a time")
    model = classifier()
    infer = safe_in_threads(model)
    inputs = [rows(n + 1)[-1:] for n in range(16)]
    tracer = telemetry.tracer_provider.get_tracer("app")
    expected = [int(np.argmax(infer(x))) for x in inputs]
    telemetry.spans()
    barrier = threading.Barrier(16)

    def work(index: int) -> tuple[int, int]:
        barrier.wait()
        with tracer.start_as_current_span(f"request {index}") as span:
            for _ in range(10):
                infer(inputs[index])
        return index, span.get_span_context().trace_id

    with ThreadPoolExecutor(16) as pool:
        traces = {trace_id: index for index, trace_id in pool.map(work, range(16))}

    spans = telemetry.spans()
    assert len(spans) == 160
    for span in spans:
        index = traces[span.context.trace_id]
        assert span.attributes["keras.prediction.class_id"] == expected[index]


def test_asyncio_to_thread(telemetry):
    """An inference in `asyncio.to_thread` belongs to the span around the await."""
    if BACKEND == "openvino":
        pytest.skip("OpenVINO's infer request serves one thread at a time")
    infer = safe_in_threads(classifier())
    infer(rows())
    telemetry.spans()
    tracer = telemetry.tracer_provider.get_tracer("app")

    async def request(index: int) -> int:
        with tracer.start_as_current_span(f"request {index}") as span:
            await asyncio.to_thread(infer, rows())
        return span.get_span_context().span_id

    async def main() -> list[int]:
        return await asyncio.gather(*[request(i) for i in range(8)])

    parents = asyncio.run(main())
    assert sorted(span.parent.span_id for span in telemetry.spans()) == sorted(parents)


def test_a_thread_started_inside_a_call_is_free_again_after_it(telemetry):
    """A context copied inside a call does not silence the thread for ever."""
    model = classifier()
    go, done = threading.Event(), threading.Event()

    class Spawns(keras.Model):
        def call(self, x):
            context = __import__("contextvars").copy_context()

            def later():
                go.wait(10)
                model.predict_on_batch(rows())
                done.set()

            threading.Thread(target=context.run, args=(later,)).start()
            return x

    if not IS_EAGER:
        pytest.skip("OpenVINO computes nothing before predict")
    Spawns()(rows())
    telemetry.spans()
    go.set()
    assert done.wait(60)
    assert telemetry.span().attributes["keras.operation.name"] == "predict_on_batch"


def test_models_are_forgotten_with_their_last_reference(telemetry):
    """Nothing of ours keeps a model alive."""
    before = len(registry.models)
    references = []
    for _ in range(5):
        model = keras_otel.describe(classifier(), labels=["a", "b", "c"])
        model.predict_on_batch(rows())
        references.append(weakref.ref(model))
    del model
    for _ in range(3):
        gc.collect()
    assert len(registry.models) <= before + sum(ref() is not None for ref in references)
    if BACKEND == "numpy":  # the other backends' own caches may hold a model for a while
        assert [ref() for ref in references] == [None] * 5


@pytest.mark.usefixtures("accelerator")
class TestAccelerators:
    """Outputs that the caller does not wait for."""

    def test_the_span_is_made_by_the_worker(self, telemetry):
        """The output is read on a background thread, into the caller's trace."""
        model = keras_otel.describe(classifier(), labels=["a", "b", "c"])
        tracer = telemetry.tracer_provider.get_tracer("app")
        with tracer.start_as_current_span("request") as request:
            result = model(rows())
        assert active.observer.flush(10)

        span = telemetry.span()
        assert span.parent.span_id == request.get_span_context().span_id
        numbers = keras.ops.convert_to_numpy(result)
        assert span.attributes["keras.prediction.class"] == "abc"[int(numbers.argmax())]
        assert span.attributes["keras.batch.size"] == 1

    def test_a_hook_in_the_worker_does_not_recurse(self, telemetry):
        """A hook that calls the model from the worker makes no further span."""
        model = classifier()
        telemetry.instrument(on_prediction=lambda span, inference: model(rows()))
        model(rows())
        assert active.observer.flush(10)
        assert len(telemetry.spans()) == 1

    def test_a_full_queue_is_counted(self, telemetry, monkeypatch):
        """When the worker is behind, inferences go without a span and are counted."""
        release = threading.Event()
        telemetry.instrument(on_prediction=lambda span, inference: release.wait(10))
        monkeypatch.setattr("keras_otel.inference.observer.ACCELERATOR_CAPACITY", 2)
        telemetry.instrument(on_prediction=lambda span, inference: release.wait(10))
        model = classifier()
        before = dropped_counts().get("accelerator queue", 0)
        for _ in range(12):
            model(rows())
        release.set()
        assert active.observer.flush(10)
        made = len(telemetry.spans())
        dropped = dropped_counts()["accelerator queue"] - before
        assert dropped > 0
        assert made + dropped == 12

    @pytest.mark.skipif(BACKEND != "torch", reason="only torch's tensors can change")
    def test_changing_the_result_in_place_does_not_change_the_span(self, telemetry):
        """What the user does to a tensor afterwards is not what was predicted."""
        import torch

        release = threading.Event()
        model = classifier()
        telemetry.instrument(on_prediction=lambda span, inference: release.wait(10))
        with torch.no_grad():
            first, second = model(rows()), model(rows(2)[:1])
            wanted = int(second.argmax())
            second.neg_()
        release.set()
        assert active.observer.flush(10)
        assert first is not None
        assert telemetry.spans()[1].attributes["keras.prediction.class_id"] == wanted
