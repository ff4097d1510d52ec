"""The LLM spans that others make carry what was predicted, and keep all that is their own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_completions import ChatCompletions
from programs import Programs
from received import Span, Telemetry, Typed, read_json_lines

from keras_otel import semconv
from tests.parts import missing_part

CALLS = [
    f"{client} {how}" for client in ("sync", "async") for how in ("whole", "stream", "refused")
]
UNPREDICTED = "nothing predicted"
STAMPS = {
    semconv.upstream_key("intent", semconv.UPSTREAM_CLASS): semconv.PREDICTION_CLASS,
    semconv.upstream_key("intent", semconv.UPSTREAM_CONFIDENCE): semconv.PREDICTION_CONFIDENCE,
    semconv.upstream_key("intent", semconv.UPSTREAM_VERSION): semconv.MODEL_VERSION,
}

# It requires an older wrapt than the other tests run with.
_TRACEAI_PYTHON = Path(__file__).parents[2] / ".venv-traceai" / "bin" / "python"
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# LangChain's spans have it in their status too.
_TRACEBACK = "Traceback (most recent call last)"
_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrumentation:
    """Who makes the LLM spans, and what shows that these are they.

    Attributes:
        instrumentor: `module:class`.
        scope: The scope of its spans.
        key: An attribute that it gives every span whose call succeeds.
        app: The program of `apps/` that calls what it instruments.
        spans_per_call: 1 for a client, 3 for a chain with a prompt and a client.
        python: The interpreter that has it installed.
    """

    instrumentor: str
    scope: str
    key: str
    app: str = "openai_client.py"
    spans_per_call: int = 1
    python: Path = Path(sys.executable)


INSTRUMENTATIONS = {
    "opentelemetry-openai-v2": Instrumentation(
        instrumentor="opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
        scope="opentelemetry.util.genai.handler",
        key="gen_ai.response.id",
    ),
    "openinference-openai": Instrumentation(
        instrumentor="openinference.instrumentation.openai:OpenAIInstrumentor",
        scope="openinference.instrumentation.openai",
        key="llm.token_count.total",
    ),
    "traceai-openai": Instrumentation(
        instrumentor="traceai_openai:OpenAIInstrumentor",
        scope="traceai_openai",
        key="gen_ai.usage.total_tokens",
        python=_TRACEAI_PYTHON,
    ),
    "openinference-langchain": Instrumentation(
        instrumentor="openinference.instrumentation.langchain:LangChainInstrumentor",
        scope="openinference.instrumentation.langchain",
        key="openinference.span.kind",
        app="langchain_client.py",
        spans_per_call=3,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What one program sent, run with stamping and without."""

    instrumentation: Instrumentation
    stamped: Telemetry
    unstamped: Telemetry


@pytest.fixture(scope="module")
def server() -> Iterator[ChatCompletions]:
    """One server for all runs: its address is in some spans."""
    with ChatCompletions().serving() as running:
        yield running


@pytest.fixture(scope="module", params=INSTRUMENTATIONS)
def runs(
    request: pytest.FixtureRequest,
    server: ChatCompletions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    instrumentation = INSTRUMENTATIONS[request.param]
    if not instrumentation.python.exists():
        missing_part(f"{instrumentation.python} is not there: make .venv-traceai/.package")

    def run(propagate: str) -> Telemetry:
        folder = tmp_path_factory.mktemp(propagate)
        arguments = (instrumentation.instrumentor, server.base_url, propagate)
        Programs(folder).run(
            instrumentation.app, *arguments, launcher=(os.fspath(instrumentation.python),)
        )
        return read_json_lines(folder / "spans.jsonl")

    return Runs(instrumentation=instrumentation, stamped=run("genai"), unstamped=run("none"))


@pytest.mark.parametrize("call", CALLS)
def test_llm_spans_carry_the_prediction_of_their_request(runs: Runs, call: str) -> None:
    """Class, confidence and version are the inference span's own, by value and by type."""
    inference, llm_spans = spans_of(runs, runs.stamped, call)
    for span in llm_spans:
        stamps = {key: value for key, value in span.attributes.items() if is_stamp(key)}
        assert stamps == {key: inference.attributes[source] for key, source in STAMPS.items()}


def test_each_request_carries_its_own_prediction(runs: Runs) -> None:
    """No two requests of a program predict with one confidence, so none got another's stamp."""
    confidences = {
        span.value(semconv.upstream_key("intent", semconv.UPSTREAM_CONFIDENCE))
        for call in CALLS
        for span in spans_of(runs, runs.stamped, call)[1]
    }
    assert len(confidences) == len(CALLS)


@pytest.mark.parametrize("call", [*CALLS, UNPREDICTED])
def test_llm_spans_lose_nothing_of_their_own(runs: Runs, call: str) -> None:
    """Without the stamps, a span is what it is with `propagate="none"`: keys, values, status."""
    _, stamped = spans_of(runs, runs.stamped, call)
    _, unstamped = spans_of(runs, runs.unstamped, call)
    assert not any(is_stamp(key) for span in unstamped for key in span.attributes)
    assert [content(span) for span in stamped] == [content(span) for span in unstamped]


def test_without_a_prediction_llm_spans_carry_none(runs: Runs) -> None:
    """A request that predicts nothing, after some that did, leaves its spans without a stamp."""
    inference, llm_spans = spans_of(runs, runs.stamped, UNPREDICTED)
    assert inference is None
    assert not any(is_stamp(key) for span in llm_spans for key in span.attributes)


def is_stamp(key: str) -> bool:
    """Whether keras_otel wrote this key, whatever the model."""
    return key.startswith("keras.")


def spans_of(runs: Runs, telemetry: Telemetry, call: str) -> tuple[Any, list[Span]]:
    """The inference span of a request, None where there is none, and the LLM spans by start."""
    (root,) = (span for span in telemetry.spans if span.name == call)
    inside = [span for span in telemetry.spans if span.trace_id == root.trace_id and span != root]
    inferences = [span for span in inside if span.scope == semconv.SCOPE_NAME]
    llm_spans = sorted(
        (span for span in inside if span.scope != semconv.SCOPE_NAME),
        key=lambda span: span.start_ns,
    )
    assert len(inferences) == (call != UNPREDICTED)
    assert [span.scope for span in llm_spans] == (
        [runs.instrumentation.scope] * runs.instrumentation.spans_per_call
    )
    # The whole call failed or succeeded; the prompt of a chain never fails.
    assert (llm_spans[0].status == _ERROR) == call.endswith("refused")
    if not call.endswith("refused"):
        assert all(runs.instrumentation.key in span.attributes for span in llm_spans)
    return next(iter(inferences), None), llm_spans


def content(span: Span) -> dict[str, Any]:
    """What a span says, without what differs from run to run: ids, times and stack traces."""
    return {
        "name": span.name,
        "kind": span.kind,
        "status": (span.status, _steady(span.message)),
        "attributes": _own(span.attributes),
        "events": [(event.name, _own(event.attributes)) for event in span.events],
    }


def _own(attributes: dict[str, Typed]) -> dict[str, Typed]:
    return {
        key: (kind, _steady(value))
        for key, (kind, value) in attributes.items()
        if not is_stamp(key) and key != "exception.stacktrace"
    }


def _steady(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _RUN_ID.sub("ID", value.partition(_TRACEBACK)[0])
