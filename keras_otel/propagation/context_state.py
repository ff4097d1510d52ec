"""What a context knows of the requests that its code is in.

A context that is copied keeps this as it was. That of a task which waits is brought up to date with
what the task has waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, ContextVar, Token
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


class DeferredState:
    """Stands for what a context knows once a prediction that was made in it is published.

    Attributes:
        request: The request of the prediction.
        home: Tells the context apart from its copies; None once that is kept in
            `context_identity`, or was used up.
        numbers: The numbers that the publications will have, one for each model.
        state: What the context knows; None until the prediction is published.
    """

    __slots__ = ("home", "numbers", "request", "state")

    def __init__(self, request: Request, home: Token[None] | None, numbers: list[int]) -> None:
        self.request = request
        self.home = home
        self.numbers = numbers
        self.state: ContextState | None = None


_current: Final[ContextVar[tuple[ContextState | DeferredState, ...]]] = ContextVar(
    "keras_otel_flows", default=()
)
"""What the context knows below each root span, as requests may nest; newest last."""


def _request_of(entry: ContextState | DeferredState) -> Request:
    return entry.request if isinstance(entry, DeferredState) else entry.flow.request


def _state_of_entry(entry: ContextState | DeferredState) -> ContextState | None:
    return entry.state if isinstance(entry, DeferredState) else entry


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
    entry = entry_below(request)
    state = None if entry is None else _state_of_entry(entry)
    return state if state is not None and state.flow.epoch == request.epoch else None


def entry_below(request: Request) -> ContextState | DeferredState | None:
    """Return the same, or what stands for it as long as it is not known."""
    for entry in _current.get()[::-1]:
        if _request_of(entry) is request:
            return entry
    return None


def is_known(flow: Flow) -> bool:
    """Return True if the running context knows the newest state of a flow."""
    state = state_below(flow.request)
    return state is not None and state.flow is flow and state.number == flow.number


def state_in(context: Context, request: Request) -> ContextState | None:
    """Return what another context knows below a root."""
    entries: tuple[ContextState | DeferredState, ...] = context.get(_current, ())
    for entry in reversed(entries):
        if _request_of(entry) is request:
            return _state_of_entry(entry)
    return None


def set_state(state: ContextState) -> None:
    """Let the running context know this, and what is copied from it."""
    _set(state.flow.request, state)


def set_deferred_state(state: DeferredState) -> None:
    """Do the same for what it will know."""
    _set(state.request, state)


def _set(request: Request, entry: ContextState | DeferredState) -> None:
    present = _current.get()
    if present:
        others = [
            e for e in present if (other := _request_of(e)) is not request and other.is_open()
        ]
        present = tuple(others[1 - _MAX_REQUESTS :])
    _current.set((*present, entry))
