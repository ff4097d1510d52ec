"""Random requests: what an LLM span carries, held against what could have led to it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry.context import Context

import keras_otel
from keras_otel.propagation.tree import tree
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
class Fork:
    """Blocks that run side by side and are waited for."""

    kind: Literal["tasks", "threads"]
    blocks: tuple[Block, ...]


Op = Predict | Ask | Pause | Span | Fork
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
    if forked.fork.kind == "tasks":
        asyncio.run(gathered(world, forked))
    else:
        Baton(len(forked.codes)).run(world, forked)


def gathered(world: World, forked: Forked) -> Coroutine[Any, Any, None]:
    """Wait for tasks."""

    async def gather() -> None:
        await asyncio.gather(*(in_task(world, steps) for steps in steps_of(world, forked)))

    return gather()


async def in_task(world: World, steps: Steps) -> None:
    """Run code as a task; threads that it starts keep its loop waiting, as a sync library does."""
    for forked in steps:
        if forked is None:
            await asyncio.sleep(0)
        elif forked.fork.kind == "tasks":
            await gathered(world, forked)
        else:
            Baton(len(forked.codes)).run(world, forked)


def run(service: Service, program: Block, *, in_loop: bool) -> World:
    """Run a program, as a task or in the thread, and nothing of it stays behind."""
    world = World(service)
    context = contextvars.Context()
    steps = world.steps(program, Code())
    if in_loop:
        context.run(asyncio.run, in_task(world, steps))
    else:
        context.run(in_thread, world, steps)
    return world


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
SPREAD_TURN: Atoms = st.sampled_from(["tasks", "threads"]).flatmap(
    lambda kind: st.sampled_from(
        [
            (Fork(kind, ((Predict(),),)), Ask()),
            (Predict(), Fork(kind, ((Ask(),),))),
            (Predict(), Fork(kind, ((Ask(),), (Pause(), Ask())))),
        ]
    )
)
"""The same, with one of the two in another task or thread."""


def block_of(atoms: Atoms) -> Atoms:
    return st.lists(atoms, max_size=5).map(lambda found: tuple(op for ops in found for op in ops))


def programs(atoms: Atoms, *, is_concurrent: bool) -> Atoms:
    """Blocks of these operations, of steps, and of other requests and code that forks."""

    def around(inner: Atoms) -> Atoms:
        block = block_of(inner)
        step = st.builds(Span, block=block).map(lambda op: (op,))
        if not is_concurrent:
            return st.one_of(inner, step)
        kinds = st.sampled_from(["tasks", "threads"])
        sides = st.lists(block, min_size=1, max_size=3).map(tuple)
        fork = st.builds(Fork, kind=kinds, blocks=sides).map(lambda op: (op,))
        root = st.builds(Span, block=block, is_root=st.just(value=True)).map(lambda op: (op,))
        return st.one_of(inner, step, step, fork, fork, root)

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
    program=programs(st.one_of(TURN, SPREAD_TURN, ASK), is_concurrent=False),
    in_loop=st.booleans(),
)
def test_one_thing_after_the_other_has_every_label(
    service: Service, program: Block, in_loop: bool
) -> None:
    """Where each prediction is used before the next one, every LLM span has the newest."""
    for asked in run(service, in_request(program), in_loop=in_loop).asked:
        known = [made.label for made in asked.known]
        assert asked.carried == (known[0] if known else None)
