"""The flow of the running code: the one that was kept for its unit, or a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from keras_otel.propagation.branch_updates import BranchUpdate, newer_of
from keras_otel.propagation.context_state import ContextState, state_below, state_of
from keras_otel.propagation.execution_units import Unit, running_unit
from keras_otel.propagation.publication import Slots
from keras_otel.propagation.request_node import Request
from keras_otel.propagation.task_flow import Flow


def flow_below(request: Request) -> Flow | None:
    """Return the flow of the running code below a root; None where it has nothing to go by.

    Of code that has neither predicted nor used anything it holds what the code started with, and is
    not kept.
    """
    if request.flows is None:
        return None
    main = running_main(request)
    if main is not None:
        return main
    state = state_below(request)
    unit = running_unit()
    return _kept(request, unit, state) or branch(request, unit, state)


def running_main(request: Request) -> Flow | None:
    """Return the flow of the code that started the root span, where that runs now."""
    main = main_flow(request)
    return main if main is not None and main.unit.is_here() else None


def own_flow(request: Request) -> Flow:
    """Return the flow of the running code below a root, and keep it."""
    if request.flows is None:
        request.flows = WeakKeyDictionary()
    flow = flow_below(request)
    if flow is None:
        flow = Flow(request, running_unit())
    keep(flow)
    return flow


def keep(flow: Flow) -> None:
    """Let the flow be found by its unit, for as long as that lives."""
    request = flow.request
    if flow is request.main or request.flows is None:
        return
    anchor = flow.unit.anchor
    if anchor is not None:
        request.flows[anchor] = flow


def is_kept(flow: Flow) -> bool:
    """Return True if the flow is found by its unit."""
    flows = flow.request.flows
    return flow is flow.request.main or (flows is not None and flow.unit.anchor in flows)


def _kept(request: Request, unit: Unit, state: ContextState | None) -> Flow | None:
    anchor = unit.anchor
    if anchor is not None:
        return kept_for(request, anchor)
    # What the context of a thread holds is all that tells one job of a worker from the next.
    if state is None or state.flow.unit.anchor is not None or not state.flow.unit.is_here():
        return None
    return state.flow


def kept_for(request: Request, anchor: Any) -> Flow | None:
    """Return the flow that is kept for the object that stands for a unit."""
    flow: Flow | None = None if request.flows is None else request.flows.get(anchor)
    return flow if flow is not None and flow.epoch == request.epoch else None


def main_flow(request: Request) -> Flow | None:
    """Return the flow of the code that started the root span, if that was seen."""
    main: Flow | None = request.main
    if request.start is None or (main is not None and main.epoch == request.epoch):
        return main
    main = request.main = Flow(request, request.start)
    return main


def branch(request: Request, unit: Unit, state: ContextState | None) -> Flow | None:
    """Return the flow of a unit that starts with what its context knows."""
    main = main_flow(request)
    parent = main if state is None else state.flow
    if parent is None:
        return None
    flow = Flow(request, unit)
    flow.parent = parent
    if state is None:
        # Nothing had happened yet in the context that this one was copied from.
        state = ContextState(parent, 0, {}, {}, frozenset())
    if state.number != parent.number and state.number == parent.home_number:
        # What happened since, happened in copies of that context, by the parent's own code: this
        # unit was started after it. Without this, it would start with an outdated prediction.
        state = state_of(parent)
    flow.inherited = dict(state.slots)
    for model, update in state.updates.items():
        _inherit(flow.inherited, model, update)
    conflicting = state.conflicting_models.union(
        _updated_since(parent, state.number, flow.inherited)
    )
    if parent.number not in (state.number, parent.home_number):
        # The parent has gone on in some copy of its context: before or after this unit started.
        conflicting = conflicting.union(_changed_since(parent, flow.inherited))
    flow.conflicting_models = frozenset(conflicting)
    return flow


def _inherit(slots: Slots, model: str, update: BranchUpdate) -> None:
    if update.is_concurrent:
        return
    known = slots.get(model)
    if known is None or update.slot.latest.is_equivalent_to(known.latest):
        slots[model] = update.slot
    else:
        slots[model] = newer_of(known, update, is_own=True)


def _updated_since(parent: Flow, number: int, inherited: Slots) -> Iterator[str]:
    """Yield the models with an update that may have come before the branch, for all we know.

    What the parent had awaited when this context was copied, the context knows.
    """
    for model, update in parent.updates.items():
        before = inherited.get(model)
        if before is None or (update.is_concurrent and not update.replaces_other_branch):
            continue
        if update.is_awaited and number <= update.seen_by:
            continue
        if not update.slot.latest.is_equivalent_to(before.latest):
            yield model


def _changed_since(parent: Flow, slots: Slots) -> Iterator[str]:
    """Yield the models of which the parent predicted something in some copy of its context."""
    for model, slot in parent.own.items():
        known = slots.get(model)
        if known is not None and not slot.latest.is_equivalent_to(known.latest):
            yield model
