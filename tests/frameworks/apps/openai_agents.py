"""Agents of openai-agents, chosen by a prediction, in every way to run one.

The arguments are the model server, the receiver, and who makes the spans: `openinference` or
`logfire`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import keras_otel

base_url, receiver, instrumentation = sys.argv[1:]

from agents import (  # noqa: E402 - the arguments come first
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_trace_processors,
    trace,
)
from openai import AsyncOpenAI  # noqa: E402
from opentelemetry import trace as otel_trace  # noqa: E402

set_trace_processors([])  # its own goes to OpenAI
if instrumentation == "logfire":
    import logfire

    logfire.configure(
        token="token",
        send_to_logfire=True,  # below pytest it would not
        console=False,
        inspect_arguments=False,
        advanced=logfire.AdvancedOptions(base_url=receiver),
    )
    logfire.instrument_openai_agents()
    keras_otel.instrument()
else:
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    keras_otel.instrument(export="file:spans.jsonl")
    OpenAIAgentsInstrumentor().instrument()

from intents import LABELS, answering, classify, request  # noqa: E402 - telemetry first
from openai_clients import async_turns  # noqa: E402

client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)


def agents(kind: Any, **options: Any) -> dict[str, Agent]:
    """An agent for each intent."""
    return {
        label: Agent(
            name="answering", model=kind(model=answering(label), openai_client=client), **options
        )
        for label in LABELS
    }


CHAT = agents(OpenAIChatCompletionsModel)
RESPONSES = agents(OpenAIResponsesModel)


async def run(label: str) -> None:
    await Runner.run(CHAT[classify(label)], "hi")


async def stream(label: str) -> None:
    async for _ in Runner.run_streamed(CHAT[classify(label)], "hi").stream_events():
        pass


async def in_thread(label: str) -> None:
    await Runner.run(CHAT[await asyncio.to_thread(classify, label)], "hi")


async def stream_in_thread(label: str) -> None:
    agent = CHAT[await asyncio.to_thread(classify, label)]
    async for _ in Runner.run_streamed(agent, "hi").stream_events():
        pass


async def call_async() -> None:
    """Run agents from asynchronous code."""
    await async_turns("run", run)
    await async_turns("run responses", lambda label: Runner.run(RESPONSES[classify(label)], "hi"))
    await async_turns("run_streamed", stream)
    await async_turns("to_thread", in_thread)
    await async_turns("run_streamed after to_thread", stream_in_thread)
    with request("workflow"), trace("workflow"):
        for label in LABELS:
            await run(label)
    with request("gathered"):
        await asyncio.gather(*(in_thread(label) for label in LABELS * 2))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await in_thread(label)

    await asyncio.gather(*(serve(label) for label in LABELS * 4))
    tooled = agents(OpenAIChatCompletionsModel, tools=[function_tool(intent_of)])
    for label in LABELS:
        with request("tool"):
            await Runner.run(tooled[label], label)


def intent_of(text: str) -> str:
    """Tell the intent of a text."""
    return classify(text)


asyncio.run(call_async())
otel_trace.get_tracer_provider().force_flush()
