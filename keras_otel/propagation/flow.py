"""What one task or thread has predicted and used, where its spans alone do not tell.

Concurrent tasks below one span publish to the same nodes. Each of them has a flow of its own, held
by a context variable from its first prediction or use on: what it predicted itself, or was seen to
follow, goes before what others published. A context that is copied (a child task, `to_thread`)
shares its parent's flow until it makes its own, and tells the parent through it what it predicted.

A flow counts only below the root span it was made under: a thread or a task may be used again.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final

from keras_otel.propagation.tree import Node, Publication, Slot, Slots, put


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


def _current_task() -> Any:
    # A program without asyncio does not import it for us.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:  # noqa: SLF001 - the public one raises
        return None
    return asyncio.current_task()


class Flow:
    """The predictions of one task or thread, below one root span.

    Attributes:
        own: What this flow predicted, or is known to follow, by model. Never changed.
        later: What contexts copied from this one have published since, by model.
    """

    __slots__ = ("epoch", "later", "own", "owner", "root")

    def __init__(self, root: Node, own: Slots, later: Slots) -> None:
        self.root = root
        self.epoch = root.epoch
        self.owner = Owner()
        self.own = own
        self.later = later

    def counts_below(self, root: Node) -> bool:
        """True if this flow was made under that root, which has not been cleared since."""
        return self.root is root and self.epoch == root.epoch

    def verdict(self, model: str) -> Slot | None:
        """What this flow says of a model; None where the nearest span has to decide."""
        own, later = self.own.get(model), self.later.get(model)
        if own is not None and own.is_ambiguous:
            return None
        if later is None or (own is not None and later.latest.says_the_same(own.latest)):
            return own
        is_mine = self.owner.is_here()
        if own is None:
            return later if is_mine and not later.is_ambiguous else None
        if is_mine and not own.latest.is_open:
            return None if later.is_ambiguous else later
        # A copy of this context has predicted something else since, and nothing orders the two.
        return Slot.undecided(later.latest)


_current: Final[ContextVar[Flow | None]] = ContextVar("keras_otel_flow", default=None)


def flow_below(root: Node) -> Flow | None:
    """The flow of the running task or thread, if it counts below this root."""
    flow = _current.get()
    return flow if flow is not None and flow.counts_below(root) else None


def note_published(root: Node, publications: Iterable[Publication]) -> None:
    """The running task or thread predicted something below this root."""
    flow = flow_below(root)
    is_own = flow is not None and flow.owner.is_here()
    own: Slots = {} if flow is None else dict(flow.own)
    later: Slots = flow.later if flow is not None and is_own else {}
    for publication in publications:
        model = publication.model
        # What was inherited is another task's to use: only what is this one's own competes.
        before = own.get(model) if is_own else None
        own[model] = Slot(publication, before, later.pop(model, None))
        if flow is not None and not is_own:
            put(flow.later, Slot(publication, flow.later.get(model)))
    _current.set(Flow(root, own, later))


def note_used(root: Node, publications: Iterable[Publication]) -> None:
    """A span of the running task or thread carries these predictions, so it follows them."""
    flow = flow_below(root)
    is_own = flow is not None and flow.owner.is_here()
    news = [
        publication
        for publication in publications
        if not (
            is_own
            and flow is not None
            and (known := flow.own.get(publication.model)) is not None
            and known.latest is publication
        )
    ]
    if not news:
        return
    own: Slots = {} if flow is None else dict(flow.own)
    later: Slots = flow.later if flow is not None and is_own else {}
    for publication in news:
        known = own.get(publication.model)
        if known is not None and known.is_ambiguous and is_own:
            continue  # the other prediction is still to be used
        own[publication.model] = Slot(publication)
        later.pop(publication.model, None)
    _current.set(Flow(root, own, later))
