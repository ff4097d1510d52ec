"""Call OpenAI's client in every way it has, each in a request that predicted something first.

The arguments are the instrumentation of the client, the server's address and what to propagate.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys

import keras_otel

instrumentor, base_url, propagate = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl", propagate=propagate)
pkgutil.resolve_name(instrumentor)().instrument()

from openai import AsyncOpenAI, InternalServerError, OpenAI  # noqa: E402 - instrumented first
from service import QUESTION, request  # noqa: E402

WHOLE = {"model": "gpt-4o-mini", "messages": QUESTION}
STREAM = {**WHOLE, "stream": True, "stream_options": {"include_usage": True}}
REFUSED = {**WHOLE, "model": "refuse-500"}
REACHES = {"base_url": base_url, "api_key": "none", "max_retries": 0}


def call() -> None:
    """Call the synchronous client."""
    with OpenAI(**REACHES) as client:
        completions = client.chat.completions
        with request("sync whole"):
            completions.create(**WHOLE)
        with request("sync stream"):
            list(completions.create(**STREAM))
        with request("sync refused"):
            try:
                completions.create(**REFUSED)
            except InternalServerError as error:
                print(error)
        with request("nothing predicted", predicts=False):
            completions.create(**WHOLE)


async def call_async() -> None:
    """Call the asynchronous client."""
    async with AsyncOpenAI(**REACHES) as client:
        completions = client.chat.completions
        with request("async whole"):
            await completions.create(**WHOLE)
        with request("async stream"):
            async for _ in await completions.create(**STREAM):
                pass
        with request("async refused"):
            try:
                await completions.create(**REFUSED)
            except InternalServerError as error:
                print(error)


call()
asyncio.run(call_async())
