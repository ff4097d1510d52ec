"""The flow of the running code: the one that was kept for its unit, or a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from keras_otel.propagation.branch_updates import News, newer_of
from keras_otel.propagation.context_state import Known, known_below
from keras_otel.propagation.execution_units import Unit, running_unit
from keras_otel.propagation.request_tree import Node, Slots
from keras_otel.propagation.task_flow import Flow


def flow_below(root: Node) -> Flow | None:
    """Return the flow of the running code below this root; None where it has nothing to go by.

    Of code that has neither predicted nor used anything it says what the code started with, and is
    not kept.
    """
    if root.flows is None:
        return None
    main = main_flow(root)
    if main is not None and main.unit.is_here():
        return main
    known = known_below(root)
    unit = running_unit()
    return _kept(root, unit, known) or branch(root, unit, known)


def own_flow(root: Node) -> Flow:
    """Return the flow of the running code below this root, and keep it."""
    if root.flows is None:
        root.flows = WeakKeyDictionary()
    flow = flow_below(root)
    if flow is None:
        flow = Flow(root, running_unit())
    keep(flow)
    return flow


def keep(flow: Flow) -> None:
    """Let the flow be found by its unit, for as long as that lives."""
    root, anchor = flow.root, flow.unit.anchor
    if anchor is not None and root.flows is not None and flow is not root.main:
        root.flows[anchor] = flow


def _kept(root: Node, unit: Unit, known: Known | None) -> Flow | None:
    anchor = unit.anchor
    if anchor is not None:
        return kept_for(root, anchor)
    # What the context of a thread holds is all that tells one job of a worker from the next.
    if known is None or known.flow.unit.anchor is not None or not known.flow.unit.is_here():
        return None
    return known.flow


def kept_for(root: Node, anchor: Any) -> Flow | None:
    """Return the flow that is kept for what stands for a unit."""
    flow: Flow | None = None if root.flows is None else root.flows.get(anchor)
    return flow if flow is not None and flow.epoch == root.epoch else None


def main_flow(root: Node) -> Flow | None:
    """Return the flow of the code that started the root span, if that was seen."""
    main: Flow | None = root.main
    if root.start is None or (main is not None and main.epoch == root.epoch):
        return main
    main = root.main = Flow(root, root.start)
    return main


def branch(root: Node, unit: Unit, known: Known | None) -> Flow | None:
    """Return the flow of a unit that starts with what its context knows."""
    main = main_flow(root)
    parent = main if known is None else known.flow
    if parent is None:
        return None
    flow = Flow(root, unit)
    flow.parent = parent
    if known is None:
        # Nothing had happened yet in the context that this one was copied from.
        known = Known(parent, 0, {}, {}, frozenset())
    if known.number != parent.number and known.number == parent.home_number:
        known = parent.known()  # what happened since, happened in copies of that context
    flow.inherited = dict(known.slots)
    for model, news in known.news.items():
        _inherit(flow.inherited, model, news)
    doubted = known.doubted.union(_news_of_others(parent, known.number, flow.inherited))
    if parent.number not in (known.number, parent.home_number):
        doubted = doubted.union(_changed_since(parent, flow.inherited))
    flow.doubted = frozenset(doubted)
    return flow


def _inherit(slots: Slots, model: str, news: News) -> None:
    if news.is_beside:
        return
    known = slots.get(model)
    if known is None or news.slot.latest.says_the_same(known.latest):
        slots[model] = news.slot
    else:
        slots[model] = newer_of(known, news, is_own=True)


def _news_of_others(parent: Flow, number: int, inherited: Slots) -> Iterator[str]:
    """Yield the models of which somebody predicted something, for all we know before the branch.

    What the parent had awaited when this context was copied, the context knows.
    """
    for model, news in parent.later.items():
        before = inherited.get(model)
        if before is None or (news.is_beside and not news.covers_another):
            continue
        if news.is_awaited and number <= news.seen_by:
            continue
        if not news.slot.latest.says_the_same(before.latest):
            yield model


def _changed_since(parent: Flow, slots: Slots) -> Iterator[str]:
    """Yield the models of which the parent predicted something in some copy of its context."""
    for model, slot in parent.own.items():
        known = slots.get(model)
        if known is not None and not slot.latest.says_the_same(known.latest):
            yield model
