"""Agents of pydantic-ai, chosen by a prediction, in every way to run one."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import keras_otel

base_url, _ = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl")

from intents import LABELS, answering, classify, request  # noqa: E402 - telemetry first
from openai_clients import async_turns, turns  # noqa: E402
from pydantic_ai import Agent  # noqa: E402
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402

Agent.instrument_all()
provider = OpenAIProvider(base_url=base_url, api_key="none")


def agents(kind: Any, **options: Any) -> dict[str, Agent]:
    """An agent for each intent."""
    return {label: Agent(kind(answering(label), provider=provider), **options) for label in LABELS}


CHAT = agents(OpenAIChatModel)
RESPONSES = agents(OpenAIResponsesModel)


async def stream(label: str) -> None:
    async with CHAT[classify(label)].run_stream("hi") as answer:
        async for _ in answer.stream_text():
            pass


async def iterate(label: str) -> None:
    async with CHAT[classify(label)].iter("hi") as steps:
        async for _ in steps:
            pass


async def in_thread(label: str) -> None:
    await CHAT[await asyncio.to_thread(classify, label)].run("hi")


async def call_async() -> None:
    """Run agents from asynchronous code."""
    await async_turns("run", lambda label: CHAT[classify(label)].run("hi"))
    await async_turns("run responses", lambda label: RESPONSES[classify(label)].run("hi"))
    await async_turns("run_stream", stream)
    await async_turns("iter", iterate)
    await async_turns("to_thread", in_thread)
    with request("gathered"):
        await asyncio.gather(*(in_thread(label) for label in LABELS * 2))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await in_thread(label)

    await asyncio.gather(*(serve(label) for label in LABELS * 4))
    tooled = agents(OpenAIChatModel, tools=[intent_of])
    for label in LABELS:
        with request("tool"):
            await tooled[label].run(label)


def intent_of(text: str) -> str:
    """Tell the intent of a text."""
    return classify(text)


turns("run_sync", lambda label: CHAT[classify(label)].run_sync("hi"))
asyncio.run(call_async())
