"""Spans that say only after their start that they are about generative AI."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import keras_otel
from keras_otel._worker import flush_workers
from keras_otel.propagation.processors import KerasSpanProcessor
from keras_otel.propagation.publication import Publication
from keras_otel.propagation.remote_predictions import with_remote_predictions
from keras_otel.propagation.request_tree import tree
from keras_otel.propagation.resolution import carried_by
from keras_otel.propagation.unclassified_spans import watching
from keras_otel.records import UpstreamPrediction
from tests.propagation.conftest import Label, Service, label_of
from tests.propagation.test_random_requests import (
    ASK,
    EXAMPLES,
    PAUSE,
    PREDICT,
    SPREAD_TURN,
    TURN,
    Block,
    in_request,
    programs,
    run,
)

LATE = {"gen_ai.request.model": "gpt"}


@contextmanager
def by_hand(service: Service, late: dict[str, Any] | None = None) -> Iterator[Any]:
    """An LLM span as it is most often written by hand."""
    with service.tracer.start_as_current_span("llm") as span:
        span.set_attributes(LATE if late is None else late)
        yield span


def answer(service: Service, late: dict[str, Any] | None = None) -> Label | None:
    """Call an LLM by hand: the label that its span has once it has ended."""
    with by_hand(service, late) as span:
        pass
    return label_of(span)


def latest(span: Any) -> Publication:
    """What was predicted last in the request of this span."""
    node = tree.node_of(span)
    assert node is not None
    assert node.request.slots is not None
    return node.request.slots["intent"].latest


# -- which spans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gen_ai.operation.name", "chat"),
        ("openinference.span.kind", "LLM"),
        ("traceloop.span.kind", "workflow"),
        ("llm.model_name", "gpt"),
        ("fi.span.kind", "LLM"),
        ("langfuse.observation.type", "generation"),
        ("langsmith.span.kind", "llm"),
        ("mlflow.spanType", '"CHAT_MODEL"'),
        ("agentops.span.kind", "llm"),
        ("langtrace.service.type", "framework"),
        ("lmnr.span.type", "LLM"),
        ("ai.model.id", "gpt"),
        ("weave.span.kind", "llm"),
    ],
)
def test_a_key_that_is_set_later(service, key, value):
    """The keys of each convention make it one, also after the start."""
    with service.span():
        label = service.predict(1)
        assert answer(service, {key: value}) == label


@pytest.mark.parametrize(
    "key",
    [
        "http.request.method",
        "gen_aix",
        "langfuse.trace.name",
        "langfuse.environment",
        "traceloop.association.properties.user",
        "gen_ai.conversation.id",
        "lmnr.span.path",
        "lmnr.span.sdk_version",
        "opik.trace_id",
        "weave.parent_call.id",
        "braintrust.parent",
    ],
)
def test_a_key_that_says_nothing(service, key):
    """Other keys do not, and neither do those that an SDK puts on every span of a request."""
    with service.span() as span:
        service.predict(1)
        assert answer(service, {key: "x"}) is None
        assert not latest(span).is_used


@pytest.mark.parametrize(
    ("propagate", "is_stamped"), [("genai", True), ("all", True), ("none", False)]
)
def test_modes(providers, propagate, is_stamped):
    """`propagate` decides as with spans that say it at their start."""
    providers.instrument(propagate=propagate)
    service = Service(providers.tracer_provider.get_tracer("service"))
    with service.span() as span:
        label = service.predict(1)
        assert answer(service) == (label if is_stamped else None)
        assert latest(span).is_used == is_stamped
    keras_otel.uninstrument()


def test_other_people_s_instrumentations_are_left_alone(telemetry, service):
    """A span of a database's instrumentation is no LLM's, whatever else it carries."""
    tracer = telemetry.tracer_provider.get_tracer("opentelemetry.instrumentation.psycopg2")
    with service.span():
        service.predict(1)
        assert answer(Service(tracer, "other")) is None


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.PRODUCER])
def test_a_span_of_a_server_or_queue(service, kind):
    """It is no LLM's."""
    with service.span():
        service.predict(1)
        with service.tracer.start_as_current_span("x", kind=kind) as span:
            span.set_attributes(LATE)
        assert label_of(span) is None


@pytest.mark.parametrize(
    "scope",
    [
        "agentops",
        "azure.ai.inference",
        "langsmith",
        "langtrace_python_sdk.instrumentation.openai.instrumentation",
        "llamaindex.opentelemetry.tracer",
        "lmnr.tracer",
        "mlflow.tracing.fluent",
    ],
)
def test_scopes(telemetry, service, scope):
    """These need no key at all."""
    with service.span():
        label = service.predict(1)
        tracer = telemetry.tracer_provider.get_tracer(scope)
        with tracer.start_as_current_span("x") as span:
            assert label_of(span) == label


def test_a_vector_store_of_langtrace(telemetry, service):
    """Its spans are no LLM's."""
    scope = "langtrace_python_sdk.instrumentation.pinecone.instrumentation"
    with service.span():
        service.predict(1)
        with telemetry.tracer_provider.get_tracer(scope).start_as_current_span("x") as span:
            assert label_of(span) is None


# -- which prediction ------------------------------------------------------------------------------


def test_turns(service):
    """Each answer has the prediction of its own turn."""
    with service.span():
        for index in (0, 1, 1, 2, 0):
            label = service.predict(index, strength=1.0 + index)
            assert answer(service) == label


def test_turns_of_both_kinds(service):
    """Answers that say it late, and others that say it at once, take turns."""
    with service.span():
        for index in (0, 1, 2):
            label = service.predict(index)
            assert answer(service) == label
            label = service.predict(index, strength=2.0)
            assert service.llm() == label


def test_turns_whose_predictions_are_made_in_threads(service):
    """The same where `asyncio.to_thread` runs the model."""

    async def request() -> None:
        for index in (0, 1, 2):
            label = await asyncio.to_thread(service.predict, index)
            assert answer(service) == label

    with service.span():
        asyncio.run(request())


def test_two_tasks(service):
    """Each of two tasks below one span has its own."""

    async def task(index: int) -> None:
        for strength in (1.0, 2.0):
            await asyncio.sleep(0)
            label = service.predict(index, strength)
            with by_hand(service) as span:
                await asyncio.sleep(0)
            assert label_of(span) == label

    async def request() -> None:
        await asyncio.gather(task(0), task(1))

    with service.span():
        asyncio.run(request())


@pytest.mark.parametrize("is_current", [True, False])
def test_a_prediction_made_while_it_is_open(service, is_current):
    """It has what it could follow at its start; the newer one is for what comes then."""
    with service.span():
        first = service.predict(0)
        span = service.tracer.start_span("llm")
        span.set_attributes(LATE)
        if is_current:
            with service.span("output guard"):
                pass
        second = service.predict(1)
        span.end()
        assert label_of(span) == first
        assert service.llm() == second
        assert answer(service) == second


def test_a_prediction_beside_it(service):
    """What another task predicts meanwhile is not for it."""

    async def answers() -> Label | None:
        service.predict(0)
        with by_hand(service) as span:
            await asyncio.sleep(0.01)
        return label_of(span)

    async def predicts() -> None:
        await asyncio.sleep(0)
        service.predict(1)

    async def request() -> Label | None:
        label, _ = await asyncio.gather(answers(), predicts())
        return label

    with service.span():
        label = asyncio.run(request())

    assert label is not None
    assert label[0] == "order"


def test_a_span_that_started_before_any_prediction(service):
    """There was nothing to follow then."""
    with service.span():
        with by_hand(service) as span:
            service.predict(1)
        assert label_of(span) is None


def test_a_given_prediction(service):
    """`prediction_context` counts at the start, too."""
    given = UpstreamPrediction(model="intent", class_name="mine", confidence=0.5)
    with keras_otel.prediction_context(given):
        span = service.tracer.start_span("llm")
    span.set_attributes(LATE)
    span.end()

    assert label_of(span) == ("mine", 0.5)


@pytest.mark.parametrize("is_late", [False, True])
def test_what_another_service_sent(is_late):
    """A service without a Keras of its own stamps what came with the request, whenever it is said."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(KerasSpanProcessor())
    sent = UpstreamPrediction(model="intent", class_name="theirs", confidence=0.5)
    context = with_remote_predictions(Context(), (sent,))
    span = provider.get_tracer("app").start_span(
        "llm", context, attributes=None if is_late else LATE
    )
    span.set_attributes(LATE)
    span.end()

    assert label_of(span) == ("theirs", 0.5)


def test_a_stream_that_is_read_elsewhere(service):
    """An answer that streams ends where it is read, here in a task of its own."""

    async def request() -> tuple[Any, Label, Label | None]:
        label = service.predict(0)
        span = service.tracer.start_span("llm")

        async def read() -> None:
            await asyncio.sleep(0)
            span.set_attributes(LATE)
            span.end()

        await asyncio.create_task(read())
        second = service.predict(1)
        assert answer(service) == second
        return span, label, service.llm()

    with service.span():
        span, label, last = asyncio.run(request())
    assert label_of(span) == label
    assert last is not None
    assert last[0] == "refund"


def test_an_answer_around_an_answer(service):
    """An agent's span and the model's inside it both say it late, and follow one prediction."""
    with service.span():
        label = service.predict(2)
        with by_hand(service) as agent:
            assert answer(service) == label
        assert label_of(agent) == label
        second = service.predict(0)
        assert answer(service) == second


def test_a_log_record_inside(telemetry, service):
    """A record about GenAI that is emitted inside carries what the span will."""
    with service.span():
        label = service.predict(1)
        with by_hand(service):
            telemetry.logger_provider.get_logger("app").emit(
                event_name="gen_ai.client.inference.operation.details", attributes={}
            )
            service.predict(2)
    (record,) = telemetry.logs()

    assert record.log_record.attributes["keras.upstream.intent.class"] == label[0]


def test_a_prediction_that_is_known_later(service, accelerator):
    """What an accelerator still computes at the start is there at the end."""
    import keras
    import numpy as np

    x = np.zeros((1, 3), "float32")
    x[0, 1] = 1.0
    with service.span() as span:
        service.model(keras.ops.convert_to_tensor(x))
        with by_hand(service) as late:
            deadline = time.monotonic() + 10
            while latest(span).is_pending and time.monotonic() < deadline:
                time.sleep(0.005)

    found = label_of(late)
    assert found is not None
    assert found[0] == "refund"


LATE_PROGRAMS = settings(EXAMPLES, max_examples=150)


@LATE_PROGRAMS
@given(
    program=programs(st.one_of(PREDICT, ASK, PAUSE, TURN), is_concurrent=True),
    in_loop=st.booleans(),
)
def test_no_label_is_wrong(service: Service, program: Block, in_loop: bool) -> None:
    """Random programs whose LLM spans all say it late: each label is one that is right."""
    service.is_late = True
    for asked in run(service, in_request(program), in_loop=in_loop).asked:
        assert asked.carried is None or asked.carried in asked.may_carry()


@LATE_PROGRAMS
@given(
    program=programs(st.one_of(TURN, SPREAD_TURN, ASK), is_concurrent=False),
    in_loop=st.booleans(),
)
def test_one_thing_after_the_other_has_every_label(
    service: Service, program: Block, in_loop: bool
) -> None:
    """Where each prediction is used before the next one, every such span has the newest."""
    service.is_late = True
    for asked in run(service, in_request(program), in_loop=in_loop).asked:
        known = [made.label for made in asked.known]
        assert asked.carried == (known[0] if known else None)


# -- look-ups --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gen_ai.operation.name", "embeddings"),
        ("gen_ai.operation.name", "vectordb"),
        ("gen_ai.span.kind", "RETRIEVER"),
        ("openinference.span.kind", "RETRIEVER"),
        ("mlflow.spanType", '"EMBEDDING"'),
        ("langfuse.observation.type", "tool"),
        ("traceloop.span.kind", "tool"),
    ],
)
@pytest.mark.parametrize("scope", ["service", "openinference.instrumentation.langchain"])
def test_a_look_up_that_says_so_later(telemetry, service, scope, key, value):
    """It has the label, and leaves it to be used by the answer."""
    tracer = telemetry.tracer_provider.get_tracer(scope)
    with service.span() as span:
        label = service.predict(0)
        with tracer.start_as_current_span("look-up") as late:
            late.set_attribute(key, value)
        assert label_of(late) == label
        assert not latest(span).is_used
        assert answer(service) == label
        assert latest(span).is_used


def test_a_look_up_around_an_answer(telemetry, service):
    """What an answer inside has used stays used."""
    tracer = telemetry.tracer_provider.get_tracer("openinference.instrumentation.langchain")
    with service.span() as span:
        label = service.predict(0)
        with tracer.start_as_current_span("tool") as late:
            assert service.llm() == label
            late.set_attribute("openinference.span.kind", "TOOL")
        assert latest(span).is_used


# -- evaluations and log records -------------------------------------------------------------------


def test_an_evaluation_inside(telemetry, service):
    """It carries what the span will, and so does one that comes after."""
    with service.span():
        label = service.predict(1)
        with by_hand(service) as span:
            service.predict(2)
            keras_otel.record_evaluation("inside", passed=True)
        keras_otel.record_evaluation("after", span=span, passed=True)
    records = telemetry.logs()

    found = [r.log_record.attributes.get("keras.upstream.intent.class") for r in records]
    assert found == [label[0], label[0]]


def test_a_late_span_within_a_late_one_after_a_thread(service):
    """The outer one has used what the thread predicted, so whether the inner one may is unknown."""

    async def request() -> None:
        with service.span():
            service.predict(0)
            label = await asyncio.to_thread(service.predict, 1)
            with service.span("outer") as outer:
                outer.set_attribute("gen_ai.operation.name", "chat")
                with service.span("inner") as inner:
                    inner.set_attribute("gen_ai.operation.name", "chat")
            assert label_of(inner) is None
            assert label_of(outer) == label
            assert service.llm() == label

    asyncio.run(request())


# -- what it costs ---------------------------------------------------------------------------------


def test_nothing_is_kept(service):
    """After the span there is nothing left of it, also where it never ended."""
    before = watching.count
    with service.span() as root:
        service.predict(1)
        node = tree.node_of(root)
        assert node is not None
        answer(service)
        with service.span("plain"):
            assert node.request.open_spans
        assert not node.request.open_spans
        assert watching.count == before
        service.tracer.start_span("never ended")
        gc.collect()
        service.predict(2)
        assert not node.request.open_spans
        assert watching.count == before
    del root, node
    flush_workers(60.0)  # what is pending holds the request
    gc.collect()

    assert len(tree) == 0


def test_a_full_span(providers):
    """It loses nothing of its own, and has as much of the label as there is room for."""
    exporter = InMemorySpanExporter()
    providers.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    providers.instrument()
    service = Service(providers.tracer_provider.get_tracer("service"))
    with service.span():
        label = service.predict(1)
        found = [answer(service, {f"gen_ai.{n}": n for n in range(128 - free)}) for free in (0, 1)]
    keras_otel.uninstrument()
    spans = [span for span in exporter.get_finished_spans() if span.name == "llm"]

    assert found == [None, (label[0], None)]
    assert [span.attributes["gen_ai.0"] for span in spans] == [0, 0]


# -- other people's processors ---------------------------------------------------------------------


class Forwarding(SpanProcessor):
    """As many wrappers do, it hands on the start and the end, and not what is between."""

    def __init__(self, inner: SpanProcessor) -> None:
        self.inner = inner

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Hand on."""
        self.inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on."""
        self.inner.on_end(span)


def test_a_wrapper_that_hides_the_end(telemetry):
    """A span whose end is not seen has no label, and stays as it was."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Forwarding(KerasSpanProcessor()))
    service = Service(provider.get_tracer("service"))
    with service.span():
        label = service.predict(1)
        assert answer(service) is None
        assert service.llm() == label


def test_two_processors(telemetry, service):
    """A second one of the user's own stamps nothing again."""
    telemetry.tracer_provider.add_span_processor(KerasSpanProcessor())
    with service.span():
        label = service.predict(1)
        assert answer(service) == label


def test_a_concurrent_processor(providers):
    """The end is seen in the thread that ends the span."""
    active = ConcurrentMultiSpanProcessor(num_threads=2)
    provider = TracerProvider(active_span_processor=active, shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    providers.instrument(tracer_provider=provider)
    service = Service(provider.get_tracer("service"))
    with service.span():
        label = service.predict(1)
        answer(service)
        assert service.llm() == label
    keras_otel.uninstrument()
    active._executor.shutdown()

    assert [label_of(s) for s in exporter.get_finished_spans() if s.name == "llm"] == [label]


@pytest.mark.parametrize("is_current", [True, False], ids=["current", "by callbacks"])
@pytest.mark.parametrize(
    "kind",
    [
        {"openinference.span.kind": "CHAIN"},
        {"gen_ai.operation.name": "invoke_agent"},
        {"traceloop.span.kind": "workflow"},
    ],
    ids=lambda kind: next(iter(kind.values())),
)
def test_a_span_around_a_turn(service, kind, is_current):
    """An agent's span does not carry what was predicted for the turn before."""
    with service.span("session"):
        for index in range(3):
            agent = service.tracer.start_span("agent", attributes=kind)
            with trace.use_span(agent) if is_current else nullcontext():
                label = service.predict(index)
                assert service.llm() == label
            agent.end()
            assert label_of(agent) is None


def test_an_agent_after_the_prediction(service):
    """An agent's span carries what was predicted before it, and so does an evaluation of it."""
    with service.span("session"):
        for index in range(3):
            label = service.predict(index)
            agent = service.tracer.start_span(
                "agent", attributes={"openinference.span.kind": "AGENT"}
            )
            with trace.use_span(agent):
                assert service.llm() == label
                assert carried_by(agent, None)[0].class_name == label[0]
            agent.end()
            assert label_of(agent) == label
