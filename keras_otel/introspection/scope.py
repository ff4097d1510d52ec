"""Which call is outermost.

`predict` calls `__call__`, models contain models, and `fit` calls both; only the outermost call
outside training is an inference. A context variable, and not a thread's own state, says whether
one is open: work that a call hands to its own threads with its context still belongs to it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any


class Scope:
    """An open call. `is_open` turns False when it returns, also for contexts copied from it."""

    __slots__ = ("inner", "is_open", "model")

    keeps_state = False
    """True if what is assigned to a variable meanwhile is a model's state and not a change of it."""
    written: set[int]
    """The keys of variables that were assigned to, where it keeps state."""

    def __init__(self, model: Any = None) -> None:
        self.is_open = True
        # The model whose nested calls are worth keeping; None where nobody asks for them.
        self.model = model
        self.inner: list[Any] | None = None


current: ContextVar[Scope | None] = ContextVar("keras_otel_scope", default=None)
