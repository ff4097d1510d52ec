"""What follows code that ran side by side: nobody's label but where it can be known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.context import Context

from tests.propagation.conftest import Label, Service


async def side_by_side(*items: Callable[[], Any], in_thread: bool) -> list[Any]:
    """Run each item in a thread, or in a task, of its own, and wait for all."""

    async def in_task(item: Callable[[], Any]) -> Any:
        return item()

    run = asyncio.to_thread if in_thread else in_task
    return await asyncio.gather(*(run(item) for item in items))


def turn(service: Service, index: int) -> Label:
    """A prediction and its answer."""
    label = service.predict(index)
    assert service.llm() == label
    return label


IN_THREADS = pytest.mark.parametrize("in_thread", [False, True], ids=["tasks", "threads"])


@IN_THREADS
def test_a_summary_of_many_answers(service, in_thread):
    """A summary follows no single one of the items that it sums up."""

    async def handle() -> Label | None:
        items = [lambda index=index: turn(service, index % 3) for index in range(20)]
        await side_by_side(*items, in_thread=in_thread)
        return service.llm()

    with service.span():
        assert asyncio.run(handle()) is None


@IN_THREADS
def test_an_answer_among_items(service, in_thread):
    """One item was answered and one was not: the summary follows both."""

    async def handle() -> Label | None:
        await side_by_side(
            lambda: turn(service, 0), lambda: service.predict(1), in_thread=in_thread
        )
        return service.llm()

    with service.span():
        assert asyncio.run(handle()) is None


@IN_THREADS
def test_a_prediction_after_the_items(service, in_thread):
    """What the code predicts itself, once the items are done, is its own."""

    async def handle() -> None:
        await side_by_side(lambda: turn(service, 0), lambda: turn(service, 1), in_thread=in_thread)
        turn(service, 2)

    with service.span():
        asyncio.run(handle())


@IN_THREADS
def test_a_step_after_the_items(service, in_thread):
    """A step of its own follows what was predicted for it in a thread."""

    async def handle() -> None:
        await side_by_side(lambda: turn(service, 0), lambda: turn(service, 1), in_thread=in_thread)
        with service.span("step"):
            label = await asyncio.to_thread(service.predict, 2)
            assert service.llm() == label

    with service.span():
        asyncio.run(handle())


@IN_THREADS
def test_a_turn_in_the_middle_of_a_conversation(service, in_thread):
    """Whether a turn that ran elsewhere was this one's is not known, and its own label is old."""

    async def handle() -> None:
        turn(service, 0)
        await side_by_side(lambda: turn(service, 1), in_thread=in_thread)
        assert service.llm() is None
        turn(service, 2)

    with service.span():
        asyncio.run(handle())


@IN_THREADS
def test_a_request_of_its_own_inside_an_item(service, in_thread):
    """An item that makes another request in between keeps to its own prediction."""

    async def handle() -> Label | None:
        first = asyncio.Event()
        second = asyncio.Event()

        async def item() -> Label | None:
            label = service.predict(0)
            assert service.llm() == label
            with service.span("other request", Context()):
                turn(service, 1)
            first.set()
            await second.wait()
            found = service.llm()
            assert found in (None, label)
            return found

        async def other() -> None:
            await first.wait()
            await side_by_side(lambda: turn(service, 2), in_thread=in_thread)
            second.set()

        found, _ = await asyncio.gather(item(), other())
        return found

    with service.span():
        assert asyncio.run(handle()) is not None
