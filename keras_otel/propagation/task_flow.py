"""What one task, job or thread has predicted and used, where its spans alone do not tell.

Concurrent code below one span publishes to the same nodes. So each unit (`execution_units`) has a flow of its
own below a root span, from its first prediction or use on: what it predicted itself, or was seen to
follow, goes before what others published.

* One unit runs one thing after the other. Its flow is found by the unit, whichever copy of a context
  the code runs in: a step that LangGraph runs by `copy_context().run` belongs to its caller.
* A unit starts with what the context that it was started in knew. Contexts hold that as it was when
  they were copied.
* What a unit publishes is news for whoever waits for it (`waiting_tasks`), and where nobody is known to
  wait, for the flow that its context came from: a thread is most often waited for, and so was a task
  that is done. What a task that still runs has predicted is its own affair.
* The context of a task that waits is brought up to date, so that what the task starts next knows.

Where nothing tells whether what other code predicted was waited for by the running code, that code
follows nobody.

A flow counts only below the root span it was made under: a thread or a task may be used again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextvars import Context

from keras_otel.propagation.branch_updates import Concern, News, newer_of
from keras_otel.propagation.context_identity import homes
from keras_otel.propagation.context_state import Known, set_known
from keras_otel.propagation.execution_units import Unit, current_task
from keras_otel.propagation.request_tree import Node, Publication, Slot, Slots

_serials = itertools.count(1)


class Flow:
    """The predictions of one unit, below one root span.

    Attributes:
        root: The node of that span.
        unit: The task, job or thread.
        serial: Tells flows apart.
        parent: The flow that the unit's context came from.
        own: What the unit predicted, or is known to follow, by model.
        guesses: Numbers of those that it follows only because nothing else was there to follow.
        inherited: What the context that it was started in knew.
        doubted: Models of which something else was predicted next to that context, and whether
            before this unit started is not known.
        later: What other code has predicted since, for this unit.
        number: Counts what happened in this flow.
        home_number: The number of the last time that something happened in the flow's home, the
            context that the unit was first seen in, and not in a copy of it.
    """

    __slots__ = (
        "_is_telling",
        "doubted",
        "epoch",
        "guesses",
        "home_number",
        "inherited",
        "later",
        "number",
        "own",
        "parent",
        "root",
        "serial",
        "unit",
    )

    def __init__(self, root: Node, unit: Unit) -> None:
        self.root = root
        self.epoch = root.epoch
        self.unit = unit
        self.serial = next(_serials)
        self.parent: Flow | None = None
        self.own: Slots = {}
        self.guesses: dict[str, int] = {}
        self.inherited: Slots = {}
        self.doubted: frozenset[str] = frozenset()
        self.later: dict[str, News] = {}
        self.number = 0
        self.home_number = 0
        self._is_telling = False

    # -- what the unit follows ------------------------------------------------------------------

    def newest_followed(self, model: str) -> int:
        """Return the number of the newest publication that this code made, used or started with."""
        slot = self.own.get(model)
        if slot is None or slot.latest.number == self.guesses.get(model):
            slot = self.inherited.get(model)
        return -1 if slot is None else slot.latest.number

    def newest_seen(self, model: str) -> int:
        """Return the same, but also of one that the running code has waited for."""
        news = self.later.get(model)
        if news is None or news.is_beside:
            return self.newest_followed(model)
        return max(news.slot.latest.number, self.newest_followed(model))

    def verdict(self, model: str) -> Slot | None:
        """Return what this flow says of a model; None where the nearest span has to decide."""
        own = self.own.get(model)
        known = own if own is not None else self.inherited.get(model)
        news = self.later.get(model)
        counted = None
        if news is not None and not news.is_beside and not news.slot.is_ambiguous:
            counted = news.slot
            if counted.has_skipped and not news.is_awaited:
                return Slot.undecided(counted.latest)  # this code may lag behind the other
        if known is None:
            return None if counted is None else self._unless_orphaned(counted)
        if known.is_ambiguous:
            # A step of the code that is undecided may know better, one that it shares may not.
            return None if own is not None else counted or known
        if news is None:
            if own is not None:
                return self._unless_orphaned(known, own.latest.number)
            return Slot.undecided(known.latest) if model in self.doubted else known
        latest = news.slot.latest
        if latest.says_the_same(known.latest) and not news.slot.is_ambiguous:
            return counted or known
        if latest.is_used and news.is_beside and not news.covers_another:
            return known  # used by that task: what this one used is its own
        if counted is None:
            return Slot.undecided(latest)
        return self._unless_orphaned(newer_of(known, news, is_own=own is not None))

    def _unless_orphaned(self, slot: Slot, known: int | None = None) -> Slot:
        """Return what this unit predicted or waited for, unless it may have waited for more.

        Where nobody is known to wait for a prediction, it may be this unit, also where only the
        flow that the unit's context came from has heard of it. But the jobs of one pool are most
        often each other's siblings.

        Args:
            slot: What it is.
            known: Number of the newest prediction that the unit surely knew of, if not that
                which led to the slot's.
        """
        model = slot.latest.model
        if known is None:
            known = max(slot.latest.knows, self.inherited_number(model))
        above = self.parent
        while above is not None:
            news = above.later.get(model)
            if (
                news is not None
                and news.orphan > known
                and (news.orphan_pool is None or news.orphan_pool is not self.unit.pool)
                and not news.is_beside
                and not news.slot.latest.says_the_same(slot.latest)
            ):
                return Slot.undecided(slot.latest)
            above = above.parent
        return slot

    def inherited_number(self, model: str) -> int:
        """Return the number of the publication that the unit started with."""
        slot = self.inherited.get(model)
        return -1 if slot is None else slot.latest.number

    # -- what happens in it ---------------------------------------------------------------------

    def add(self, slots: Iterable[Slot]) -> None:
        """Note what the unit predicted or used just now."""
        for slot in slots:
            self.own[slot.latest.model] = slot
            self.later.pop(slot.latest.model, None)
        self.number += 1
        if self.root.start is not None and self.root.is_open():  # else nobody will see it end
            if self.number == 1:
                homes.settle(self.root.number, self.serial)
            if homes.is_here(self.root.number, self.serial):
                self.home_number = self.number
        set_known(self.known())

    def hear(self, publication: Publication, concern: Concern) -> None:
        """Note what other code predicted for this unit."""
        model = publication.model
        self.later[model] = News.after(self.later.get(model), publication, concern)
        if concern.is_awaited:
            self._bring_up_to_date(concern.context)

    def _bring_up_to_date(self, context: Context | None) -> None:
        """Let what the waiting task starts next know what it has waited for."""
        task = self.unit.anchor
        if self._is_telling or task is None:
            return
        loop = task.get_loop()
        if current_task() is not None and loop is current_task().get_loop():
            if context is not None:
                self._hear_in(context)
            return
        self._is_telling = True
        # Only the loop's own thread knows that the task does not run. It waits for what runs here,
        # so this comes before anything that the task does next.
        if context is None:
            loop.call_soon_threadsafe(self._heard_in_own_context)
        else:
            loop.call_soon_threadsafe(self._heard, context=context)

    def _hear_in(self, context: Context) -> None:
        try:
            context.run(self._heard)
        except RuntimeError:  # the code that it waits for runs in this very context
            self._heard()

    def _heard_in_own_context(self) -> None:
        from keras_otel.propagation.waiting_tasks import context_of

        context = context_of(self.unit.anchor)
        if context is None:
            self._is_telling = False
        else:
            context.run(self._heard)

    def _heard(self) -> None:
        self._is_telling = False
        self.number += 1
        self.home_number = self.number
        if self.root.is_open():
            homes.settle(self.root.number, self.serial)
        set_known(self.known())

    def known(self) -> Known:
        """Return what a context copied now is to know."""
        news = {model: each for model, each in self.later.items() if each.is_awaited}
        return Known(
            self, self.number, {**self.inherited, **self.own}, news, self.doubted - set(self.own)
        )
