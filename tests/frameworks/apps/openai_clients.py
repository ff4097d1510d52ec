"""OpenAI's client, called in every way it has, below what makes its spans in this process.

A program that sets up its telemetry imports this, and calls `call_everything`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from intents import LABELS, QUESTION, answering, classify, request


class Client:
    """A synchronous client and an asynchronous one, which answer the intent they are given."""

    def __init__(self, whole: Any, whole_async: Any) -> None:
        self._client = whole
        self._async_client = whole_async

    def answer(self, intent: str, **options: Any) -> Any:
        return self._client.chat.completions.create(
            model=answering(intent), messages=QUESTION, **options
        )

    async def answer_async(self, intent: str, **options: Any) -> Any:
        return await self._async_client.chat.completions.create(
            model=answering(intent), messages=QUESTION, **options
        )


def client_of(sync_class: Any, async_class: Any, base_url: str) -> Client:
    """A client that reaches the model server."""
    reaches = {"base_url": base_url, "api_key": "none", "max_retries": 0}
    return Client(sync_class(**reaches), async_class(**reaches))


def turns(name: str, turn: Callable[[str], Any]) -> None:
    """One request in which every label has its turn."""
    with request(name):
        for label in LABELS:
            turn(label)


async def async_turns(name: str, turn: Callable[[str], Awaitable[Any]]) -> None:
    """The same, awaited."""
    with request(name):
        for label in LABELS:
            await turn(label)


def call_everything(client: Client) -> None:
    """Call the client in requests of every form."""
    for label in LABELS:
        with request("a turn a request"):
            client.answer(classify(label))
    turns("turns", lambda label: client.answer(classify(label)))
    turns("streams", lambda label: list(client.answer(classify(label), stream=True)))
    asyncio.run(_call_async(client))


async def _call_async(client: Client) -> None:
    async def stream(label: str) -> None:
        async for _ in await client.answer_async(classify(label), stream=True):
            pass

    async def in_thread(label: str) -> None:
        await client.answer_async(await asyncio.to_thread(classify, label))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await in_thread(label)

    await async_turns("async turns", lambda label: client.answer_async(classify(label)))
    await async_turns("async streams", stream)
    await async_turns("to_thread", in_thread)
    with request("gathered"):
        await asyncio.gather(*(in_thread(label) for label in LABELS * 2))
    await asyncio.gather(*(serve(label) for label in LABELS * 4))
