"""LiteLLM, whose spans are made by its own callback.

The arguments are the model server and a receiver.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import keras_otel

base_url, _ = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl")

import litellm  # noqa: E402 - telemetry first

litellm.callbacks = ["otel"]

from intents import LABELS, QUESTION, answering, classify, request  # noqa: E402
from openai_clients import async_turns, turns  # noqa: E402

REACHES = {"api_base": base_url, "api_key": "none", "num_retries": 0, "messages": QUESTION}
CALLBACKS_S = 1.0
"""Longer than its callbacks take, which run beside the program."""


def complete(intent: str, **options: Any) -> Any:
    return litellm.completion(model=f"openai/{answering(intent)}", **REACHES, **options)


async def complete_async(intent: str, **options: Any) -> Any:
    return await litellm.acompletion(model=f"openai/{answering(intent)}", **REACHES, **options)


async def stream(label: str) -> None:
    async for _ in await complete_async(classify(label), stream=True):
        pass


async def in_thread(label: str) -> None:
    await complete_async(await asyncio.to_thread(classify, label))


async def call_async() -> None:
    """Await completions."""
    await async_turns("async turns", lambda label: complete_async(classify(label)))
    await async_turns("async streams", stream)
    await async_turns("to_thread", in_thread)
    with request("gathered"):
        await asyncio.gather(*(in_thread(label) for label in LABELS * 2))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await in_thread(label)
            await asyncio.sleep(CALLBACKS_S)

    await asyncio.gather(*(serve(label) for label in LABELS * 4))
    await asyncio.sleep(CALLBACKS_S)


for label in LABELS:
    with request("a turn a request"):
        complete(classify(label))
        time.sleep(CALLBACKS_S / 4)
turns("turns", lambda label: complete(classify(label)))
with request("streams"):
    for label in LABELS:
        list(complete(classify(label), stream=True))
    time.sleep(CALLBACKS_S)
asyncio.run(call_async())
