"""Run a LangChain chain in every way it has, each in a request that predicted something first.

The arguments are the instrumentation of LangChain, the server's address and what to propagate.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys

import keras_otel

instrumentor, base_url, propagate = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl", propagate=propagate)
pkgutil.resolve_name(instrumentor)().instrument()

from langchain_core.prompts import ChatPromptTemplate  # noqa: E402 - instrumented first
from langchain_openai import ChatOpenAI  # noqa: E402
from openai import InternalServerError  # noqa: E402
from service import QUESTION, request  # noqa: E402

REACHES = {"base_url": base_url, "api_key": "none", "max_retries": 0}
prompt = ChatPromptTemplate.from_messages(
    [(message["role"], message["content"]) for message in QUESTION]
)
answering = prompt | ChatOpenAI(model="gpt-4o-mini", stream_usage=True, **REACHES)
refusing = prompt | ChatOpenAI(model="refuse-500", **REACHES)


def call() -> None:
    """Run the chain."""
    with request("sync whole"):
        answering.invoke({})
    with request("sync stream"):
        list(answering.stream({}))
    with request("sync refused"):
        try:
            refusing.invoke({})
        except InternalServerError as error:
            print(error)
    with request("nothing predicted", predicts=False):
        answering.invoke({})


async def call_async() -> None:
    """Await the chain."""
    with request("async whole"):
        await answering.ainvoke({})
    with request("async stream"):
        async for _ in answering.astream({}):
            pass
    with request("async refused"):
        try:
            await refusing.ainvoke({})
        except InternalServerError as error:
            print(error)


call()
asyncio.run(call_async())
