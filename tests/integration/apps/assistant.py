"""A FastAPI service: a Keras model says what a question is about, then an LLM is asked.

A question carries the class that the model will predict and how sure of it. Each endpoint predicts
and asks in another way; the LLM span of a question carries its number.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from typing import Any

import keras_otel

keras_otel.instrument(export=os.environ["TARGET"])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from keras_otel import _guard, metrics  # noqa: E402
from keras_otel.propagation import recent_spans, request_tree  # noqa: E402

CLASSES = ["refund", "order", "delivery", "invoice", "complaint"]
LONGEST_WAIT_S = 0.01

model = keras.Sequential(
    [
        keras.layers.Input((len(CLASSES),)),
        keras.layers.Dense(
            len(CLASSES), activation="softmax", use_bias=False, kernel_initializer="identity"
        ),
    ]
)
keras_otel.describe(model, name="intent", version="2026-11-01", labels=CLASSES)
tracer = trace.get_tracer("assistant")
app = FastAPI()


class Question(BaseModel):
    """One question.

    Attributes:
        number: Which one it is, of all that are ever asked.
        label: The class that the model will predict.
        strength: The logit of that class; those of the others are 0.
    """

    number: int
    label: int
    strength: float


def predict(question: Question) -> int:
    """The class that the model sees."""
    row = np.zeros((1, len(CLASSES)), "float32")
    row[0, question.label] = question.strength
    return int(np.argmax(np.asarray(model(row))))


def llm_span(question: Question) -> Any:
    """The span of a call to an LLM."""
    asked = {"gen_ai.operation.name": "chat", "app.question": question.number}
    return tracer.start_as_current_span("chat", attributes=asked)


async def ask(question: Question) -> None:
    """Ask the LLM, and judge its answer while its span is open."""
    await asyncio.sleep(random.uniform(0, LONGEST_WAIT_S))
    with llm_span(question):
        await asyncio.sleep(random.uniform(0, LONGEST_WAIT_S))
        keras_otel.record_evaluation("relevance", passed=True)


def ask_and_judge_later(question: Question) -> None:
    """Ask the LLM, and judge its answer when its span has ended."""
    time.sleep(random.uniform(0, LONGEST_WAIT_S))
    with llm_span(question) as span:
        pass
    keras_otel.record_evaluation("relevance", passed=True, span=span)


@app.post("/sync")
def sync(questions: list[Question]) -> list[int]:
    """All of it in a thread of the server's pool."""
    (question,) = questions
    answer = predict(question)
    ask_and_judge_later(question)
    return [answer]


@app.post("/inline")
async def inline(questions: list[Question]) -> list[int]:
    """Predict on the event loop."""
    (question,) = questions
    answer = predict(question)
    await ask(question)
    return [answer]


@app.post("/to_thread")
async def to_thread(questions: list[Question]) -> list[int]:
    """Predict in a thread, ask on the event loop."""
    (question,) = questions
    answer = await asyncio.to_thread(predict, question)
    await ask(question)
    return [answer]


@app.post("/task")
async def task(questions: list[Question]) -> list[int]:
    """Predict in a thread, ask in another task."""
    (question,) = questions
    answer = await asyncio.to_thread(predict, question)
    await asyncio.create_task(ask(question))
    return [answer]


@app.post("/in_turn")
async def in_turn(questions: list[Question]) -> list[int]:
    """Answer one question after the other."""
    answers = []
    for question in questions:
        answers.append(await asyncio.to_thread(predict, question))
        await ask(question)
    return answers


@app.post("/at_once")
async def at_once(questions: list[Question]) -> list[int]:
    """Answer all questions at the same time, each in a thread, below one span."""

    def answer(question: Question) -> int:
        predicted = predict(question)
        ask_and_judge_later(question)
        return predicted

    return await asyncio.gather(*(asyncio.to_thread(answer, question) for question in questions))


@app.post("/undecided")
async def undecided(questions: list[Question]) -> list[int]:
    """Predict for all questions, then ask for the first: nothing says which prediction led to it."""
    answers = [predict(question) for question in questions]
    await ask(questions[0])
    return answers


@app.post("/nothing")
async def nothing(questions: list[Question]) -> list[int]:
    """Ask without a prediction, on the event loop."""
    await ask(questions[0])
    return []


@app.post("/nothing_sync")
def nothing_sync(questions: list[Question]) -> list[int]:
    """Ask without a prediction, in a thread of the server's pool."""
    ask_and_judge_later(questions[0])
    return []


@app.get("/state")
async def state() -> dict[str, Any]:
    """What this process still holds, and what went wrong in it."""
    gc.collect()
    return {
        "process": os.getpid(),
        "nodes": len(request_tree.tree),
        "remembered": max(len(recent_spans.stamped_spans), len(recent_spans.inference_spans)),
        "failures": _guard.failure_counts(),
        "dropped": metrics.dropped_counts(),
    }


FastAPIInstrumentor.instrument_app(app, excluded_urls="state", exclude_spans=["receive", "send"])
# A server that forks its workers has predicted by then, in a span of its own.
with tracer.start_as_current_span("warm up"):
    predict(Question(number=-1, label=0, strength=9))
