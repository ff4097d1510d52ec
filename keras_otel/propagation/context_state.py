"""What a context knows of the requests that its code is in.

A context that is copied keeps this as it was. That of a task which waits is brought up to date with
what the task has waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, ContextVar
from typing import Final, NamedTuple

from keras_otel.propagation.branch_updates import BranchUpdate
from keras_otel.propagation.publication import Slots
from keras_otel.propagation.request_node import Request
from keras_otel.propagation.task_flow import Flow

_MAX_REQUESTS: Final = 8


class ContextState(NamedTuple):
    """What a context knows below one root span, as it was when the context was copied.

    Attributes:
        flow: The flow whose code ran in the context.
        number: That flow's number then.
        slots: Its predictions then.
        updates: What it had waited for then, by model.
        conflicting_models: See `Flow.conflicting_models`.
    """

    flow: Flow
    number: int
    slots: Slots
    updates: Mapping[str, BranchUpdate]
    conflicting_models: frozenset[str]


_current: Final[ContextVar[tuple[ContextState, ...]]] = ContextVar("keras_otel_flows", default=())
"""What the context knows below each root span, as requests may nest; newest last."""


def state_of(flow: Flow) -> ContextState:
    """Return what a context copied now is to know."""
    return ContextState(
        flow,
        flow.number,
        {**flow.inherited, **flow.own},
        {model: update for model, update in flow.updates.items() if update.is_awaited},
        flow.conflicting_models - set(flow.own),
    )


def state_below(request: Request) -> ContextState | None:
    """Return what the running context knows below a root."""
    for state in reversed(_current.get()):
        if state.flow.request is request:
            return state if state.flow.epoch == request.epoch else None
    return None


def is_known(flow: Flow) -> bool:
    """Return True if the running context knows the newest state of a flow."""
    states = _current.get()
    if states and states[-1].flow is flow:  # as most often, the request is the newest one
        return states[-1].number == flow.number
    state = state_below(flow.request)
    return state is not None and state.flow is flow and state.number == flow.number


def state_in(context: Context, request: Request) -> ContextState | None:
    """Return what another context knows below a root."""
    entries = context.get(_current, ())
    return next((state for state in reversed(entries) if state.flow.request is request), None)


def set_state(state: ContextState) -> None:
    """Let the running context know this, and what is copied from it."""
    request = state.flow.request
    others = [
        s for s in _current.get() if s.flow.request is not request and s.flow.request.is_open()
    ]
    _current.set((*others[1 - _MAX_REQUESTS :], state))
