"""Random requests: what an LLM span carries, held against what could have led to it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Coroutine, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry.context import Context

import keras_otel
from keras_otel._worker import flush_workers
from keras_otel.propagation.request_tree import tree
from tests.propagation.conftest import CLASSES, Label, Service


@dataclass(frozen=True)
class Predict:
    """The running code predicts; `is_shared` where another thread does so for its request."""

    is_shared: bool = False


@dataclass(frozen=True)
class Ask:
    """The running code calls an LLM."""


@dataclass(frozen=True)
class Pause:
    """Let the others go on."""


@dataclass(frozen=True)
class Span:
    """A span around a block: a step, or the root of another request."""

    block: Block
    is_root: bool = False


@dataclass(frozen=True)
class Copy:
    """A block that runs in a copy of the context, as LangGraph and LangChain run each step."""

    block: Block


Kind = Literal["tasks", "threads", "jobs"]
"""Jobs are those of `asyncio.to_thread`; where no task runs they are threads too."""


@dataclass(frozen=True)
class Fork:
    """Blocks that run side by side and are waited for; a single one is awaited by itself."""

    kind: Kind
    blocks: tuple[Block, ...]


Op = Predict | Ask | Pause | Span | Copy | Fork
Block = tuple[Op, ...]


@dataclass(frozen=True, eq=False)
class Made:
    """A prediction.

    Attributes:
        label: What it says; no two predictions of a request say the same.
        past: Those that the code which made it knew.
    """

    label: Label
    past: frozenset[Made]


@dataclass(frozen=True)
class Asked:
    """An LLM call.

    Attributes:
        carried: What its span carries.
        known: The newest predictions that the code which called it can have followed: several
            where code that ran side by side made them.
        has_line: Whether it, or the code that it came from, has predicted or was answered before:
            then others that run side by side with it are not followed.
        made: All that the request had made by then.
        request: Which request it is in; None outside of any.
    """

    carried: Label | None
    known: frozenset[Made]
    has_line: bool
    made: tuple[Made, ...]

    def may_carry(self) -> list[Label]:
        """Every label that is right."""
        older = {past for each in self.known for past in each.past}
        beside = () if self.has_line else set(self.made) - self.known - older
        newest = self.known if len(self.known) == 1 else ()
        return [made.label for made in (*newest, *beside)]


@dataclass
class Code:
    """What running code knows, by request; code that forks off starts with a copy."""

    known: dict[int, frozenset[Made]] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)
    request: int | None = None

    def copy(self) -> Code:
        return Code(dict(self.known), set(self.lines), self.request)

    def join(self, others: Iterable[Code]) -> None:
        """Know what those knew in the end that were waited for."""
        for other in others:
            for request, made in other.known.items():
                both = self.known.get(request, frozenset()) | made
                older = {past for each in both for past in each.past}
                self.known[request] = frozenset(both - older)


@dataclass(frozen=True)
class Forked:
    """Asks whoever drives the code to run these side by side, each in a copy of the context."""

    fork: Fork
    codes: tuple[Code, ...]
    context: contextvars.Context | None = None
    """The context that forks, where that is not the driver's own."""


Steps = Generator[Forked | None, None, None]


class World:
    """Runs a program with real spans and predictions, and notes what is asked."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.asked: list[Asked] = []
        self.made: dict[int, list[Made]] = {}

    def steps(self, block: Block, code: Code) -> Steps:
        """The block's code; it yields where others may go on."""
        for op in block:
            match op:
                case Predict(is_shared=is_shared):
                    self._predict(code, is_shared=is_shared)
                case Ask():
                    self._ask(code)
                case Pause():
                    yield None
                case Span(block=inner, is_root=is_root):
                    yield from self._span(inner, code, is_root=is_root)
                case Copy(block=inner):
                    yield from in_copied_context(self.steps(inner, code))
                case Fork() as fork:
                    codes = tuple(code.copy() for _ in fork.blocks)
                    yield Forked(fork, codes)
                    code.join(codes)

    def _predict(self, code: Code, *, is_shared: bool) -> None:
        count = sum(map(len, self.made.values()))
        index, strength = count % len(CLASSES), 1.0 + count / 100
        if is_shared:
            label = self._predict_elsewhere(index, strength)
        else:
            label = self.service.predict(index, strength)
        if code.request is None:
            return
        known = code.known.get(code.request, frozenset())
        made = Made(label, known.union(*(each.past for each in known)))
        self.made.setdefault(code.request, []).append(made)
        code.known[code.request] = frozenset({made})
        if not is_shared:
            code.lines.add(code.request)

    def _predict_elsewhere(self, index: int, strength: float) -> Label:
        x = np.zeros((2, len(CLASSES)), "float32")
        x[0, index] = strength
        context, found = otel_context.get_current(), []

        def call() -> None:
            with keras_otel.batch([context, None]):
                found.append(self.service.model.predict_on_batch(x))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return CLASSES[index], float(found[0][0, index])

    def _ask(self, code: Code) -> None:
        carried = self.service.llm()
        request = code.request
        if request is None:
            self.asked.append(Asked(carried, frozenset(), has_line=False, made=()))
            return
        known, made = code.known.get(request, frozenset()), tuple(self.made[request])
        self.asked.append(Asked(carried, known, has_line=request in code.lines, made=made))
        if carried is not None and request not in code.lines:
            code.lines.add(request)  # from now on it follows what its answer does
            code.known[request] = frozenset(each for each in made if each.label == carried)

    def _span(self, block: Block, code: Code, *, is_root: bool) -> Steps:
        outer = code.request
        with self.service.span("work", Context() if is_root else None):
            if is_root or code.request is None:
                code.request = len(self.made)
                self.made[code.request] = []
            yield from self.steps(block, code)
        code.request = outer


def in_copied_context(steps: Steps) -> Steps:
    """Run code in a copy of the context, which it comes back to after each pause."""
    context = contextvars.copy_context()
    while True:
        try:
            forked = context.run(next, steps)
        except StopIteration:
            return
        if forked is not None:
            forked = Forked(forked.fork, forked.codes, forked.context or context)
        yield forked


class Baton:
    """Threads that take turns: one runs until it pauses, then the next one."""

    def __init__(self, count: int) -> None:
        self._turns = [threading.Semaphore(0) for _ in range(count)]
        self._running = list(range(count))
        self._errors: list[BaseException] = []

    def run(self, world: World, forked: Forked) -> None:
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run, args=(self._drive, index, world, steps)
            )
            for index, steps in enumerate(steps_of(world, forked))
        ]
        for thread in threads:
            thread.start()
        self._turns[0].release()
        for thread in threads:
            thread.join()
        for error in self._errors:
            raise error

    async def run_jobs(self, world: World, forked: Forked) -> None:
        jobs = [
            asyncio.to_thread(self._drive, index, world, steps)
            for index, steps in enumerate(steps_of(world, forked))
        ]
        self._turns[0].release()
        if len(jobs) == 1:
            await jobs[0]
        else:
            await asyncio.gather(*jobs)
        for error in self._errors:
            raise error

    def _drive(self, index: int, world: World, steps: Steps) -> None:
        self._turns[index].acquire()
        try:
            for forked in steps:
                if forked is not None:
                    run_side_by_side(world, forked)
                self._pass_on(index)
                self._turns[index].acquire()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._errors.append(error)
        finally:
            following = self._after(index)
            self._running.remove(index)
            if following != index:
                self._turns[following].release()

    def _pass_on(self, index: int) -> None:
        self._turns[self._after(index)].release()

    def _after(self, index: int) -> int:
        place = self._running.index(index)
        return self._running[(place + 1) % len(self._running)]


def steps_of(world: World, forked: Forked) -> list[Steps]:
    """The code of each block."""
    pairs = zip(forked.fork.blocks, forked.codes, strict=True)
    return [world.steps(block, code) for block, code in pairs]


def run_side_by_side(world: World, forked: Forked) -> None:
    """Run what code in a thread has forked."""
    if forked.context is not None:
        forked.context.run(run_side_by_side, world, Forked(forked.fork, forked.codes))
    elif forked.fork.kind == "tasks":
        asyncio.run(with_threads(gathered(world, forked)))
    else:
        Baton(len(forked.codes)).run(world, forked)


async def gathered(world: World, forked: Forked) -> None:
    """Wait for tasks."""
    tasks = [in_task(world, steps) for steps in steps_of(world, forked)]
    if len(tasks) == 1:
        await asyncio.create_task(tasks[0])
    else:
        await asyncio.gather(*tasks)


async def in_task(world: World, steps: Steps) -> None:
    """Run code as a task; threads that it starts keep its loop waiting, as a sync library does."""
    for forked in steps:
        if forked is None:
            await asyncio.sleep(0)
        elif forked.fork.kind == "threads":
            run_side_by_side(world, forked)
        elif forked.context is not None:
            # The task is driven in the copied context, which goes along into a task of its own.
            inner = Forked(forked.fork, forked.codes)
            await asyncio.create_task(waited_for(world, inner), context=forked.context)
        else:
            await waited_for(world, forked)


async def waited_for(world: World, forked: Forked) -> None:
    """Wait for what a task has forked."""
    if forked.fork.kind == "tasks":
        await gathered(world, forked)
    else:
        await Baton(len(forked.codes)).run_jobs(world, forked)


def run(service: Service, program: Block, *, in_loop: bool) -> World:
    """Run a program, as a task or in the thread, and nothing of it stays behind."""
    world = World(service)
    context = contextvars.Context()
    steps = world.steps(program, Code())
    if in_loop:
        context.run(asyncio.run, with_threads(in_task(world, steps)))
    else:
        context.run(in_thread, world, steps)
    # What is pending holds the request's spans, and the next program's have the same random ids.
    flush_workers(60.0)
    return world


async def with_threads(code: Coroutine[Any, Any, None]) -> None:
    """Run code in a loop that has a thread for every job, as jobs wait for one another."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    await code


def in_thread(world: World, steps: Steps) -> None:
    """Run code in this thread."""
    for forked in steps:
        if forked is not None:
            run_side_by_side(world, forked)


# -- programs -------------------------------------------------------------------------------------

Atoms = st.SearchStrategy[Block]
"""One operation each, or several that stay together."""

PREDICT: Atoms = st.sampled_from([(Predict(),), (Predict(),), (Predict(is_shared=True),)])
ASK: Atoms = st.just((Ask(),))
PAUSE: Atoms = st.just((Pause(),))
TURN: Atoms = st.just((Predict(), Ask()))
"""A prediction and the answer that follows it."""
SPREAD_TURN: Atoms = st.sampled_from(["tasks", "threads", "jobs"]).flatmap(
    lambda kind: st.sampled_from(
        [
            (Fork(kind, ((Predict(),),)), Ask()),
            (Predict(), Fork(kind, ((Ask(),),))),
            (Predict(), Fork(kind, ((Ask(),), (Pause(), Ask())))),
            (Predict(), Predict(), Ask()),
        ]
    )
)
"""The same, with one of the two in another task or thread, or with a prediction that is replaced."""
COPIED_TURN: Atoms = st.sampled_from(
    [
        (Copy((Predict(),)), Copy((Ask(),))),
        (Copy((Copy((Predict(),)),)), Ask()),
        (Predict(), Copy((Ask(), Copy((Ask(),))))),
    ]
)
"""The same, with each of the two in a step that runs in a copied context."""
AWAITED_TURN: Atoms = st.sampled_from(["tasks", "jobs"]).flatmap(
    lambda kind: st.sampled_from(
        [
            (Fork(kind, ((Predict(),),)), Fork(kind, ((Ask(),),))),
            (Fork(kind, ((Copy((Predict(),)),),)), Copy((Ask(),))),
            (Fork(kind, ((Copy((Predict(),)),),)), Fork(kind, ((Copy((Ask(),)),),))),
        ]
    )
)
"""The same, with each of the two in a task or job of its own, which a task awaits."""


def block_of(atoms: Atoms) -> Atoms:
    return st.lists(atoms, max_size=5).map(lambda found: tuple(op for ops in found for op in ops))


def programs(atoms: Atoms, *, is_concurrent: bool, is_copied: bool = True) -> Atoms:
    """Blocks of these operations, of steps, and of other requests and code that forks."""

    def around(inner: Atoms) -> Atoms:
        block = block_of(inner)
        step = st.builds(Span, block=block).map(lambda op: (op,))
        copy = st.builds(Copy, block=block).map(lambda op: (op,))
        if not is_concurrent:
            return st.one_of(inner, step, copy) if is_copied else st.one_of(inner, step)
        kinds = st.sampled_from(["tasks", "threads", "jobs"])
        sides = st.lists(block, min_size=1, max_size=3).map(tuple)
        fork = st.builds(Fork, kind=kinds, blocks=sides).map(lambda op: (op,))
        root = st.builds(Span, block=block, is_root=st.just(value=True)).map(lambda op: (op,))
        return st.one_of(inner, step, step, copy, fork, fork, root)

    return block_of(st.recursive(atoms, around, max_leaves=20))


def in_request(program: Block) -> Block:
    """The program below one root span, as a server's handler is."""
    return (Span(program, is_root=True),)


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    """When the requests are over, so is what was kept for them."""
    yield
    gc.collect()
    assert len(tree) == 0


EXAMPLES = settings(
    deadline=None,
    derandomize=True,
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@EXAMPLES
@given(
    program=programs(st.one_of(PREDICT, ASK, PAUSE, TURN), is_concurrent=True),
    in_loop=st.booleans(),
)
def test_no_label_is_wrong(service: Service, program: Block, in_loop: bool) -> None:
    """A label is the newest prediction that the code has followed, or that others made beside it."""
    for asked in run(service, in_request(program), in_loop=in_loop).asked:
        assert asked.carried is None or asked.carried in asked.may_carry()


@EXAMPLES
@given(
    program=programs(st.one_of(TURN, SPREAD_TURN, COPIED_TURN, ASK), is_concurrent=False),
    in_loop=st.booleans(),
)
def test_one_thing_after_the_other_has_every_label(
    service: Service, program: Block, in_loop: bool
) -> None:
    """Where each prediction is used before the next one, every LLM span has the newest."""
    for asked in run(service, in_request(program), in_loop=in_loop).asked:
        assert asked.carried == the_newest(asked)


@EXAMPLES
@given(
    program=programs(
        st.one_of(TURN, COPIED_TURN, AWAITED_TURN, ASK), is_concurrent=False, is_copied=False
    )
)
def test_what_a_task_awaits_has_every_label(service: Service, program: Block) -> None:
    """What a task awaits, one thing after the other, is as if the task did it itself."""
    for asked in run(service, in_request(program), in_loop=True).asked:
        assert asked.carried == the_newest(asked)


def the_newest(asked: Asked) -> Label | None:
    """The label of the one prediction that an LLM call follows."""
    known = [made.label for made in asked.known]
    return known[0] if known else None
