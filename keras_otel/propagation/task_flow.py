"""What one task, job or thread has predicted and used, where its spans alone do not tell.

Concurrent code below one span publishes to the same nodes. So each unit (`execution_units`) has a
flow of its own below a root span, from its first prediction or use on: what it predicted itself, or
was seen to follow, goes before what others published.

* One unit runs one thing after the other. Its flow is found by the unit, whichever copy of a context
  the code runs in: a step that LangGraph runs by `copy_context().run` belongs to its caller.
* A unit starts with what the context that it was started in knew. Contexts hold that as it was when
  they were copied (`context_state`).
* What a unit publishes is an update for whoever waits for it (`waiting_tasks`), and where nobody is
  known to wait, for the flow that its context came from: a thread is most often waited for, and so
  was a task that is done. What a task that still runs has predicted is its own affair.
* The context of a task that waits is brought up to date, so that what the task starts next knows.

Where nothing tells whether what other code predicted was waited for by the running code, that code
follows nobody.

A flow counts only below the root span it was made under: a thread or a task may be used again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from keras_otel.propagation.branch_updates import BranchUpdate, newer_of
from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.publication import Slot, Slots
from keras_otel.propagation.request_node import Request

_serials = itertools.count(1)


class Flow:
    """The predictions of one unit, below one root span.

    Attributes:
        request: What is below that span.
        epoch: The request's epoch when the flow was made.
        unit: The task, job or thread.
        serial: Tells flows apart.
        parent: The flow that the unit's context came from.
        own: What the unit predicted, or is known to follow, by model.
        guesses: Numbers of those that it follows only because nothing else was there to follow.
        inherited: What the context that it was started in knew.
        conflicting_models: Models for which concurrent code published a different prediction, and
            whether before or after this unit started is not known.
        updates: What other code has predicted since, for this unit, by model.
        number: Counts what happened in this flow.
        home_number: The number of the last time that something happened in the flow's home, the
            context that the unit was first seen in, and not in a copy of it.
        is_update_scheduled: True while the context of the unit, which waits, is about to be
            brought up to date.
    """

    __slots__ = (
        "conflicting_models",
        "epoch",
        "guesses",
        "home_number",
        "inherited",
        "is_update_scheduled",
        "number",
        "own",
        "parent",
        "request",
        "serial",
        "unit",
        "updates",
    )

    def __init__(self, request: Request, unit: Unit) -> None:
        self.request = request
        self.epoch = request.epoch
        self.unit = unit
        self.serial = next(_serials)
        self.parent: Flow | None = None
        self.own: Slots = {}
        self.guesses: dict[str, int] = {}
        self.inherited: Slots = {}
        self.conflicting_models: frozenset[str] = frozenset()
        self.updates: dict[str, BranchUpdate] = {}
        self.number = 0
        self.home_number = 0
        self.is_update_scheduled = False

    def add_own(self, slots: Iterable[Slot]) -> None:
        """Add what the unit predicted or used just now: it goes before all earlier updates."""
        for slot in slots:
            self.own[slot.latest.model] = slot
            self.updates.pop(slot.latest.model, None)
        self.number += 1

    def newest_followed(self, model: str) -> int:
        """Return the number of the newest publication that this code made, used or started with.

        -1 where there is none.
        """
        slot = self.own.get(model)
        if slot is None or slot.latest.number == self.guesses.get(model):
            slot = self.inherited.get(model)
        return -1 if slot is None else slot.latest.number

    def newest_seen(self, model: str) -> int:
        """Return the same, but also of one that the running code has waited for."""
        update = self.updates.get(model)
        if update is None or update.is_concurrent:
            return self.newest_followed(model)
        return max(update.slot.latest.number, self.newest_followed(model))

    def resolve(self, model: str) -> Slot | None:
        """Return what this flow follows of a model; None where the nearest span has to decide.

        The first line that applies decides. "Known" is what the unit predicted or used itself
        (own), else what it started with (inherited). An update counts once its task is done, if it
        is not ambiguous in itself. "Unless unawaited" is the check of `_unless_unawaited`.

        | known           | update                                     | result                   |
        |-----------------|--------------------------------------------|--------------------------|
        | any             | counts, not awaited, skips an unused one   | ambiguous                |
        | none            | counts                                     | update, unless unawaited |
        | none            | none, or does not count                    | the nearest span decides |
        | own, ambiguous  | any                                        | the nearest span decides |
        | inh., ambiguous | counts                                     | update                   |
        | inh., ambiguous | none, or does not count                    | ambiguous                |
        | own             | none                                       | own, unless unawaited    |
        | inherited       | none, and the model is conflicting         | ambiguous                |
        | inherited       | none                                       | inherited                |
        | any             | equal to known                             | either                   |
        | any             | concurrent, used, and replaces no other    | known                    |
        | any             | does not count                             | ambiguous                |
        | any             | counts                                     | `newer_of` the two,      |
        |                 |                                            | unless unawaited         |
        """
        own = self.own.get(model)
        known = own if own is not None else self.inherited.get(model)
        update = self.updates.get(model)
        counted: Slot | None = None
        if update is not None and not update.is_concurrent and not update.slot.is_ambiguous:
            counted = update.slot
            if counted.skips_unused and not update.is_awaited:
                # Code that runs ahead has replaced a prediction that nobody has used. This code may
                # still be about to follow that older one, and would get the newer one's label.
                return Slot.ambiguous(counted.latest)
        if known is None:
            # Of code that knows nothing itself, the spans tell most: two tasks that have neither
            # predicted nor used anything differ in their steps only.
            return None if counted is None else self._unless_unawaited(counted)
        if known.is_ambiguous:
            # A step of the code that is undecided may know better. But a unit that started out
            # undecided may share its step with the very code that it cannot be told from.
            return None if own is not None else counted or known
        if update is None:
            if own is not None:
                return self._unless_unawaited(known, own.latest.number)
            # If concurrent code has predicted something else, this unit was started before or
            # after that: it would carry an outdated label in one of the two cases.
            return Slot.ambiguous(known.latest) if model in self.conflicting_models else known
        latest = update.slot.latest
        if latest.is_equivalent_to(known.latest) and not update.slot.is_ambiguous:
            return counted or known
        if latest.is_used and update.is_concurrent and not update.replaces_other_branch:
            # That task has had its answer, and still runs: what it predicted was for itself. Where
            # it replaces another branch's, that one's prediction may be the one to follow.
            return known
        if counted is None:
            # Unused and of a task that still runs: whether this code or that task is to follow it
            # cannot be known, and either would be wrong for the other.
            return Slot.ambiguous(latest)
        return self._unless_unawaited(newer_of(known, update, is_own=own is not None))

    def _unless_unawaited(self, slot: Slot, known_number: int | None = None) -> Slot:
        """Return what this unit predicted or waited for, unless it may have waited for more.

        Where nobody is known to wait for a prediction, it may be this unit, also where only the
        flow that the unit's context came from has received it.

        Args:
            slot: What it is.
            known_number: Number of the newest prediction that the unit surely knew of, if not that
                which led to the slot's.
        """
        above = self.parent
        if above is None:
            return slot
        model, latest = slot.latest.model, slot.latest
        if known_number is None:
            inherited = self.inherited.get(model)
            inherited_number = -1 if inherited is None else inherited.latest.number
            known_number = max(latest.last_seen_number, inherited_number)
        while above is not None:
            update = above.updates.get(model)
            if (
                update is not None
                and update.unawaited > known_number
                # Jobs of one pool are most often each other's siblings, and wait for none of them.
                and (update.unawaited_pool is None or update.unawaited_pool is not self.unit.pool)
                and not update.is_concurrent
                and not update.slot.latest.is_equivalent_to(latest)
            ):
                return Slot.ambiguous(latest)
            above = above.parent
        return slot
