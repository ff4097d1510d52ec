"""Langfuse's SDK: its OpenAI client, its decorator, its own spans, its callbacks for LangChain.

The arguments are the model server, the receiver, and whose tracer provider is used: `langfuse`
(it sets the process's) or `isolated` (one for Langfuse only).
"""

from __future__ import annotations

import sys

import keras_otel

base_url, receiver, provider = sys.argv[1:]

from langfuse import Langfuse, observe  # noqa: E402 - the arguments come first
from langfuse.langchain import CallbackHandler  # noqa: E402
from langfuse.openai import AsyncOpenAI, OpenAI  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402

options = {}
if provider == "isolated":
    keras_otel.instrument(export=receiver)
    options["tracer_provider"] = TracerProvider()
    options["tracer_provider"].add_span_processor(keras_otel.KerasSpanProcessor())
langfuse = Langfuse(
    public_key="pk",
    secret_key="sk",
    base_url=receiver,
    should_export_span=lambda span: True,  # the requests and the inferences too
    **options,
)
if provider == "langfuse":
    keras_otel.instrument()

from intents import LABELS, answering, classify, request  # noqa: E402 - telemetry first
from langchain_core.runnables import RunnableLambda  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from openai_clients import call_everything, client_of, turns  # noqa: E402

client = client_of(OpenAI, AsyncOpenAI, base_url)


@observe()
def observed_classify(text: str) -> str:
    return classify(text)


@observe()
def observed_answer(intent: str) -> None:
    client.answer(intent)


@observe()
def observed_turn(text: str) -> None:
    observed_answer(observed_classify(text))


@observe(as_type="generation")
def observed_generation(intent: str) -> None:
    langfuse.update_current_generation(model=answering(intent))


def own_generation(text: str) -> None:
    model = answering(classify(text))
    with langfuse.start_as_current_observation(as_type="generation", name="answer", model=model):
        pass


def call_observed() -> None:
    """Call what Langfuse's own interface makes spans of."""
    turns("observed turns", observed_turn)
    turns("observed steps", lambda label: observed_answer(observed_classify(label)))
    turns("observed generations", lambda label: observed_generation(observed_classify(label)))
    turns("own generations", own_generation)
    llms = {
        label: ChatOpenAI(model=answering(label), base_url=base_url, api_key="none", max_retries=0)
        for label in LABELS
    }
    chain = RunnableLambda(classify) | RunnableLambda(lambda intent: llms[intent].invoke("hi"))
    callbacks = {"callbacks": [CallbackHandler()]}
    turns("chains", lambda label: chain.invoke(label, callbacks))
    with request("chains side by side"):
        chain.batch(LABELS * 2, callbacks)


call_everything(client)
call_observed()
langfuse.flush()
trace.get_tracer_provider().force_flush()
