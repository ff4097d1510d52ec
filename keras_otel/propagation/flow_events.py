"""What happens in flows: spans start and end, predictions are published and used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keras_otel.propagation.context_identity import flow_contexts
from keras_otel.propagation.context_state import is_known, set_state, state_of
from keras_otel.propagation.execution_units import current_task, running_unit, starting_unit
from keras_otel.propagation.flow_lookup import is_kept, keep, own_flow
from keras_otel.propagation.flow_updates import receive_update, record_own
from keras_otel.propagation.publication import Publication, Slot
from keras_otel.propagation.request_node import Node, Request
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.update_recipients import recipients_of

_MAX_USERS: Final = 8


def note_root(request: Request) -> None:
    """Note which unit starts a root span: what runs below the span comes from there."""
    request.start = starting_unit()


def note_ended(request: Request) -> None:
    """Note that a root span has ended, and let go of the contexts of its request."""
    flow_contexts.forget(request.number)


def note_started(flow: Flow) -> None:
    """Note that the code of this flow, which runs now, starts a span below its request's root.

    A task that has no flow yet branches off here.
    """
    if flow.unit.is_task and not is_kept(flow):
        keep(flow)
        set_state(state_of(flow))
    elif flow.number and not is_known(flow):
        set_state(state_of(flow))  # what happened in copies of this context


def let_caller_wait(node: Node | None) -> None:
    """Let the task that hands this code to another thread go on until it waits for it."""
    start = None if node is None else node.request.start
    if start is None or start.is_here() or current_task() is not None:
        return
    from keras_otel.propagation.waiting_tasks import let_submitter_wait

    let_submitter_wait(running_unit())


def note_seen(request: Request, publications: Iterable[Publication]) -> Flow:
    """Note which earlier publications the code that makes these has seen, and return its flow."""
    flow = own_flow(request)
    note_maker(flow, publications)
    return flow


def note_maker(flow: Flow, publications: Iterable[Publication]) -> None:
    """Note whose publications these are, and which earlier ones that code has seen."""
    for publication in publications:
        publication.last_seen_number = flow.newest_seen(publication.model)
        publication.maker_serial = flow.serial


def note_published(flow: Flow, publications: Iterable[Publication]) -> None:
    """Note that the code of this flow, which runs now, predicted something."""
    record_own(flow, slots_of_own(flow, publications))
    for recipient in recipients_of(flow):
        for publication in publications:
            receive_update(recipient.flow, publication, recipient.origin)


def slots_of_own(flow: Flow, publications: Iterable[Publication]) -> list[Slot]:
    """Return the slots of what the code of a flow predicted."""
    slots = []
    for publication in publications:
        update = flow.updates.get(publication.model)
        earlier = (flow.own.get(publication.model), None if update is None else update.slot)
        slot = Slot(publication, *earlier)
        inherited = flow.inherited.get(publication.model)
        if inherited is not None:
            slot.has_name_conflict |= Slot(publication, inherited).has_name_conflict
        # Whatever others predict: this code has just predicted itself.
        slot.is_ambiguous = slot.has_name_conflict
        slots.append(slot)
    return slots


def note_used(flow: Flow, publications: Iterable[Publication]) -> None:
    """Note that a span of this flow's code carries these predictions, so the code follows them."""
    slots = []
    for publication in publications:
        if publication.maker_serial != flow.serial and len(publication.user_lines) < _MAX_USERS:
            publication.user_lines.append(_line_of(flow))
        own = flow.own.get(publication.model)
        if own is None or (own.latest is not publication and not own.is_ambiguous):
            if publication.number > flow.newest_seen(publication.model):
                flow.guesses[publication.model] = publication.number
            slots.append(Slot(publication))
    if slots:
        record_own(flow, slots)


def _line_of(flow: Flow) -> tuple[int, ...]:
    """Return the serial numbers of a flow and of those that receive what its code predicts."""
    return (flow.serial, *(recipient.flow.serial for recipient in recipients_of(flow)))
