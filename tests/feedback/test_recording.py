"""Where feedback goes: log record, span event or child span, from any task and thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from keras_otel.feedback import record_evaluation
from tests.backends.models import rows
from tests.feedback.conftest import (
    EVENT,
    GENAI,
    LABELS,
    counts,
    event_of,
    finished,
    span_of,
    upstream,
    upstream_of,
)


def test_on_the_current_span(telemetry, intent):
    """The span gets an event, the log the same one, both with the prediction; no span is made."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry) as span:
            record_evaluation("faithfulness", score=0.2, passed=False, explanation="made up")
            own = span.get_span_context()

    predicted = finished(telemetry, "predict_on_batch intent").attributes
    expected = {
        "gen_ai.evaluation.name": "faithfulness",
        "gen_ai.evaluation.score.value": 0.2,
        "gen_ai.evaluation.score.label": "fail",
        "gen_ai.evaluation.explanation": "made up",
        "keras.evaluation.passed": False,
        "keras.upstream.intent.class": predicted["keras.prediction.class"],
        "keras.upstream.intent.confidence": predicted["keras.prediction.confidence"],
        "keras.upstream.intent.version": "v1",
    }
    (event,) = finished(telemetry, "chat").events
    assert (event.name, dict(event.attributes)) == (EVENT, expected)
    assert event_of(telemetry) == (EVENT, expected, own.trace_id, own.span_id)
    assert len(telemetry.spans()) == 1  # the inference alone


def test_on_the_request_of_a_span_that_is_not_about_genai(telemetry, intent):
    """On a server span the evaluation carries what was predicted in its request."""
    tracer = telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("POST /chat"):
        intent.predict_on_batch(rows())
        record_evaluation("tone", passed=True)

    _, attributes, *_ = event_of(telemetry)
    assert attributes["gen_ai.evaluation.score.label"] == "pass"
    assert set(upstream_of(attributes)) == {"intent"}


def test_on_a_span_that_has_ended(telemetry, intent):
    """A short span below it, linked to it, carries the evaluation and the prediction."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry) as span:
            pass

    record_evaluation("faithfulness", score=1, span=span)

    own = span.get_span_context()
    made = finished(telemetry, "evaluate faithfulness")
    assert (made.parent.span_id, made.context.trace_id) == (own.span_id, own.trace_id)
    (link,) = made.links
    assert link.context == own
    assert link.attributes == {"keras.link.type": "evaluated"}
    assert made.attributes["gen_ai.evaluation.score.value"] == 1.0
    assert made.attributes["keras.upstream.intent.class"] in LABELS
    assert made.status.status_code is StatusCode.UNSET
    assert made.instrumentation_scope.name == "keras_otel"
    name, attributes, trace_id, span_id = event_of(telemetry)
    assert (name, attributes) == (EVENT, dict(made.attributes))
    assert (trace_id, span_id) == (own.trace_id, own.span_id)
    assert finished(telemetry, "chat").events == ()


def test_on_another_span_that_is_recording(telemetry):
    """A span that is open elsewhere gets the event, and the current one does not."""
    tracer = telemetry.tracer_provider.get_tracer("app")
    other = tracer.start_span("other", attributes=upstream(**{"class": "order"}))
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=True, span=other)
    other.end()

    (event,) = finished(telemetry, "other").events
    assert event.attributes["keras.upstream.intent.class"] == "order"
    assert finished(telemetry, "chat").events == ()
    assert event_of(telemetry)[3] == other.get_span_context().span_id


def test_on_a_span_that_is_not_sampled(telemetry):
    """Log event and metric are all there is: a span would be the only one of its trace."""
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("chat") as span:
        record_evaluation("faithfulness", passed=False)

    own = span.get_span_context()
    assert own.is_valid
    assert telemetry.exporter.get_finished_spans() == ()
    assert event_of(telemetry)[2:] == (own.trace_id, own.span_id)
    assert [number for _, number in counts(telemetry)] == [1]


@pytest.mark.parametrize("span", [None, ("0" * 32, "0" * 16), (0, 0), trace.INVALID_SPAN])
def test_without_a_span(telemetry, caplog, span):
    """The event belongs to no trace, and one line says how to mend that."""
    for _ in range(3):
        record_evaluation("faithfulness", passed=False, span=span)

    assert telemetry.exporter.get_finished_spans() == ()
    assert {record.log_record.trace_id for record in telemetry.logs()} == {0}
    assert [number for _, number in counts(telemetry)] == [3]
    assert caplog.messages == [
        (
            "keras_otel: 'evaluate faithfulness' was recorded outside of any span and belongs to no "
            "trace: call it inside the span it is about, or pass span= that span or its "
            "(trace_id, span_id)"
        )
    ]


def test_from_tasks(telemetry, intent):
    """Each of forty tasks evaluates its own span with its own prediction."""
    seen = []

    async def request(number):
        with span_of(telemetry, f"request {number}"):
            intent.predict_on_batch(rows(1) * number)
            await asyncio.sleep(0)
            with span_of(telemetry, f"chat {number}"):
                await asyncio.sleep(0)
                record_evaluation(f"{number}", passed=True)
                seen.append(number)

    async def main():
        await asyncio.gather(*(request(number) for number in range(40)))

    asyncio.run(main())

    assert sorted(seen) == list(range(40))
    for number in range(40):
        chat = finished(telemetry, f"chat {number}")
        (event,) = chat.events
        assert event.attributes["gen_ai.evaluation.name"] == str(number)
        of_chat = {k: v for k, v in chat.attributes.items() if k.startswith("keras.upstream.")}
        assert of_chat
        assert of_chat.items() <= event.attributes.items()


def test_from_a_thread_of_judges(telemetry, intent):
    """A judge in a thread that has no span names the one it is about."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry) as span:
            pass
    with ThreadPoolExecutor(4) as judges:
        list(
            judges.map(
                lambda i: record_evaluation(f"judge {i}", passed=i % 2 == 0, span=span), range(20)
            )
        )

    made = [s for s in telemetry.spans() if s.name.startswith("evaluate")]
    assert len({s.name for s in made}) == 20
    assert {s.parent.span_id for s in made} == {span.get_span_context().span_id}
    assert all("keras.upstream.intent.class" in s.attributes for s in made)
    assert sum(number for _, number in counts(telemetry)) == 20


def test_a_full_span_loses_nothing(telemetry):
    """Where a span has no room left its own attributes stay, and the event has it all."""
    own = {f"app.key{number}": number for number in range(126)}
    with span_of(telemetry, **own):
        record_evaluation("faithfulness", score=0.2, conventions=("openinference", "futureagi"))

    chat = finished(telemetry, "chat")
    assert dict(chat.attributes) == {**GENAI, **own}
    assert chat.events[0].attributes["gen_ai.evaluation.score.value"] == 0.2


def test_openinference_from_threads(telemetry):
    """Sixteen judges of one open span do not write over one another."""
    start = threading.Barrier(16)
    with span_of(telemetry) as span:

        def judge(number):
            start.wait()
            record_evaluation(f"{number}", score=number, span=span, conventions="openinference")

        threads = [threading.Thread(target=judge, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    attributes = finished(telemetry, "chat").attributes
    names = {attributes[f"evaluations.{index}.evaluation.name"] for index in range(16)}
    assert names == {str(number) for number in range(16)}
