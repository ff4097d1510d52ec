"""Changing flows: what a unit predicted or used itself, and what it receives from other code."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Context

from keras_otel.propagation.branch_updates import BranchUpdate, UpdateOrigin
from keras_otel.propagation.context_identity import flow_contexts
from keras_otel.propagation.context_state import set_state, state_of
from keras_otel.propagation.execution_units import current_task
from keras_otel.propagation.publication import Publication, Slot
from keras_otel.propagation.task_flow import Flow


def record_own(flow: Flow, slots: Iterable[Slot]) -> None:
    """Record what the unit of a flow, which runs now, predicted or used."""
    flow.add_own(slots)
    request = flow.request
    if request.start is not None and request.is_open():  # else nobody will see it end
        if flow.number == 1:
            flow_contexts.make_home(request.number, flow.serial)
        if flow_contexts.is_home(request.number, flow.serial):
            flow.home_number = flow.number
    set_state(state_of(flow))


def receive_update(flow: Flow, publication: Publication, origin: UpdateOrigin) -> None:
    """Record what other code predicted for the unit of a flow."""
    model = publication.model
    flow.updates[model] = BranchUpdate.after(flow.updates.get(model), publication, origin)
    if origin.is_awaited:
        _bring_up_to_date(flow, origin.context)


def _bring_up_to_date(flow: Flow, context: Context | None) -> None:
    """Let what the waiting task starts next know what it has waited for."""
    task = flow.unit.anchor
    if flow.is_update_scheduled or task is None:
        return
    loop = task.get_loop()
    if current_task() is not None and loop is current_task().get_loop():
        if context is not None:
            _update_in(flow, context)
        return
    flow.is_update_scheduled = True
    # Only the loop's own thread knows that the task does not run. It waits for what runs here, so
    # this comes before anything that the task does next.
    if context is None:
        loop.call_soon_threadsafe(_update_in_own_context, flow)
    else:
        loop.call_soon_threadsafe(_update_state, flow, context=context)


def _update_in(flow: Flow, context: Context) -> None:
    try:
        context.run(_update_state, flow)
    except RuntimeError:  # the code that it waits for runs in this very context
        _update_state(flow)


def _update_in_own_context(flow: Flow) -> None:
    from keras_otel.propagation.waiting_tasks import context_of

    context = context_of(flow.unit.anchor)
    if context is None:
        flow.is_update_scheduled = False
    else:
        context.run(_update_state, flow)


def _update_state(flow: Flow) -> None:
    """Let the running context, in which the unit waits, know the flow's newest state."""
    flow.is_update_scheduled = False
    flow.number += 1
    flow.home_number = flow.number
    request = flow.request
    if request.is_open():
        flow_contexts.make_home(request.number, flow.serial)
    set_state(state_of(flow))
