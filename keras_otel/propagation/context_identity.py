"""Whether code runs in one very context, or in a copy of it.

Python has no name for the running context, but a token of a context variable can only be reset in
the context that it was made in. A token keeps its context alive, and with it all that the context
holds. So tokens are kept here, only so many, and for no longer than their request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import ContextVar, Token
from typing import Final

from keras_otel._forks import run_in_child

MAX_REQUESTS: Final = 1024
MAX_FLOWS: Final = 64
"""Requests, and flows of one request, whose contexts are remembered at one time."""

_probe: Final[ContextVar[None]] = ContextVar("keras_otel_context", default=None)


class FlowContexts:
    """The context that each flow is at home in, by the numbers of its root and of the flow."""

    def __init__(self) -> None:
        self._start_over()
        run_in_child(self._start_over)

    def make_home(self, request: int, flow: int) -> None:
        """Make the running context the home of a flow."""
        with self._lock:
            self._keep(request, flow, _probe.set(None))

    def _keep(self, request: int, flow: int, home: Token[None]) -> None:
        tokens = self._requests.setdefault(request, {})
        tokens[flow] = home
        if len(tokens) > MAX_FLOWS:
            del tokens[next(iter(tokens))]
        if len(self._requests) > MAX_REQUESTS:
            self._requests.popitem(last=False)

    def keep_home(self, request: int, flow: int, home: Token[None]) -> None:
        """Make the context that this was made in the home of a flow."""
        with self._lock:
            self._keep(request, flow, home)

    def is_home(self, request: int, flow: int) -> bool:
        """Return True in the very context that is the home of a flow, and not in a copy."""
        token = self._requests.get(request, {}).get(flow)
        if token is None:
            return False
        if not is_same_home(token):
            return False
        self.make_home(request, flow)
        return True

    def forget(self, request: int) -> None:
        """Let go of the contexts of a request."""
        self._requests.pop(request, None)

    def __len__(self) -> int:
        return len(self._requests)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._requests: OrderedDict[int, dict[int, Token[None]]] = OrderedDict()


flow_contexts: Final = FlowContexts()


def new_home() -> Token[None]:
    """Return what tells the running context apart from its copies."""
    return _probe.set(None)


def is_same_home(home: Token[None]) -> bool:
    """Return True in the very context that this was made in; it can be asked once."""
    try:
        _probe.reset(home)
    except (RuntimeError, ValueError):  # what Python says in any other context
        return False
    return True
