"""Evaluations and outcomes, as the SDK's exporters get them."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, StatusCode, format_span_id, format_trace_id

import keras_otel
from keras_otel import semconv
from keras_otel._guard import failure_counts
from keras_otel.errors import FeedbackError
from keras_otel.feedback import (
    emitters,
    evaluations,
    formats,
    futureagi_attributes,
    log_once,
    openinference_attributes,
    outcomes,
    record_evaluation,
    record_outcome,
    recording,
    target_span,
    validation,
)
from keras_otel.metrics import Instruments
from keras_otel.records import Evaluation
from tests.backends.models import classifier, rows

LABELS = ["refund", "order", "other"]
GENAI = {"gen_ai.operation.name": "chat"}
EVENT = "gen_ai.evaluation.result"


@pytest.fixture(autouse=True)
def unsaid(monkeypatch):
    """Nothing has been logged yet."""
    monkeypatch.setattr(log_once, "_logged", set())


@pytest.fixture
def intent():
    """A real classifier with a name, a version and labels."""
    return keras_otel.describe(classifier(), name="intent", version="v1", labels=LABELS)


def span_of(telemetry, name="chat", **attributes):
    """A span of the program, current while the block runs."""
    tracer = telemetry.tracer_provider.get_tracer("app")
    return tracer.start_as_current_span(name, attributes={**GENAI, **attributes})


def upstream(model="intent", **parts):
    """Attributes of a span that was stamped in another process."""
    return {f"keras.upstream.{model}.{part}": value for part, value in parts.items()}


def finished(telemetry, name) -> ReadableSpan:
    """The only ended span of this name."""
    (span,) = [s for s in telemetry.exporter.get_finished_spans() if s.name == name]
    return span


def event_of(telemetry):
    """Name, attributes, trace id and span id of the only log record."""
    (record,) = telemetry.logs()
    log = record.log_record
    assert record.instrumentation_scope.name == "keras_otel"
    return log.event_name, dict(log.attributes), log.trace_id, log.span_id


def counts(telemetry):
    """The evaluations counted, as (attributes, number)."""
    points = telemetry.metrics().get("keras.evaluations", [])
    return [(dict(point.attributes), point.value) for point in points]


def upstream_of(attributes):
    """Which models the attributes tell of, by the class of each."""
    predicted = "keras.upstream.{}.class"
    models = {key.split(".")[2] for key in attributes if key.startswith("keras.upstream.")}
    return {model: attributes[predicted.format(model)] for model in models}


# -- Where an evaluation goes ------------------------------------------------------------------


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


def test_on_what_an_exporter_got(telemetry):
    """The readable copy of an ended span, as exporters and processors have it, will do."""
    with span_of(telemetry, **upstream(**{"class": "refund"})):
        pass

    record_evaluation("faithfulness", passed=True, span=finished(telemetry, "chat"))

    made = finished(telemetry, "evaluate faithfulness")
    assert made.attributes["keras.upstream.intent.class"] == "refund"


IDS = {
    "context": lambda own: own,
    "numbers": lambda own: (own.trace_id, own.span_id),
    "hex": lambda own: (format_trace_id(own.trace_id), format_span_id(own.span_id)),
    "prefixed hex": lambda own: (hex(own.trace_id), hex(own.span_id)),
    "upper case, in a list": lambda own: [f"{own.trace_id:032X}", f"{own.span_id:016X}"],
    "numpy": lambda own: (own.trace_id, np.uint64(own.span_id)),
    "a span that stands for it": NonRecordingSpan,
}


@pytest.mark.parametrize("form", IDS)
def test_on_ids_alone(telemetry, intent, form):
    """Ids find the span's trace, and what this process remembers of it."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry) as span:
            own = span.get_span_context()

    record_evaluation("faithfulness", passed=False, span=IDS[form](own))

    made = finished(telemetry, "evaluate faithfulness")
    assert (made.parent.span_id, made.context.trace_id) == (own.span_id, own.trace_id)
    assert made.attributes["keras.upstream.intent.class"] in LABELS
    assert event_of(telemetry)[2:] == (own.trace_id, own.span_id)


def test_on_ids_of_another_process(telemetry, intent):
    """What is known of another request, the one that runs here, is not taken for its own."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        record_evaluation("faithfulness", passed=False, span=("ab" * 16, "cd" * 8))

    made = finished(telemetry, "evaluate faithfulness")
    assert format_trace_id(made.context.trace_id) == "ab" * 16
    assert format_span_id(made.parent.span_id) == "cd" * 8
    assert upstream_of(made.attributes) == {}
    assert upstream_of(event_of(telemetry)[1]) == {}


def test_on_ids_of_the_span_that_runs(telemetry):
    """Ids of the current span mean the span itself, which can still be written to."""
    with span_of(telemetry) as span:
        own = span.get_span_context()
        record_evaluation("a", span=(own.trace_id, own.span_id))
        record_evaluation("b", span=own)

    assert [e.attributes["gen_ai.evaluation.name"] for e in finished(telemetry, "chat").events] == [
        "a",
        "b",
    ]
    assert telemetry.spans() == []


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


def test_an_invalid_span_is_not_the_current_one(telemetry):
    """Ids of zero, passed on purpose, do not fall back to the span that happens to run."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False, span=(0, 0))

    assert finished(telemetry, "chat").events == ()
    assert event_of(telemetry)[2] == 0


# -- From everywhere ---------------------------------------------------------------------------


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


# -- What an evaluator says --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "recorded"),
    [
        (0.25, 0.25),
        (0, 0.0),
        (-3, -3.0),
        (np.float32(0.25), 0.25),
        (np.float64(0.25), 0.25),
        (np.int64(2), 2.0),
        (np.array(0.25), 0.25),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
    ],
    ids=repr,
)
def test_a_score_is_a_double(telemetry, score, recorded):
    """Python's and numpy's numbers arrive as a double, and not as text."""
    with span_of(telemetry):
        record_evaluation("faithfulness", score=score)

    value = event_of(telemetry)[1]["gen_ai.evaluation.score.value"]
    assert (type(value), value) == (float, recorded)


@pytest.mark.parametrize(
    "score",
    [
        float("nan"),
        float("inf"),
        np.float32("-inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e999"),
        10**400,
        "abc",
        "0.5",
        True,
        np.bool_(0),
        1j,
        np.complex64(1),
        np.array([0.5]),
        [0.5],
        object(),
    ],
    ids=lambda score: type(score).__name__,
)
def test_a_score_that_is_none(telemetry, caplog, score):
    """What is no finite number is left out with one line, and the rest is recorded."""
    with span_of(telemetry):
        for _ in range(3):
            record_evaluation("faithfulness", score=score, passed=False, explanation="why")

    for record in telemetry.logs():
        assert dict(record.log_record.attributes) == {
            "gen_ai.evaluation.name": "faithfulness",
            "gen_ai.evaluation.score.label": "fail",
            "gen_ai.evaluation.explanation": "why",
            "keras.evaluation.passed": False,
        }
    (line,) = caplog.messages
    assert line.startswith("keras_otel: evaluation 'faithfulness': score ")
    assert line.endswith(" is left out, the rest is recorded: pass a finite number")


@given(st.floats() | st.decimals() | st.integers() | st.fractions())
def test_any_number_is_finite_or_left_out(score):
    """No number of any kind makes an evaluation with a score that is not finite."""
    made = validation.checked_evaluation(
        "x", score=score, passed=None, label=None, explanation=None, error=None
    )

    assert made.score is None or (type(made.score) is float and np.isfinite(made.score))
    if isinstance(score, float) and np.isfinite(score):
        assert made.score == score


@pytest.mark.parametrize("passed", [True, False, np.bool_(1), np.bool_(0), np.array(1) == 1])
def test_passed_is_a_boolean(telemetry, passed):
    """Python's and numpy's truth values arrive as a boolean, with the label that says it."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=passed)

    attributes = event_of(telemetry)[1]
    assert attributes["keras.evaluation.passed"] is bool(passed)
    assert attributes["gen_ai.evaluation.score.label"] == ("pass" if passed else "fail")


@pytest.mark.parametrize("passed", ["yes", 1, 0.5, np.array([True])])
def test_passed_that_is_no_truth_value(telemetry, caplog, passed):
    """A verdict is not guessed from text or numbers."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=passed, score=0.5)

    attributes = event_of(telemetry)[1]
    assert "keras.evaluation.passed" not in attributes
    assert "gen_ai.evaluation.score.label" not in attributes
    assert attributes["gen_ai.evaluation.score.value"] == 0.5
    assert len(caplog.messages) == 1


def test_a_label_is_kept_as_it_is(telemetry, caplog):
    """A label of the evaluator's own stands beside `passed`; one that is no text is left out."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False, label="hallucinated")
        record_evaluation("other", label=3, explanation=["no text"])

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first["gen_ai.evaluation.score.label"] == "hallucinated"
    assert first["keras.evaluation.passed"] is False
    assert second == {"gen_ai.evaluation.name": "other"}
    assert len(caplog.messages) == 2


def test_text_that_cannot_be_encoded(telemetry):
    """An answer cut in the middle of an emoji does not cost the exporter its batch."""
    with span_of(telemetry):
        record_evaluation("a\ud83d", label="b\ud83d", explanation="\ud83d", passed=True)

    for value in event_of(telemetry)[1].values():
        str(value).encode("utf-8")


def test_an_evaluator_that_failed(telemetry):
    """A failure is `error.type` on event, span and metric, and never a failed evaluation."""
    with span_of(telemetry) as span:
        record_evaluation("faithfulness", error=TimeoutError("slow"), passed=False, score=0.0)
    record_evaluation("faithfulness", error=subprocess.TimeoutExpired("judge", 3), span=span)

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first == {"gen_ai.evaluation.name": "faithfulness", "error.type": "TimeoutError"}
    assert second["error.type"] == "subprocess.TimeoutExpired"
    (event,) = finished(telemetry, "chat").events
    assert dict(event.attributes) == first
    made = finished(telemetry, "evaluate faithfulness")
    assert made.status.status_code is StatusCode.ERROR
    assert made.status.description == "Command 'judge' timed out after 3 seconds"
    assert finished(telemetry, "chat").status.status_code is StatusCode.UNSET
    assert sorted(counts(telemetry), key=str) == [
        ({"gen_ai.evaluation.name": "faithfulness", "error.type": "TimeoutError"}, 1),
        ({"gen_ai.evaluation.name": "faithfulness", "error.type": "subprocess.TimeoutExpired"}, 1),
    ]


def test_a_failure_as_text(telemetry):
    """A text is the type of the failure; an empty one is none."""
    with span_of(telemetry):
        record_evaluation("faithfulness", error="rate_limited")
        record_evaluation("faithfulness", error="", passed=True)

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first["error.type"] == "rate_limited"
    assert "error.type" not in second
    assert second["keras.evaluation.passed"] is True


# -- What was predicted upstream ---------------------------------------------------------------


def test_several_upstream_models(telemetry, intent):
    """The event carries each model, and the metric counts once for each."""
    toxicity = keras_otel.describe(
        classifier("sigmoid", 1), name="Toxicity Check", version="7", labels=["ok", "toxic"]
    )
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        toxicity.predict_on_batch(rows())
        with span_of(telemetry):
            record_evaluation("faithfulness", passed=False)

    attributes = event_of(telemetry)[1]
    assert set(upstream_of(attributes)) == {"intent", "toxicity_check"}
    counted = counts(telemetry)
    assert {a["keras.model.name"]: a["keras.model.version"] for a, _ in counted} == {
        "intent": "v1",
        "Toxicity Check": "7",
    }
    for counted_attributes, number in counted:
        model = semconv.key_segment(counted_attributes["keras.model.name"])
        confidence = attributes[f"keras.upstream.{model}.confidence"]
        assert number == 1
        assert counted_attributes == {
            "gen_ai.evaluation.name": "faithfulness",
            "keras.evaluation.passed": False,
            "keras.model.name": counted_attributes["keras.model.name"],
            "keras.model.version": attributes[f"keras.upstream.{model}.version"],
            "keras.prediction.class": attributes[f"keras.upstream.{model}.class"],
            "keras.prediction.confidence_bin": semconv.confidence_bin(confidence),
        }


def test_what_the_span_carries_goes_first(telemetry, intent):
    """What the evaluated span says itself stands, also where the request has moved on."""
    said = upstream("intent", **{"class": "order", "confidence": 0.97, "version": "v0"})
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry, **said):
            record_evaluation("faithfulness", passed=False)

    attributes = event_of(telemetry)[1]
    assert {k: v for k, v in attributes.items() if k.startswith("keras.upstream.")} == said
    ((counted, _),) = counts(telemetry)
    assert counted["keras.prediction.class"] == "order"
    assert counted["keras.prediction.confidence_bin"] == "[0.95,0.99)"


def test_without_an_upstream_prediction(telemetry):
    """The metric counts once, without a model."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=True, score=0.9)

    assert counts(telemetry) == [
        ({"gen_ai.evaluation.name": "faithfulness", "keras.evaluation.passed": True}, 1)
    ]


def test_nothing_is_carried_where_that_is_switched_off(telemetry, intent):
    """With `propagate="none"` an evaluation carries no prediction of its request either."""
    telemetry.instrument(propagate="none")
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        record_evaluation("faithfulness", passed=True)

    assert upstream_of(event_of(telemetry)[1]) == {}


def test_an_odd_attribute_upstream(telemetry):
    """Keys under the prefix that are no part of a prediction are not taken for one."""
    odd = {"keras.upstream.class": "x", "keras.upstream.intent.colour": "red"}
    with span_of(telemetry, **odd, **upstream("flags", labels=("a", "b"))):
        record_evaluation("faithfulness", passed=True)

    attributes = event_of(telemetry)[1]
    assert {k for k in attributes if k.startswith("keras.upstream.")} == {
        "keras.upstream.flags.labels"
    }


def test_classes_beyond_64_share_one_name(telemetry):
    """The metric keeps the first 64 classes of a model apart, and loses no evaluation."""
    for number in range(70):
        with span_of(telemetry, **upstream(**{"class": f"class {number}"})):
            record_evaluation("faithfulness", passed=True)

    by_class = {a["keras.prediction.class"]: n for a, n in counts(telemetry)}
    assert len(by_class) == 65
    assert by_class["__other__"] == 6
    assert sum(by_class.values()) == 70


def test_an_exemplar_leads_to_the_evaluated_span(telemetry):
    """Also to one that has ended, and not to the span that happens to run."""
    with span_of(telemetry) as span:
        pass
    with span_of(telemetry, "judge"):
        record_evaluation("faithfulness", passed=False, span=span)

    (point,) = telemetry.metrics()["keras.evaluations"]
    (exemplar,) = point.exemplars
    own = span.get_span_context()
    assert (exemplar.trace_id, exemplar.span_id) == (own.trace_id, own.span_id)


def test_metrics_switched_off(telemetry):
    """With `metrics=False` the events are all there is."""
    telemetry.instrument(metrics=False)
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False)

    assert counts(telemetry) == []
    assert event_of(telemetry)[0] == EVENT


# -- Other forms -------------------------------------------------------------------------------


def test_openinference(telemetry):
    """The evaluations of a span are numbered from what it has, and its own keys stay."""
    theirs = {"evaluations.0.evaluation.name": "theirs", "evaluations.0.evaluation.score": 1.0}
    with span_of(telemetry, **theirs):
        record_evaluation("faithfulness", score=0.2, label="bad", conventions="openinference")
        record_evaluation("silent", conventions="openinference")
        record_evaluation("tone", passed=True, explanation="kind", conventions=["openinference"])

    assert dict(finished(telemetry, "chat").attributes) == {
        **GENAI,
        **theirs,
        "evaluations.1.evaluation.name": "faithfulness",
        "evaluations.1.evaluation.score": 0.2,
        "evaluations.1.evaluation.label": "bad",
        "evaluations.2.evaluation.name": "tone",
        "evaluations.2.evaluation.label": "pass",
        "evaluations.2.evaluation.explanation": "kind",
    }


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


def test_a_full_span_loses_nothing(telemetry):
    """Where a span has no room left its own attributes stay, and the event has it all."""
    own = {f"app.key{number}": number for number in range(126)}
    with span_of(telemetry, **own):
        record_evaluation("faithfulness", score=0.2, conventions=("openinference", "futureagi"))

    chat = finished(telemetry, "chat")
    assert dict(chat.attributes) == {**GENAI, **own}
    assert chat.events[0].attributes["gen_ai.evaluation.score.value"] == 0.2


def test_futureagi(telemetry):
    """The newest evaluation stands under `gen_ai.evaluation.*`, every score under its name."""
    with span_of(telemetry) as span:
        record_evaluation("faithfulness", score=0.2, passed=False, conventions="futureagi")
        record_evaluation("tone", score=0.9, explanation="kind", conventions="futureagi")

    attributes = finished(telemetry, "chat").attributes
    assert attributes["gen_ai.evaluation.name"] == "tone"
    assert attributes["gen_ai.evaluation.score.value"] == 0.9
    assert attributes["gen_ai.evaluation.explanation"] == "kind"
    assert (attributes["eval.faithfulness"], attributes["eval.tone"]) == (0.2, 0.9)
    assert "gen_ai.evaluation.target_span_id" not in attributes

    record_evaluation("tone", score=0.9, conventions={"futureagi", "openinference"}, span=span)

    made = finished(telemetry, "evaluate tone").attributes
    assert made["gen_ai.evaluation.target_span_id"] == format_span_id(
        span.get_span_context().span_id
    )
    assert made["openinference.span.kind"] == "EVALUATOR"
    assert (made["eval.tone"], made["evaluations.0.evaluation.score"]) == (0.9, 0.9)


def test_the_former_name_of_conventions(telemetry):
    """`also` still works, and the warning that says what to write points at the caller."""
    with span_of(telemetry), pytest.deprecated_call(match="pass conventions=") as warned:
        record_evaluation("tone", score=0.9, also=["futureagi"])

    assert finished(telemetry, "chat").attributes["eval.tone"] == 0.9
    assert [warning.filename for warning in warned] == [__file__]


def test_the_forms_of_an_evaluation():
    """Each converter works by itself, and leaves out what is not known."""
    full = Evaluation(name="tone", score=0.5, passed=True, label="pass", explanation="kind")
    failed = Evaluation(name="tone", error_type="TimeoutError")

    assert openinference_attributes(full, 3) == {
        "evaluations.3.evaluation.name": "tone",
        "evaluations.3.evaluation.score": 0.5,
        "evaluations.3.evaluation.label": "pass",
        "evaluations.3.evaluation.explanation": "kind",
    }
    assert openinference_attributes(failed, 0) == {}
    assert futureagi_attributes(full) == {
        "gen_ai.evaluation.name": "tone",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.evaluation.explanation": "kind",
        "eval.tone": 0.5,
    }
    assert futureagi_attributes(failed) == {"gen_ai.evaluation.name": "tone"}


# -- Outcomes ----------------------------------------------------------------------------------


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


# -- Mistakes in the program, and faults -------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: record_evaluation(""), "an evaluation needs a name"),
        (lambda: record_evaluation("  "), "an evaluation needs a name"),
        (lambda: record_evaluation(None), "an evaluation needs a name"),
        (lambda: record_evaluation("x", span="chat"), "span cannot be of type str"),
        (lambda: record_evaluation("x", span=(1, 2, 3)), "span cannot be of type tuple"),
        (lambda: record_evaluation("x", span=NonRecordingSpan), "span cannot be of type"),
        (lambda: record_evaluation("x", span=("xyz", 1)), "span: 'xyz' is no trace id"),
        (lambda: record_evaluation("x", span=("a" * 33, 1)), "is no trace id"),
        (lambda: record_evaluation("x", span=(1, -1)), "span: -1 is no span id"),
        (lambda: record_evaluation("x", span=(1, 1 << 64)), "is no span id"),
        (lambda: record_evaluation("x", span=(1, None)), "span: None is no span id"),
        (lambda: record_evaluation("x", span=(True, 1)), "span: True is no trace id"),
        (
            lambda: record_evaluation("x", conventions="phoenix"),
            "conventions must be one or more of 'openinference'",
        ),
        (
            lambda: record_evaluation("x", conventions=["futureagi", "?"]),
            "conventions must be one or more of",
        ),
        (lambda: record_evaluation("x", conventions=3), "conventions must be one or more of"),
        (
            lambda: record_evaluation("x", conventions="futureagi", also="openinference"),
            "conventions and its deprecated name also are both given",
        ),
        (lambda: record_outcome("x", span=object()), "span cannot be of type object"),
        (lambda: record_outcome("x", model=3), "model must be the name of a model"),
        (lambda: record_outcome("x", model=""), "model must be the name of a model"),
    ],
)
def test_a_mistake_in_the_program(telemetry, call, line):
    """It raises one line at once, which says how to mend it, and nothing is recorded."""
    with pytest.raises(FeedbackError) as caught:
        call()

    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert telemetry.logs() == []


class BrokenError(Exception):
    """What the broken parts raise."""


def broken(*args, **kwargs):
    raise BrokenError("broken")


# What is made to raise, the site whose guard must catch it, and what is still recorded.
FAULTS = [
    (validation, "_checked_score", "evaluation", {"log", "event", "metric"}),
    (evaluations, "message_of", "evaluator's message", {"log", "event", "metric"}),
    (target_span, "get_current", "record an evaluation", set()),
    (emitters, "instruments_of", "record an evaluation", set()),
    (evaluations, "known_predictions", "upstream of an evaluation", {"log", "event", "metric"}),
    (recording.time, "time_ns", "feedback event", {"event", "metric"}),
    (recording._AttributeWriter, "add", "feedback span", {"log", "event", "metric"}),
    (Instruments, "count_evaluation", "evaluation metric", {"log", "event"}),
    (formats, "_genai_attributes", "record an evaluation", set()),
]


@pytest.mark.parametrize(
    ("owner", "name", "site", "left"), FAULTS, ids=[f"{o.__name__}.{n}" for o, n, _, _ in FAULTS]
)
def test_a_fault_stays_away_from_the_caller(providers, monkeypatch, owner, name, site, left):
    """Whatever breaks, nothing is raised, the fault counts, and the rest is recorded."""
    providers.instrument()
    before = failure_counts().get(site, 0)
    with span_of(providers) as span:
        monkeypatch.setattr(owner, name, broken)
        record_evaluation("faithfulness", score=0.5, conventions="openinference", error="")
        monkeypatch.undo()
    keras_otel.uninstrument()

    assert failure_counts()[site] == before + 1
    recorded = {
        "log": providers.logs(),
        "event": span.events,
        "metric": counts(providers),
    }
    assert {what for what, found in recorded.items() if found} == left


@pytest.mark.parametrize(
    ("owner", "name", "site"),
    [
        (outcomes, "predicted_by", "prediction of an outcome"),
        (outcomes, "find_target", "record an outcome"),
    ],
)
def test_a_fault_while_recording_an_outcome(providers, monkeypatch, owner, name, site):
    """An outcome that cannot be recorded is counted as a fault of ours, and no more."""
    before = failure_counts().get(site, 0)
    monkeypatch.setattr(owner, name, broken)

    record_outcome("refund")

    assert failure_counts()[site] == before + 1


class Raising(LogRecordProcessor):
    """A user's log processor that fails."""

    def on_emit(self, log_record):
        raise BrokenError("no disk")

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


def test_a_log_pipeline_that_raises(providers):
    """A processor of the user's that raises costs the log event, and neither span nor metric."""
    before = failure_counts().get("feedback event", 0)
    providers.logger_provider.add_log_record_processor(Raising())
    providers.instrument()
    with span_of(providers) as span:
        record_evaluation("faithfulness", passed=False)
    keras_otel.uninstrument()

    assert failure_counts()["feedback event"] == before + 1
    assert len(span.events) == 1
    assert [number for _, number in counts(providers)] == [1]


class BrokenExporter(SpanExporter, LogRecordExporter):
    """An exporter that fails."""

    def export(self, *batch):
        raise BrokenError("no network")

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


def test_exporters_that_raise(providers):
    """Exporters that fail in the caller's own thread cost neither the caller nor the metric."""
    providers.tracer_provider.add_span_processor(SimpleSpanProcessor(BrokenExporter()))
    providers.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(BrokenExporter()))
    providers.instrument()
    with span_of(providers) as span:
        record_evaluation("faithfulness", passed=False)
    record_evaluation("faithfulness", passed=False, span=span)
    keras_otel.uninstrument()

    assert len(providers.logs()) == 2
    assert finished(providers, "evaluate faithfulness")
    assert [number for _, number in counts(providers)] == [2]


class Failing(logging.Handler):
    """A user's log handler that fails."""

    def emit(self, record):
        raise OSError("the disk is full")


def test_a_log_handler_that_raises(providers):
    """A line that cannot be logged costs nothing of the evaluation it is about."""
    before = failure_counts().get("log", 0)
    providers.instrument()
    handler = Failing()
    logging.getLogger("keras_otel").addHandler(handler)
    try:
        record_evaluation("faithfulness", score="abc", passed=True)
    finally:
        logging.getLogger("keras_otel").removeHandler(handler)
    keras_otel.uninstrument()

    assert failure_counts()["log"] == before + 2  # the score, and the missing span
    assert event_of(providers)[1]["keras.evaluation.passed"] is True


class MuteError(Exception):
    """An evaluator's error that has no words."""

    def __str__(self):
        raise BrokenError("mute")


def test_an_evaluators_error_without_words(providers):
    """Its type is recorded all the same."""
    before = failure_counts().get("evaluator's message", 0)
    providers.instrument()
    with span_of(providers) as span:
        pass
    record_evaluation("faithfulness", error=MuteError(), span=span)
    keras_otel.uninstrument()

    made = finished(providers, "evaluate faithfulness")
    assert made.attributes["error.type"].endswith("MuteError")
    assert made.status.description.endswith("MuteError")
    assert failure_counts()["evaluator's message"] == before + 1


def test_notes_come_to_an_end(caplog):
    """A program that makes up names does not fill the log or the memory."""
    for number in range(1000):
        log_once.log_once(f"note {number}")

    assert len(caplog.messages) == len(log_once._logged) == 256


# -- Whole programs ----------------------------------------------------------------------------


def test_the_documented_examples(tmp_path):
    """The blocks of docs/evaluations.md run one after another, and export what they say."""
    page = Path(__file__).parents[1] / "docs" / "evaluations.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    program = "\n".join(blocks)

    subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, timeout=60, cwd=tmp_path
    )

    exported = (tmp_path / "traces.jsonl").read_text(encoding="utf-8")
    for text in (
        *("evaluate tone", "outcome intent", "evaluations.1.evaluation.name", "eval.faithfulness"),
        *("gen_ai.evaluation.result", "keras.prediction.outcome", "TimeoutError"),
    ):
        assert f'"{text}"' in exported
    assert program.count("record_evaluation(") == exported.count('"eventName":"gen_ai.evaluation')


SERVICE = """
import sys
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import keras_otel

keras_otel.record_evaluation("early", passed=True)  # no provider is set yet: nothing to do

spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
tracers, loggers = TracerProvider(), LoggerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
trace.set_tracer_provider(tracers)
_logs.set_logger_provider(loggers)
metrics.set_meter_provider(MeterProvider([reader]))

keras_otel.record_evaluation("late", passed=False, span=("ab" * 16, "cd" * 8))

assert [span.name for span in spans.get_finished_spans()] == ["evaluate late"]
(record,) = logs.get_finished_logs()
assert record.log_record.trace_id == int("ab" * 16, 16)
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
(metric,) = [m for m in scope.metrics if m.name == "keras.evaluations"]
assert [point.value for point in metric.data.data_points] == [1]
assert "numpy" not in sys.modules and "keras" not in sys.modules
"""


def test_a_service_that_only_evaluates():
    """The process's own providers are used, also where they come later; Keras is not needed."""
    subprocess.run([sys.executable, "-W", "error", "-c", SERVICE], check=True, timeout=60)
