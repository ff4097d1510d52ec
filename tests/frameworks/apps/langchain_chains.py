"""Chains of LangChain that classify in one step and answer in another, run in every way it has.

The arguments are the model server, a receiver, and who makes the LLM spans.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras_otel

base_url, _, *instrumentors = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl")
for instrumentor in instrumentors:
    pkgutil.resolve_name(instrumentor)().instrument()

from intents import LABELS, answering, classify, request  # noqa: E402 - instrumented first
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402
from langchain_core.runnables import (  # noqa: E402
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_openai import ChatOpenAI  # noqa: E402


async def classify_in_thread(request: dict[str, str]) -> dict[str, str]:
    return {**request, "intent": await asyncio.to_thread(classify, request["text"])}


LLMS = {
    label: ChatOpenAI(model=answering(label), base_url=base_url, api_key="none", max_retries=0)
    for label in LABELS
}
prompt = ChatPromptTemplate.from_messages([("user", "{text}")])
classified = RunnableLambda(lambda asked: {**asked, "intent": classify(asked["text"])})
in_thread = RunnableLambda(lambda asked: asked, afunc=classify_in_thread)
chosen = RunnableLambda(lambda asked: prompt | LLMS[asked["intent"]])
branched = RunnableBranch(
    *(
        (lambda asked, label=label: asked["intent"] == label, prompt | LLMS[label])
        for label in LABELS[1:]
    ),
    prompt | LLMS[LABELS[0]],
)
CHAIN = classified | branched
CHOOSING = classified | chosen
THREAD = in_thread | branched
ASSIGNED = (
    RunnablePassthrough.assign(
        intent=RunnableLambda(lambda asked: classify(asked["text"])),
        documents=RunnableLambda(lambda asked: [asked["text"]]),
    )
    | branched
)
PARALLEL = RunnableParallel(
    {label: RunnableLambda(lambda _, label=label: asked(label)) | CHAIN for label in LABELS}
)


def asked(label: str) -> dict[str, str]:
    return {"text": label}


ALL = [asked(label) for label in LABELS * 2]


def turns(name: str, turn: Callable[[dict[str, str]], Any]) -> None:
    """One request in which every label has its turn."""
    with request(name):
        for label in LABELS:
            turn(asked(label))


def call() -> None:
    """Run chains from code that is not asynchronous."""
    for label in LABELS:
        with request("invoke, a turn a request"):
            CHAIN.invoke(asked(label))
    turns("invoke", CHAIN.invoke)
    turns("stream", lambda each: list(CHAIN.stream(each)))
    turns("chosen invoke", CHOOSING.invoke)
    turns("chosen stream", lambda each: list(CHOOSING.stream(each)))
    turns("assigned invoke", ASSIGNED.invoke)
    turns("assigned stream", lambda each: list(ASSIGNED.stream(each)))
    turns("steps", lambda each: branched.invoke(classified.invoke(each)))
    turns("no chain", lambda each: LLMS[classify(each["text"])].invoke("hi"))
    with request("parallel invoke"):
        PARALLEL.invoke({})
    with request("parallel stream"):
        list(PARALLEL.stream({}))
    with request("batch"):
        CHAIN.batch(ALL)
    with request("batch, one at a time"):
        CHAIN.batch(ALL, {"max_concurrency": 1})

    def serve(label: str) -> None:
        with request("requests in threads"):
            CHAIN.invoke(asked(label))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(serve, LABELS * 4))


async def async_turns(name: str, turn: Callable[[dict[str, str]], Awaitable[Any]]) -> None:
    with request(name):
        for label in LABELS:
            await turn(asked(label))


async def drained(parts: Any) -> None:
    async for _ in parts:
        pass


async def in_thread_and_no_chain(each: dict[str, str]) -> None:
    await LLMS[await asyncio.to_thread(classify, each["text"])].ainvoke("hi")


async def call_async() -> None:
    """Run chains from asynchronous code."""
    await async_turns("ainvoke", CHAIN.ainvoke)
    await async_turns("astream", lambda each: drained(CHAIN.astream(each)))
    await async_turns(
        "astream events", lambda each: drained(CHAIN.astream_events(each, version="v2"))
    )
    await async_turns("chosen ainvoke", CHOOSING.ainvoke)
    await async_turns("assigned ainvoke", ASSIGNED.ainvoke)
    await async_turns("assigned astream", lambda each: drained(ASSIGNED.astream(each)))
    await async_turns("to_thread", THREAD.ainvoke)
    await async_turns("to_thread astream", lambda each: drained(THREAD.astream(each)))
    await async_turns("to_thread and no chain", in_thread_and_no_chain)
    with request("parallel ainvoke"):
        await PARALLEL.ainvoke({})
    with request("parallel astream"):
        await drained(PARALLEL.astream({}))
    with request("abatch"):
        await CHAIN.abatch(ALL)
    with request("to_thread abatch"):
        await THREAD.abatch(ALL)
    with request("gathered"):
        await asyncio.gather(*(in_thread_and_no_chain(each) for each in ALL))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await THREAD.ainvoke(asked(label))

    await asyncio.gather(*(serve(label) for label in LABELS * 4))


call()
asyncio.run(call_async())
