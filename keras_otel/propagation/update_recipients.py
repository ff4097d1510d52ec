"""Whom a prediction concerns: who waits for the code that made it, or else whom that comes from."""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING

from keras_otel._guard import guarded
from keras_otel.propagation.branch_updates import Concern
from keras_otel.propagation.context_state import known_in
from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.flow_lookup import branch, keep, kept_for, main_flow
from keras_otel.propagation.request_tree import Node
from keras_otel.propagation.task_flow import Flow

if TYPE_CHECKING:
    from keras_otel.propagation.waiting_tasks import Waiter


def concerns_of(flow: Flow) -> list[Concern]:
    """Return the flows that a publication of this flow concerns, the nearest first."""
    root, child, gate, is_awaited = flow.root, flow, None, True
    found: list[Concern] = []
    seen = {flow.serial}
    while child is not root.main:
        gate = child.unit if child.unit.is_task else gate
        waiter = _waiter_for(child) if is_awaited else None
        if waiter is None:
            is_awaited, parent, context = False, child.parent, None
        else:
            context = waiter.context
            parent = _flow_of_waiter(root, waiter)
        if parent is None or parent.serial in seen:
            break
        seen.add(parent.serial)
        concern = _concern(parent, child, gate, context, is_awaited=is_awaited)
        found.append(concern._replace(pool=flow.unit.pool))
        child = parent
    return found


def _concern(
    flow: Flow, child: Flow, gate: Unit | None, context: Context | None, *, is_awaited: bool
) -> Concern:
    known = None if context is None else known_in(context, flow.root)
    return Concern(
        flow=flow,
        via=child.serial,
        gate=gate,
        context=context,
        seen_by=-1 if known is None else known.number,
        is_awaited=is_awaited,
        pool=None,
    )


def _waiter_for(flow: Flow) -> Waiter | None:
    # Where nobody saw the root start, it is not known where the request ends.
    if flow.root.start is None or "asyncio" not in sys.modules:
        return None
    from keras_otel.propagation.waiting_tasks import waiter_for

    return guarded("follow who waits", waiter_for, flow.unit)


def _flow_of_waiter(root: Node, waiter: Waiter) -> Flow | None:
    task, context = waiter
    main = main_flow(root)
    if main is not None and main.unit.anchor is task:
        return main
    flow = kept_for(root, task)
    if flow is None:
        known = None if context is None else known_in(context, root)
        flow = branch(root, Unit(task, is_task=True), known)
        if flow is not None:
            keep(flow)
    return flow
