"""Micro-batching: one call for the rows of several requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry.context import Context

_log = logging.getLogger("keras_otel")


class Batch:
    """The open block around a shared call; row i of the call is for `contexts[i]`."""

    __slots__ = ("_has_warned", "contexts", "is_open")

    def __init__(self, contexts: tuple[Context | None, ...]) -> None:
        self.contexts = contexts
        self.is_open = True
        self._has_warned = False

    def has_rows(self, rows: set[int]) -> bool:
        """Return True if outputs of so many rows have one for each context, else log that once."""
        if rows == {len(self.contexts)}:
            return True
        self._warn_of(rows)
        return False

    def _warn_of(self, rows: set[int]) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        _log.warning(
            "keras_otel: batch() has %d contexts and the call has %s rows, so that no row can be "
            "given to its request: pass one context for each row, None for padding",
            len(self.contexts),
            " and ".join(map(str, sorted(rows))) or "no",
        )


_current: Final[ContextVar[Batch | None]] = ContextVar("keras_otel_batch", default=None)


@contextmanager
def batch(contexts: Sequence[Context | None]) -> Iterator[None]:
    """Assign the rows of the inferences in this block to requests.

    Each row becomes a span in the trace of its own request, linked to the one span of the shared
    call, and only that request's later spans carry it.

    Args:
        contexts: One OpenTelemetry context for each row, as `opentelemetry.context.get_current()`
            returned it in the request; None for a row of padding. A call with another number of
            rows is recorded as without the block.

    Raises:
        TypeError: Something else was given.
    """
    given = tuple(contexts)
    for context in given:
        if context is not None and not isinstance(context, Context):
            raise TypeError(
                "batch() takes one opentelemetry.context.get_current() for each row, taken in the "
                f"row's own request, got {type(context).__name__}"
            )
    shared = Batch(given)
    outer = _current.get()
    _current.set(shared)
    try:
        yield
    finally:
        shared.is_open = False
        _current.set(outer)


def current_batch() -> Batch | None:
    """Return the innermost open block; None outside of any."""
    shared = _current.get()
    return shared if shared is not None and shared.is_open else None
