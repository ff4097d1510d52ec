"""Two services in two processes with HTTP between them, with and without the propagator."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from programs import APPS, serving
from received import Span
from receivers import Sink, free_port

from keras_otel.propagation.baggage_members import predictions_in

CLASSES = ["refund", "order", "状態, 100% + more"]  # as in apps/router.py
CONFIDENCE = 0.98670  # softmax of (5, 0, 0)
DEFAULT = "tracecontext,baggage"
KERAS = "tracecontext,baggage,keras"
REQUESTS = 60


@contextmanager
def service(app: str, folder: Path, sink: Sink, **variables: str) -> Iterator[str]:
    """A program of `apps/` that listens on a free port."""
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "100", "TARGET": sink.url, **variables}
    with serving([sys.executable, APPS / app], folder, free_port(), **variables) as url:
        yield url


@contextmanager
def both(folder: Path, sink: Sink, first: str, second: str) -> Iterator[str]:
    """Both services, with these propagators; the address of the first."""
    with (
        service("answering.py", folder, sink, OTEL_PROPAGATORS=second) as answering,
        service("router.py", folder, sink, OTEL_PROPAGATORS=first, ANSWERING=answering) as router,
    ):
        yield router


def ask(router: str, label: int) -> Any:
    """What the second service says that it was sent."""
    request = urllib.request.Request(f"{router}/ask?label={label}", headers={"baggage": "tenant=a"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def chats(sink: Sink, count: int) -> list[Span]:
    """The LLM spans of the second service, once their whole traces are there."""
    telemetry = sink.wait_for(
        lambda found: (
            sum(span.name == "chat" for span in found.spans) == count
            and len(found.keras_spans()) == count
        )
    )
    return [span for span in telemetry.spans if span.name == "chat"]


def upstream(span: Span) -> dict[str, Any]:
    """What a span says of upstream predictions."""
    return {key: value for key, value in span.attributes.items() if "keras." in key}


def test_the_other_services_llm_span_carries_the_prediction(sink: Sink, tmp_path: Path) -> None:
    """Of 60 requests, eight at a time, each LLM span has its own request's class, as typed."""
    labels = [i % len(CLASSES) for i in range(REQUESTS)]
    with both(tmp_path, sink, KERAS, KERAS) as router, ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda label: ask(router, label), labels))
        spans = chats(sink, REQUESTS)

    for label, answer in zip(labels, answers, strict=True):
        user, _, ours = answer["headers"]["baggage"].partition(",")
        assert user == "tenant=a"
        (sent,) = predictions_in(ours)
        assert (sent.model, sent.class_name) == ("intent", CLASSES[label])
        assert ours.count("=") == 3
        assert (answer["tenant"], answer["has_keras"]) == ("a", False)
    inferences = {span.trace_id: span for span in sink.telemetry.keras_spans()}
    assert len(inferences) == len(spans) == REQUESTS
    for span in spans:
        label = span.value("app.asked")
        assert upstream(span) == {
            "keras.upstream.intent.class": ("string", CLASSES[label]),
            "keras.upstream.intent.confidence": ("double", pytest.approx(CONFIDENCE, abs=1e-4)),
            "keras.upstream.intent.version": ("string", "2026-11-01"),
        }
        inference = inferences[span.trace_id]
        assert inference.value("keras.prediction.class") == CLASSES[label]


@pytest.mark.parametrize("second", [DEFAULT, KERAS])
def test_nothing_is_sent_unless_asked_for(sink: Sink, tmp_path: Path, second: str) -> None:
    """With OpenTelemetry's default propagators no header says what was predicted."""
    with both(tmp_path, sink, DEFAULT, second) as router:
        answer = ask(router, 0)
        (span,) = chats(sink, 1)

    headers = answer["headers"]
    assert headers["baggage"] == "tenant=a"
    assert span.trace_id in headers["traceparent"]
    assert not any("keras" in text or "refund" in text for text in str(headers).split())
    assert upstream(span) == {}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("none", None), ("toxicity", None), ("toxicity,Intent", "refund")],
)
def test_only_accepted_models_are_taken(
    sink: Sink, tmp_path: Path, accept: str, expected: str | None
) -> None:
    """The second service stamps what it is sent of the models that it names, and nothing else."""
    with (
        service(
            "answering.py",
            tmp_path,
            sink,
            OTEL_PROPAGATORS=KERAS,
            OTEL_PYTHON_KERAS_ACCEPT_MODELS=accept,
        ) as answering,
        service("router.py", tmp_path, sink, OTEL_PROPAGATORS=KERAS, ANSWERING=answering) as router,
    ):
        answer = ask(router, 0)
        (span,) = chats(sink, 1)

    assert "keras.upstream.intent.class=refund" in answer["headers"]["baggage"]
    assert upstream(span).get("keras.upstream.intent.class", ("", None))[1] == expected


@pytest.mark.parametrize(
    ("trace", "accept", "expected"),
    [
        (None, "all", None),  # a browser's or a script's header
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "none", None),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "all", "forged"),
    ],
)
def test_what_a_client_may_claim(
    sink: Sink, tmp_path: Path, trace: str | None, accept: str, expected: str | None
) -> None:
    """Without a trace nobody is believed; with one whoever calls is, unless models are refused."""
    headers = {"baggage": "keras.upstream.intent.class=forged"}
    if trace is not None:
        headers["traceparent"] = trace
    with service(
        "answering.py",
        tmp_path,
        sink,
        OTEL_PROPAGATORS=KERAS,
        OTEL_PYTHON_KERAS_ACCEPT_MODELS=accept,
    ) as answering:
        request = urllib.request.Request(f"{answering}/answer?label=0", headers=headers)
        with urllib.request.urlopen(request, timeout=60):
            telemetry = sink.wait_for(
                lambda found: any(span.name == "chat" for span in found.spans)
            )
    (span,) = [span for span in telemetry.spans if span.name == "chat"]
    assert upstream(span).get("keras.upstream.intent.class", ("", None))[1] == expected


def test_what_is_sent_is_used_only_where_asked_for(sink: Sink, tmp_path: Path) -> None:
    """A service without the propagator is sent the header and stamps nothing."""
    with both(tmp_path, sink, KERAS, DEFAULT) as router:
        answer = ask(router, 1)
        (span,) = chats(sink, 1)

    assert "keras.upstream.intent.class=order" in answer["headers"]["baggage"]
    assert upstream(span) == {}
