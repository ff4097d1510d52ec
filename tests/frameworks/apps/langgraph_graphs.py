"""Graphs of LangGraph that classify in one node and answer in another, run in every way it has.

The arguments are the model server, a receiver, and who makes the LLM spans.
"""

from __future__ import annotations

import asyncio
import operator
import pkgutil
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import keras_otel

base_url, _, instrumentor = sys.argv[1:]
keras_otel.instrument(export="file:spans.jsonl")
pkgutil.resolve_name(instrumentor)().instrument()

from intents import LABELS, answering, classify, request  # noqa: E402 - instrumented first
from langchain.agents import create_agent  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from langgraph.checkpoint.memory import InMemorySaver  # noqa: E402
from langgraph.graph import END, START, StateGraph  # noqa: E402
from langgraph.types import Send  # noqa: E402


class State(TypedDict, total=False):
    """What the nodes hand on."""

    text: str
    intent: str
    answer: str
    texts: list[str]
    answers: Annotated[list[str], operator.add]


def llm(intent: str) -> ChatOpenAI:
    """The chat model that answers this intent."""
    return ChatOpenAI(model=answering(intent), base_url=base_url, api_key="none", max_retries=0)


def classify_node(state: State) -> State:
    return {"intent": classify(state["text"])}


def answer_node(state: State) -> State:
    return {"answer": llm(state["intent"]).invoke("hi").content}


async def async_classify_node(state: State) -> State:
    return {"intent": classify(state["text"])}


async def classify_in_thread_node(state: State) -> State:
    return {"intent": await asyncio.to_thread(classify, state["text"])}


async def async_answer_node(state: State) -> State:
    return {"answer": (await llm(state["intent"]).ainvoke("hi")).content}


async def stream_answer_node(state: State) -> State:
    return {"answer": "".join([part.content async for part in llm(state["intent"]).astream("hi")])}


def two_nodes(classifies: Any, answers: Any, **options: Any) -> Any:
    """A node that classifies, then one that answers."""
    graph = StateGraph(State)
    graph.add_node("classify", classifies)
    graph.add_node("answer", answers)
    graph.add_edge(START, "classify")
    graph.add_edge("classify", "answer")
    graph.add_edge("answer", END)
    return graph.compile(**options)


def routed(classifies: Any, answers: Any) -> Any:
    """A node that classifies, and one for each intent to go on with."""
    graph = StateGraph(State)
    graph.add_node("classify", classifies)
    graph.add_edge(START, "classify")
    graph.add_conditional_edges("classify", lambda state: state["intent"], LABELS)
    for label in LABELS:
        graph.add_node(label, answers)
        graph.add_edge(label, END)
    return graph.compile()


def loop(classifies: Any, answers: Any) -> Any:
    """Classify and answer until no text is left."""
    graph = StateGraph(State)
    graph.add_node("take", lambda state: {"text": state["texts"][0], "texts": state["texts"][1:]})
    graph.add_node("classify", classifies)
    graph.add_node("answer", answers)
    graph.add_edge(START, "take")
    graph.add_edge("take", "classify")
    graph.add_edge("classify", "answer")
    graph.add_conditional_edges("answer", lambda state: "take" if state["texts"] else END)
    return graph.compile()


def fan_out(branch: Any) -> Any:
    """One branch for each text, side by side."""
    graph = StateGraph(State)
    graph.add_node("branch", branch)
    graph.add_conditional_edges(
        START, lambda state: [Send("branch", {"text": text}) for text in state["texts"]], ["branch"]
    )
    graph.add_edge("branch", END)
    return graph.compile()


def whole_branch(state: State) -> State:
    return {"answers": [llm(classify(state["text"])).invoke("hi").content]}


async def async_whole_branch(state: State) -> State:
    return {"answers": [(await llm(classify(state["text"])).ainvoke("hi")).content]}


async def thread_whole_branch(state: State) -> State:
    intent = await asyncio.to_thread(classify, state["text"])
    return {"answers": [(await llm(intent).ainvoke("hi")).content]}


def graph_branch(state: State) -> State:
    return {"answers": [SYNC.invoke({"text": state["text"]})["answer"]]}


async def async_graph_branch(state: State) -> State:
    return {"answers": [(await ASYNC.ainvoke({"text": state["text"]}))["answer"]]}


SYNC = two_nodes(classify_node, answer_node)
ASYNC = two_nodes(async_classify_node, async_answer_node)
IN_THREAD = two_nodes(classify_in_thread_node, stream_answer_node)
ALL_TEXTS = {"texts": LABELS * 2}


@tool
def intent_of(text: str) -> str:
    """Tell the intent of a text."""
    return classify(text)


def turns(name: str, turn: Callable[[str], Any]) -> None:
    """One request in which every label has its turn."""
    with request(name):
        for label in LABELS:
            turn(label)


def call() -> None:
    """Run graphs from code that is not asynchronous."""
    for label in LABELS:
        with request("invoke, a turn a request"):
            SYNC.invoke({"text": label})
    turns("invoke", lambda label: SYNC.invoke({"text": label}))
    turns("stream", lambda label: list(SYNC.stream({"text": label})))
    turns(
        "stream messages",
        lambda label: list(SYNC.stream({"text": label}, stream_mode="messages")),
    )
    by_intent = routed(classify_node, answer_node)
    turns("conditional edges", lambda label: by_intent.invoke({"text": label}))
    kept = two_nodes(classify_node, answer_node, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    turns("checkpointer", lambda label: kept.invoke({"text": label}, thread))
    with request("loop"):
        loop(classify_node, answer_node).invoke({"texts": LABELS})
    with request("branches"):
        fan_out(whole_branch).invoke(ALL_TEXTS)
    with request("branches with graphs"):
        fan_out(graph_branch).invoke(ALL_TEXTS)
    with request("batch"):
        SYNC.batch([{"text": label} for label in LABELS * 2])

    def serve(label: str) -> None:
        with request("requests in threads"):
            SYNC.invoke({"text": label})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(serve, LABELS * 4))
    for label in LABELS:
        with request("tool"):
            agent = create_agent(llm(label), [intent_of])
            agent.invoke({"messages": [("user", label)]})


async def async_turns(name: str, turn: Callable[[str], Awaitable[Any]]) -> None:
    with request(name):
        for label in LABELS:
            await turn(label)


async def drained(parts: Any) -> None:
    async for _ in parts:
        pass


async def call_async() -> None:
    """Run graphs from asynchronous code."""
    await async_turns("ainvoke", lambda label: ASYNC.ainvoke({"text": label}))
    await async_turns(
        "ainvoke nodes that are not async", lambda label: SYNC.ainvoke({"text": label})
    )
    await async_turns("astream", lambda label: drained(ASYNC.astream({"text": label})))
    await async_turns(
        "astream messages",
        lambda label: drained(ASYNC.astream({"text": label}, stream_mode="messages")),
    )
    await async_turns(
        "astream events",
        lambda label: drained(ASYNC.astream_events({"text": label}, version="v2")),
    )
    await async_turns("to_thread", lambda label: IN_THREAD.ainvoke({"text": label}))
    by_intent = routed(async_classify_node, async_answer_node)
    await async_turns("async conditional edges", lambda label: by_intent.ainvoke({"text": label}))
    with request("async loop"):
        await loop(async_classify_node, async_answer_node).ainvoke({"texts": LABELS})
    with request("async branches"):
        await fan_out(async_whole_branch).ainvoke(ALL_TEXTS)
    with request("async branches, to_thread"):
        await fan_out(thread_whole_branch).ainvoke(ALL_TEXTS)
    with request("async branches with graphs"):
        await fan_out(async_graph_branch).ainvoke(ALL_TEXTS)
    with request("abatch"):
        await ASYNC.abatch([{"text": label} for label in LABELS * 2])
    with request("gathered graphs"):
        await asyncio.gather(*(IN_THREAD.ainvoke({"text": label}) for label in LABELS * 2))

    async def serve(label: str) -> None:
        with request("requests in tasks"):
            await IN_THREAD.ainvoke({"text": label})

    await asyncio.gather(*(serve(label) for label in LABELS * 4))
    for label in LABELS:
        with request("async tool"):
            agent = create_agent(llm(label), [intent_of])
            await agent.ainvoke({"messages": [("user", label)]})


call()
asyncio.run(call_async())
