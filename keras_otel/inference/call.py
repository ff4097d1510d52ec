"""A call under observation."""

from __future__ import annotations

import time
from contextvars import Context as Variables
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Link

from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.assignments import assignments
from keras_otel.introspection.scope import Scope


class Origin(NamedTuple):
    """Where the arrays of a call's result come from.

    Attributes:
        is_own: True if they came straight from the model's own call.
        names: Names of the outputs in the result's order.
        doubt: Why the result cannot be read as the model's, or None.
        selection: Why scores may be in other places than in the model's output, or None.
    """

    is_own: bool = True
    names: tuple[str | None, ...] = (None,)
    doubt: str | None = None
    selection: str | None = None


STRAIGHT: Final = Origin()


class Call(Scope):
    """One call that may turn out to be an inference."""

    __slots__ = (
        "_started_ns",
        "adapter",
        "args",
        "context",
        "duration_s",
        "is_cold",
        "kwargs",
        "links",
        "noted",
        "operation",
        "origin",
        "start_ns",
        "subject",
        "variables",
        "written",
    )

    keeps_state = True

    def __init__(
        self,
        adapter: Adapter,
        operation: str,
        subject: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context,
    ) -> None:
        # As in Scope, written out: this runs at every inference.
        self.is_open = True
        self.model = None
        self.inner = None
        self.adapter = adapter
        self.operation = operation
        self.subject = subject
        self.args = args
        self.kwargs = kwargs
        self.origin = STRAIGHT
        self.context = context
        self.links: tuple[Link, ...] = ()
        self.variables: Variables | None = None
        self.is_cold = adapter.is_cold(subject, operation)
        self.start_ns = 0
        self.duration_s = 0.0
        self.written: set[int] = set()
        self.noted = assignments.noted
        self._started_ns = 0

    def start_clock(self) -> None:
        """The call begins now."""
        self.start_ns = time.time_ns()
        self._started_ns = time.perf_counter_ns()

    def stop_clock(self) -> None:
        """The call is over now."""
        self.duration_s = (time.perf_counter_ns() - self._started_ns) / 1e9


class RowOfCall(NamedTuple):
    """One row of a call that several requests share, timed as the call was.

    Attributes:
        context: The row's own request.
        start_ns: Start of the call, nanoseconds since the epoch.
        duration_s: Duration of the call, seconds.
        links: To the span of the call.
        variables: The context variables of the call, where they are kept for the hook.
    """

    context: Context
    start_ns: int
    duration_s: float
    links: tuple[Link, ...]
    variables: Variables | None
