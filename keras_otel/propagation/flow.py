"""What one task or thread has predicted and used, where its spans alone do not tell.

Concurrent tasks below one span publish to the same nodes. Each of them has a flow of its own, held
by a context variable from its first prediction or use on: what it predicted itself, or was seen to
follow, goes before what others published.

A context that is copied shares its parent's flow until it makes its own, and tells the flow that it
came from what it predicts: a thread, as that of `to_thread`, is most often waited for, and so was a
task that is done. What a task that still runs has predicted is its own affair.

Where nothing tells whether what another task or thread predicted was waited for by the running code,
that code follows nobody.

A flow counts only below the root span it was made under: a thread or a task may be used again.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from keras_otel.propagation.tree import Node, Publication, Slot, Slots


class Owner:
    """The task, or else the thread, that runs now."""

    __slots__ = ("_task", "_thread")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        task = _current_task()
        self._task = None if task is None else weakref.ref(task)

    def is_here(self) -> bool:
        """True if the same task or thread is running now."""
        if self._thread != threading.get_ident():
            return False
        task = _current_task()
        return task is None if self._task is None else self._task() is task

    @property
    def is_task(self) -> bool:
        """True for a task of asyncio."""
        return self._task is not None

    @property
    def is_running(self) -> bool:
        """True for a task that is not done."""
        task = None if self._task is None else self._task()
        return task is not None and not task.done()


def _current_task() -> Any:
    # A program without asyncio does not import it for us.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:  # noqa: SLF001 - the public one raises
        return None
    return asyncio.current_task()


class Told(NamedTuple):
    """What a task or thread that came from a flow has predicted since.

    Attributes:
        slot: Its newest prediction.
        gate: The task that has to be done before it counts, if any.
        covers_another: True if another task or thread had told something before.
    """

    slot: Slot
    gate: Owner | None
    covers_another: bool

    @property
    def is_beside(self) -> bool:
        """True while the task still runs, so that nobody has waited for it."""
        return self.gate is not None and self.gate.is_running

    @classmethod
    def after(cls, earlier: Told | None, publication: Publication, gate: Owner | None) -> Told:
        """The newest news, in place of earlier ones."""
        if earlier is None:
            return cls(Slot(publication), gate, covers_another=False)
        is_another = earlier.covers_another or earlier.gate is not gate
        return cls(Slot(publication, earlier.slot), gate, covers_another=is_another)


News = dict[str, Told]
"""By model."""


class Flow:
    """The predictions of one task or thread, below one root span.

    Attributes:
        root: The node of that span.
        owner: The task or thread.
        own: What it predicted, or is known to follow, by model.
        inherited: What the flow that it came from knew then.
        doubted: Models of which something else was predicted next to that flow, and whether before
            this one came from it is not known.
        later: What contexts copied from its own have published since.
        upward: The same of the flows that it came from, which it tells in turn, each with the task
            that has to be done before the news counts there.
    """

    __slots__ = ("doubted", "epoch", "inherited", "later", "own", "owner", "root", "upward")

    def __init__(self, root: Node, owner: Owner | None = None) -> None:
        self.root = root
        self.epoch = root.epoch
        self.owner = Owner() if owner is None else owner
        self.own: Slots = {}
        self.inherited: Slots = {}
        self.doubted: frozenset[str] = frozenset()
        self.later: News = {}
        self.upward: tuple[tuple[News, Owner | None], ...] = ()

    def branch(self) -> Flow:
        """The flow of a task or thread that started with this one."""
        flow = Flow(self.root)
        flow.inherited = {**self.inherited, **self.own}
        flow.doubted = self.doubted.difference(self.own).union(self._news_of_others())
        gate = flow.owner if flow.owner.is_task else None
        above = [(later, outer if outer is not None else gate) for later, outer in self.upward]
        flow.upward = ((self.later, gate), *above)
        return flow

    def _news_of_others(self) -> Iterator[str]:
        for model, told in self.later.items():
            known = self.own.get(model) or self.inherited.get(model)
            if known is None or (told.is_beside and not told.covers_another):
                continue
            if not told.slot.latest.says_the_same(known.latest):
                yield model

    def with_own(self, own: Iterable[Slot]) -> Flow:
        """The same flow after something of its own; branches that have it keep the old one."""
        flow = Flow(self.root, self.owner)
        flow.own = dict(self.own)
        for slot in own:
            flow.own[slot.latest.model] = slot
        flow.inherited, flow.doubted = self.inherited, self.doubted
        flow.later, flow.upward = self.later, self.upward
        return flow

    def newest_followed(self, model: str) -> int:
        """Number of the newest publication that this code, or that it came from, made or used."""
        slot = self.own.get(model) or self.inherited.get(model)
        return -1 if slot is None else slot.latest.number

    def newest_seen(self, model: str) -> int:
        """The same, but also of one that the running code has waited for."""
        told = self.later.get(model)
        if told is None or told.is_beside or not self.owner.is_here():
            return self.newest_followed(model)
        return max(told.slot.latest.number, self.newest_followed(model))

    def verdict(self, model: str) -> Slot | None:
        """What this flow says of a model; None where the nearest span has to decide."""
        is_here = self.owner.is_here()
        own = self.own.get(model)
        known = own if own is not None else self.inherited.get(model)
        told = self.later.get(model)
        news = None
        if told is not None and is_here and not told.is_beside and not told.slot.is_ambiguous:
            news = told.slot
        if known is None:
            return news
        if known.is_ambiguous:
            # A step of the code that is undecided may know better, one that it shares may not.
            return None if own is not None and is_here else news or known
        if told is None:
            is_doubted = own is None and model in self.doubted
            return Slot.undecided(known.latest) if is_doubted else known
        latest = told.slot.latest
        if latest.says_the_same(known.latest) and not told.slot.is_ambiguous:
            return news or known
        if latest.is_used and told.is_beside and is_here and not told.covers_another:
            return known  # used by that task: what this one used is its own
        is_open = own is not None and own.latest.is_open
        if latest.is_used or is_open or news is None:
            # Somebody has predicted something else, and nothing tells whether for this code.
            return Slot.undecided(latest)
        return news


_MAX_ROOTS: Final = 8

_current: Final[ContextVar[tuple[Flow, ...]]] = ContextVar("keras_otel_flows", default=())
"""One flow for each root span that the running code is below, as requests may nest; newest last."""


def flow_below(root: Node) -> Flow | None:
    """The flow that the running code has, or shares, if it counts below this root.

    It counts if it was made under that root, which has not been cleared since.
    """
    for flow in reversed(_current.get()):
        if flow.root is root:
            return flow if flow.epoch == root.epoch else None
    return None


def _set(flow: Flow) -> None:
    others = [each for each in _current.get() if each.root is not flow.root and each.root.is_open()]
    _current.set((*others[1 - _MAX_ROOTS :], flow))


def note_started(root: Node) -> None:
    """A span was started: a task that still shares another one's flow branches off here."""
    flow = flow_below(root)
    if flow is not None and _current_task() is not None and not flow.owner.is_here():
        _set(flow.branch())


def note_known(root: Node, publications: Iterable[Publication]) -> None:
    """Tell new publications which ones the running task or thread has seen before."""
    flow = flow_below(root)
    if flow is None:
        return
    for publication in publications:
        publication.knows = flow.newest_seen(publication.model)


def note_published(root: Node, publications: Iterable[Publication]) -> None:
    """The running task or thread predicted something below this root."""
    flow = _own_flow(root)
    slots = []
    for publication in publications:
        model = publication.model
        between = flow.later.pop(model, None)
        earlier = (flow.own.get(model), None if between is None else between.slot)
        slots.append(Slot(publication, *earlier))
        for later, gate in flow.upward:
            later[model] = Told.after(later.get(model), publication, gate)
    _set(flow.with_own(slots))


def note_used(root: Node, publications: Iterable[Publication]) -> None:
    """A span of the running task or thread carries these predictions, so it follows them."""
    flow = _own_flow(root)
    slots = []
    for publication in publications:
        own = flow.own.get(publication.model)
        if own is None or (own.latest is not publication and not own.is_ambiguous):
            slots.append(Slot(publication))
            flow.later.pop(publication.model, None)
    if slots:
        _set(flow.with_own(slots))


def _own_flow(root: Node) -> Flow:
    flow = flow_below(root)
    if flow is None:
        return Flow(root)
    return flow if flow.owner.is_here() else flow.branch()
