"""MLflow's autologging of OpenAI and LangChain, and its own spans.

The arguments are the model server, the receiver, and whose tracer provider MLflow uses: `ours` (the
process's) or `isolated` (its own).
"""

from __future__ import annotations

import os
import sys
import tempfile

base_url, receiver, provider = sys.argv[1:]
is_isolated = provider == "isolated"
os.environ.update(
    MLFLOW_TRACKING_URI=f"file://{tempfile.mkdtemp()}",
    MLFLOW_ALLOW_FILE_STORE="true",
    MLFLOW_USE_DEFAULT_TRACER_PROVIDER=str(is_isolated).lower(),
    MLFLOW_TRACE_PROPAGATE_TO_OTEL_CONTEXT=str(is_isolated).lower(),
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver}/v1/traces",
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
)

import mlflow  # noqa: E402 - set up by the environment
from mlflow.tracing.provider import get_bridged_tracer_provider  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402

import keras_otel  # noqa: E402

trace.set_tracer_provider(TracerProvider())
with mlflow.start_span("first"):
    pass  # now there is a provider
tracers = get_bridged_tracer_provider()
keras_otel.instrument(tracer_provider=tracers)
mlflow.openai.autolog()

import intents  # noqa: E402 - telemetry first

if is_isolated:
    intents.request = mlflow.start_span  # a span of another provider is in no trace of MLflow's

from intents import LABELS, answering, classify, request  # noqa: E402
from langchain_core.runnables import RunnableLambda  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from openai import AsyncOpenAI, OpenAI  # noqa: E402
from openai_clients import call_everything, client_of, turns  # noqa: E402

client = client_of(OpenAI, AsyncOpenAI, base_url)


@mlflow.trace
def traced_classify(text: str) -> str:
    return classify(text)


@mlflow.trace
def traced_answer(intent: str) -> None:
    client.answer(intent)


@mlflow.trace
def traced_turn(text: str) -> None:
    traced_answer(traced_classify(text))


def own_span(text: str) -> None:
    intent = classify(text)
    with mlflow.start_span("answer", span_type="LLM") as span:
        span.set_attribute("gen_ai.request.model", answering(intent))


call_everything(client)
turns("traced turns", traced_turn)
turns("traced steps", lambda label: traced_answer(traced_classify(label)))
turns("own spans", own_span)
mlflow.openai.autolog(disable=True)
mlflow.langchain.autolog()
llms = {
    label: ChatOpenAI(model=answering(label), base_url=base_url, api_key="none", max_retries=0)
    for label in LABELS
}
chain = RunnableLambda(classify) | RunnableLambda(lambda intent: llms[intent].invoke("hi"))
turns("chains", chain.invoke)
with request("chains side by side"):
    chain.batch(LABELS * 2)
mlflow.flush_trace_async_logging()
tracers.force_flush()
