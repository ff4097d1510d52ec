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

    def is_reached(self) -> bool:
        """True while the provider still leads to the same place."""
        for owner, name, value in self.links:  # noqa: SIM110 - any() takes twice as long
            if getattr(owner, name, None) is not value:
                return False
        return True

    def add(self, processor: Any) -> None:
        """Let everything pass this processor, and leave all the others where they are."""
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
        members = getattr(self.target, self._signal.members, None) if self.links else None
        if members is None:
            return True
        for member in members:  # noqa: SIM110 - any() takes twice as long, at every inference
            if member is processor:
                return True
        return False


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
