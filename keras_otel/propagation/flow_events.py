"""What happens in flows: spans start and end, predictions are published and used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keras_otel.propagation.context_identity import homes
from keras_otel.propagation.context_state import known_below, set_known
from keras_otel.propagation.execution_units import current_task, running_unit, starting_unit
from keras_otel.propagation.flow_lookup import flow_below, keep, own_flow
from keras_otel.propagation.request_tree import Node, Publication, Slot
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.update_recipients import concerns_of

_MAX_USERS: Final = 8


def note_root(root: Node) -> None:
    """Note which unit starts a root span: what runs below the span comes from there."""
    root.start = starting_unit()


def note_ended(root: Node) -> None:
    """Note that a root span has ended, and let go of the contexts of its request."""
    homes.forget(root.number)


def note_started(root: Node) -> None:
    """Note that a span was started: a task that has no flow yet branches off here."""
    flow = flow_below(root)
    if flow is None or root.flows is None:
        return
    if flow is not root.main and flow.unit.is_task and flow.unit.anchor not in root.flows:
        keep(flow)
        set_known(flow.known())
    elif flow.number:
        known = known_below(root)
        if known is None or known.flow is not flow or known.number != flow.number:
            set_known(flow.known())  # what happened in copies of this context


def let_caller_wait(node: Node | None) -> None:
    """Let the task that hands this code to another thread go on until it waits for it."""
    start = None if node is None else node.root.start
    if start is None or start.is_here() or current_task() is not None:
        return
    from keras_otel.propagation.waiting_tasks import let_submitter_wait

    let_submitter_wait(running_unit())


def note_known(root: Node, publications: Iterable[Publication]) -> Flow:
    """Tell new publications which ones the running code has seen before, and return its flow."""
    flow = own_flow(root)
    for publication in publications:
        publication.knows = flow.newest_seen(publication.model)
        publication.maker = flow.serial
    return flow


def note_published(flow: Flow, publications: Iterable[Publication]) -> None:
    """Note that the code of this flow, which runs now, predicted something."""
    slots = []
    for publication in publications:
        between = flow.later.get(publication.model)
        earlier = (flow.own.get(publication.model), None if between is None else between.slot)
        slot = Slot(publication, *earlier)
        inherited = flow.inherited.get(publication.model)
        if inherited is not None:
            slot.is_contested |= Slot(publication, inherited).is_contested
        # Whatever others predict: this code has just predicted itself.
        slot.is_ambiguous = slot.is_contested
        slots.append(slot)
    flow.add(slots)
    for concern in concerns_of(flow):
        for publication in publications:
            concern.flow.hear(publication, concern)


def note_used(root: Node, publications: Iterable[Publication]) -> None:
    """Note that a span of the running code carries these predictions, so it follows them."""
    flow = own_flow(root)
    slots = []
    for publication in publications:
        if publication.maker != flow.serial and len(publication.users) < _MAX_USERS:
            publication.users.append(_line_of(flow))
        own = flow.own.get(publication.model)
        if own is None or (own.latest is not publication and not own.is_ambiguous):
            if publication.number > flow.newest_seen(publication.model):
                flow.guesses[publication.model] = publication.number
            slots.append(Slot(publication))
    if slots:
        flow.add(slots)


def _line_of(flow: Flow) -> tuple[int, ...]:
    """Return the serial numbers of a flow and of those that its code's predictions concern."""
    return (flow.serial, *(concern.flow.serial for concern in concerns_of(flow)))
