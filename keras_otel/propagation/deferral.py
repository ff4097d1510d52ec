"""Publishing a prediction later than it was made, where that makes no difference.

Whoever starts a request's first span predicts first, most often, and asks an LLM next. Until then
nobody looks at what was predicted, and so the prediction is published when it is known: a few
milliseconds later, or as soon as anything else happens in the request. What it is published as must
not depend on that moment. So it is deferred only

* in the code that started the request, whose flow is known without looking for it;
* in the very context in which all of the request's predictions were made, as a context that is
  copied meanwhile must hold what happened before it was copied and nothing else;
* for a model that has not predicted in the request: two predictions of one model are compared as
  the second one is published.

The functions here run under the lock of the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from weakref import WeakKeyDictionary

from keras_otel.propagation.context_identity import flow_contexts, is_same_home, new_home
from keras_otel.propagation.context_state import (
    DeferredState,
    entry_below,
    set_deferred_state,
    state_of,
)
from keras_otel.propagation.flow_events import note_maker, slots_of_own
from keras_otel.propagation.flow_lookup import main_flow
from keras_otel.propagation.publication import Publication, next_number
from keras_otel.propagation.request_node import Node, Request


def defer(
    request: Request, models: tuple[str, ...], resolve_now: Callable[[], object]
) -> DeferredState | None:
    """Note that code which runs now will have predicted something, to be published later.

    Args:
        request: An open request, in the code that started it.
        models: The models.
        resolve_now: Predicts, and has it published.

    Returns:
        What stands for the prediction in the running context; None if it cannot be deferred.
    """
    slots, deferred_models = request.slots or (), request.deferred_models
    if request.open_spans or any(m in slots or m in deferred_models for m in models):
        return None
    is_possible, home = _home(request)
    if not is_possible:
        return None
    state = DeferredState(request, home, [next_number() for _ in models])
    request.deferred_models += models
    request.unresolved = (*request.unresolved, resolve_now)
    set_deferred_state(state)
    return state


def _home(request: Request) -> tuple[bool, Token[None] | None]:
    """Return whether the running context has all that happened in the request, and its home.

    The home is None where it is kept for the main flow already.
    """
    entry = entry_below(request)
    if entry is None:
        # Nothing may have happened in the request before.
        is_possible = request.flows is None and not request.deferred_models
        return is_possible, new_home() if is_possible else None
    if not isinstance(entry, DeferredState):
        return False, None
    state, main = entry.state, request.main
    if state is not None and (
        state.flow is not main or state.number != main.number or main.updates
    ):
        return False, None
    if entry.home is None:
        return main is not None and flow_contexts.is_home(request.number, main.serial), None
    home, entry.home = entry.home, None  # it can be asked once
    return (True, new_home()) if is_same_home(home) else (False, None)


def publish_deferred(
    node: Node, models: tuple[str, ...], publications: list[Publication], deferred: DeferredState
) -> None:
    """Publish what was deferred, as if it had been published when it was.

    Args:
        node: The span that the prediction was made in.
        models: What was deferred.
        publications: What is known of it now; empty if nothing is.
        deferred: What stands for it in the context that it was made in.
    """
    request = node.request
    request.deferred_models = tuple([m for m in request.deferred_models if m not in models])
    home, deferred.home = deferred.home, None  # it keeps all of its context alive
    if request.flows is None:
        request.flows = WeakKeyDictionary()
    flow = main_flow(request)
    if request.root is None or flow is None or not publications:
        return  # the request is over, and nobody can follow it
    for publication, number in zip(publications, deferred.numbers, strict=False):
        publication.number = number
    note_maker(flow, publications)
    node.publish(publications)
    flow.add_own(slots_of_own(flow, publications))
    if home is not None and request.is_open():
        flow_contexts.keep_home(request.number, flow.serial, home)
    flow.home_number = flow.number
    deferred.state = state_of(flow)
