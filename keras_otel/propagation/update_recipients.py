"""Which flows receive a prediction: who waits for the code that made it, or whom that comes from."""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING, NamedTuple

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.propagation.branch_updates import UpdateOrigin
from keras_otel.propagation.context_state import state_in
from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.flow_lookup import branch, keep, kept_for, main_flow
from keras_otel.propagation.request_node import Request
from keras_otel.propagation.task_flow import Flow

if TYPE_CHECKING:
    from keras_otel.propagation.waiting_tasks import Waiter


class Recipient(NamedTuple):
    """A flow that receives other code's predictions, and how they reach it."""

    flow: Flow
    origin: UpdateOrigin


def recipients_of(flow: Flow) -> list[Recipient]:
    """Return the flows that receive what this flow's code predicts, the nearest first."""
    request, child, waits_for, is_awaited = flow.request, flow, None, True
    recipients: list[Recipient] = []
    seen = {flow.serial}
    while child is not request.main:
        waits_for = child.unit if child.unit.is_task else waits_for
        waiter = _waiter_for(child) if is_awaited else None
        context: Context | None = None
        if waiter is None:
            # Nobody is known to wait here, so nobody further up is: from now on only the flow that
            # each context came from may have waited.
            is_awaited, parent = False, child.parent
        else:
            context = waiter.context
            parent = _flow_of_waiter(request, waiter)
        if parent is None or parent.serial in seen:
            break
        seen.add(parent.serial)
        state = None if context is None else state_in(context, request)
        origin = UpdateOrigin(
            via=child.serial,
            waits_for=waits_for,
            context=context,
            seen_by=-1 if state is None else state.number,
            is_awaited=is_awaited,
            pool=flow.unit.pool,
        )
        recipients.append(Recipient(parent, origin))
        child = parent
    return recipients


def _waiter_for(flow: Flow) -> Waiter | None:
    # Where nobody saw the root start, it is not known where the request ends.
    if flow.request.start is None or "asyncio" not in sys.modules:
        return None
    from keras_otel.propagation.waiting_tasks import waiter_for

    return guarded(semconv.SITE_FOLLOW_WHO_WAITS, waiter_for, flow.unit)


def _flow_of_waiter(request: Request, waiter: Waiter) -> Flow | None:
    task, context = waiter
    main = main_flow(request)
    if main is not None and main.unit.anchor is task:
        return main
    flow = kept_for(request, task)
    if flow is None:
        state = None if context is None else state_in(context, request)
        flow = branch(request, Unit(task, is_task=True), state)
        if flow is not None:
            keep(flow)
    return flow
