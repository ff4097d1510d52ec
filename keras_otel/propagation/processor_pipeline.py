"""Where a provider keeps the processors that its spans or log records pass.

Adding one by the provider's own method is not harmless everywhere: the providers of Phoenix, traceAI
and Arize take their own exporter out at the first call of `add_span_processor`, as a user who adds an
exporter means to replace it. So the SDK's own list is looked for, and only where there is none, the
method is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._worker import flush_workers

# What providers that stand in front of another one, such as Logfire's, call the one behind.
_BEHIND: Final = (
    "provider",
    "_provider",
    "tracer_provider",
    "_tracer_provider",
    "logger_provider",
    "_logger_provider",
    "wrapped",
    "_wrapped",
    "__wrapped__",
    "delegate",
    "_delegate",
    "inner",
    "_inner",
)
_MAX_DEPTH: Final = 8

_RECORD_S: Final = 5.0
"""The longest that the flush of a provider waits for pending inferences."""


class Signal(NamedTuple):
    """How the SDK names things for spans, or for log records.

    Attributes:
        noun: The kind of provider, for messages.
        holder: The provider's attribute with the processor that passes everything on.
        members: That one's attribute with the processors.
        add: The method, of both, that adds one.
        calls: What is called on each processor in the thread that makes the span or record.
    """

    noun: str
    holder: str
    members: str
    add: str
    calls: tuple[str, ...]


SPANS: Final = Signal(
    "tracer",
    "_active_span_processor",
    "_span_processors",
    "add_span_processor",
    ("on_start", "_on_ending"),
)
LOGS: Final = Signal(
    "logger",
    "_multi_log_record_processor",
    "_log_record_processors",
    "add_log_record_processor",
    ("on_emit",),
)


class Link(NamedTuple):
    """An attribute that was followed on the way, and what it led to."""

    owner: Any
    name: str
    value: Any


class Pipeline:
    """One place that takes a processor.

    Attributes:
        target: The object that holds the processors.
        links: How it was reached from the provider.
    """

    def __init__(self, signal: Signal, target: Any, links: tuple[Link, ...]) -> None:
        self.target = target
        self.links = links
        self._signal = signal
        # There the processors run in threads, which know nothing of the code that calls.
        executor = getattr(target, "_executor", None)
        self._is_concurrent = hasattr(executor, "submit") and hasattr(target, signal.members)
        self._members: Any = None

    def add(self, processor: Any) -> None:
        """Let everything pass this processor, and leave all the others where they are."""
        self._add(processor)
        if self._signal is SPANS:
            guarded(semconv.SITE_ATTACH_TO_THE_TRACER_PROVIDER, _record_before_flush, self.target)

    def _add(self, processor: Any) -> None:
        if self._is_concurrent:
            _put_in_front(self.target, processor, self._signal.calls)
            return
        add = getattr(self.target, self._signal.add)
        if "replace_default_processor" in _parameters(add):
            add(processor, replace_default_processor=False)
        else:
            add(processor)

    def has(self, processor: Any) -> bool:
        """True if the processor is there, as far as can be seen."""
        if self._is_concurrent:
            return processor in getattr(self.target, _IN_FRONT, ())
        members = self._present()
        return members is None or any(member is processor for member in members)

    def remember(self) -> None:
        """Take the processors that are there now for the ones that are expected."""
        self._members = self._present()

    def is_intact(self) -> bool:
        """True while the provider leads here, to the processors that `remember` has seen."""
        for owner, name, value in self.links:
            if getattr(owner, name, None) is not value:
                return False
        # The SDK never changes its tuple, but puts another in its place.
        return self._members is None or (
            getattr(self.target, self._signal.members, None) is self._members
        )

    def exports_at_once(self) -> bool:
        """True if a processor exports each span as it ends."""
        return any(
            kind.__name__ == "SimpleSpanProcessor"
            for member in getattr(self.target, self._signal.members, ())
            for kind in type(member).__mro__
        )

    def _present(self) -> Any:
        return getattr(self.target, self._signal.members, None) if self.links else None


def pipeline_of(provider: Any, signal: Signal) -> Pipeline | None:
    """Return where this provider, or the one that it wraps, keeps its processors; None if nowhere."""
    links: list[Link] = []
    reached = provider
    for _ in range(_MAX_DEPTH):
        holder = getattr(reached, signal.holder, None)
        if hasattr(holder, signal.add):
            return Pipeline(signal, holder, (*links, Link(reached, signal.holder, holder)))
        link = _behind(reached)
        if link is None:
            break
        links.append(link)
        reached = link.value
    # Not the SDK's; perhaps one that takes processors all the same.
    return Pipeline(signal, provider, ()) if hasattr(provider, signal.add) else None


def _behind(provider: Any) -> Link | None:
    for name in _BEHIND:
        value = getattr(provider, name, None)
        if hasattr(value, "get_tracer") or hasattr(value, "get_logger"):
            return Link(provider, name, value)
    return None


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # one that is written in C
        return frozenset()


_IN_FRONT: Final = "_keras_otel_in_front"


def _put_in_front(target: Any, processor: Any, calls: tuple[str, ...]) -> None:
    """Call the processor first, in the thread of the caller, whose context it has to see."""
    for name in calls:
        theirs = getattr(target, name, None)
        if theirs is not None:
            setattr(target, name, _both(getattr(processor, name), theirs))
    setattr(target, _IN_FRONT, (*getattr(target, _IN_FRONT, ()), processor))


def _both(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        ours(*args, **kwargs)
        return theirs(*args, **kwargs)

    return called


_RECORDS_FIRST: Final = "_keras_otel_records_first"


def _record_before_flush(target: Any) -> None:
    """Have pending inferences recorded before any processor is flushed or shut down.

    The processors are asked in the order in which they were added, and the one that exports comes
    before ours where the program had set it up before.
    """
    if hasattr(target, _RECORDS_FIRST):
        return
    setattr(target, _RECORDS_FIRST, True)
    for name in ("force_flush", "shutdown"):
        theirs = getattr(target, name, None)
        if callable(theirs):
            setattr(target, name, _both(_record_pending, theirs))


def _record_pending(*_args: Any, **_kwargs: Any) -> None:
    guarded(semconv.SITE_FLUSH, flush_workers, _RECORD_S)
