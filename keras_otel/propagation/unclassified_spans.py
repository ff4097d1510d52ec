"""Spans that say only after their start whether they are about generative AI.

`with start_as_current_span("llm") as span: span.set_attribute("gen_ai.request.model", ...)` is how
an LLM span is most often written by hand. What such a span follows is what it would have followed at
its start; whether it does is looked at when the next prediction is made, when another span looks for
one, and when it ends. Nothing of it outlives the span.

Most such spans never turn out to be about GenAI. So what a span could follow is not looked for at its
start, but before anything changes that it depends on, or at its end. That is put off only in code
whose view does not change with time alone: see `can_wait`.

The tree's lock is held by whoever calls the functions of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from keras_otel.propagation.decision import followed_publications
from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.genai import has_genai_name, role_of
from keras_otel.propagation.publication import Publication
from keras_otel.propagation.request_node import Node, Request
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.upstream_attributes import plain
from keras_otel.records import UpstreamPrediction

Predictions = tuple[UpstreamPrediction, ...]


class _OpenSpans:
    """How many spans are watched in this process, so that the end of any other costs nothing.

    Of spans that never end some may be counted for ever; then an end costs a look.
    """

    count = 0


watching: Final = _OpenSpans()


class UnclassifiedSpan:
    """An open span, and what it could follow at its start.

    Attributes:
        node: Its node.
        unit: The task or thread that started it.
        flow: The flow of the code that started it, while what it follows is not looked for yet.
        published: What was predicted in this process; some may be pending.
        used: Those that count as used because of this span alone.
        known_predictions: Returns everything it could follow that is known by now, where that is
            more or less than what was published.
        is_surely_genai: Whether its start says that it is about GenAI.
        is_due: Whether it is to be stamped at its end; None if only when it is about GenAI then.
    """

    __slots__ = (
        "flow",
        "is_due",
        "is_surely_genai",
        "known_predictions",
        "node",
        "published",
        "unit",
        "used",
    )

    def __init__(self, node: Node, unit: Unit, flow: Flow | None = None) -> None:
        self.node = node
        self.unit = unit
        self.flow = flow
        self.published: tuple[Publication, ...] = ()
        self.used: tuple[Publication, ...] = ()
        self.known_predictions: Callable[[], Predictions] | None = None
        self.is_surely_genai = False
        self.is_due: bool | None = None

    def is_gone(self) -> bool:
        """Return True if nobody holds the span any longer."""
        return self.node() is None

    def is_genai(self) -> bool:
        """Return True if the span is about GenAI, as far as it says by now."""
        return self.is_surely_genai or has_genai_name(self._attributes())

    def look(self) -> None:
        """Look for what the span could follow at its start, unless that was done."""
        if self.flow is not None and self.node.parent is not None:
            self.published = followed_publications(self.node.parent, self.flow)
            self.flow = None

    def predictions(self) -> Predictions:
        """Return everything it could follow that is known by now."""
        if self.known_predictions is not None:
            return self.known_predictions()
        return tuple([p.prediction for p in self.published if p.prediction is not None])

    def settle(self) -> bool:
        """Let its predictions count as used if it uses them, and as unused if it does not.

        One that only looks something up leaves them to the answer, and so does one around a turn.

        Returns:
            True if it uses them.
        """
        attributes = self._attributes()
        if not (self.is_surely_genai or has_genai_name(attributes)):
            return False
        if role_of(attributes) in ("look-up", "around a turn"):
            for publication in self.used:
                publication.is_used = False
            self.used = ()
            return False
        newly = tuple([p for p in self.published if not p.is_used])
        for publication in newly:
            publication.is_used = True
        self.used += newly
        return True

    def _attributes(self) -> dict[str, Any]:
        return plain(getattr(self.node(), "attributes", None))


def can_wait(flow: Flow) -> bool:
    """Return True if what this flow's code follows changes only by what happens in the request.

    Of the code that started the root span, and heard of no task that still runs. Other code's view
    may change because a task ends, which nobody tells.
    """
    request = flow.request
    if flow is not request.main:
        return False
    return not flow.updates or not any(u.is_concurrent for u in flow.updates.values())


def watch(span: UnclassifiedSpan) -> None:
    """Keep an open span in view until it ends."""
    request = span.node.request
    if request.open_spans is None:
        request.open_spans = {}
    request.open_spans[span.node.key] = span
    watching.count += 1


def unwatch(node: Node) -> UnclassifiedSpan | None:
    """Return what was kept of a span that is ending, and forget it."""
    open_spans = node.request.open_spans
    span: UnclassifiedSpan | None = open_spans.pop(node.key, None) if open_spans else None
    if span is not None:
        watching.count -= 1
    return span


def look_for_open_spans(request: Request) -> None:
    """Look for what the open spans follow, before something changes that it depends on."""
    for span in (request.open_spans or {}).values():
        span.look()


def settle_open_spans(request: Request) -> None:
    """Decide on the spans that are open below a root, as far as they say by now."""
    open_spans = request.open_spans or {}
    for key, span in tuple(open_spans.items()):
        if span.is_gone():
            del open_spans[key]
            watching.count -= 1
    genai = [span for span in open_spans.values() if span.is_genai()]
    if genai:
        look_for_open_spans(request)  # those of the others, before these use theirs
    for span in genai:
        span.settle()


def keep_used(request: Request, used: Iterable[Publication]) -> None:
    """Let these predictions stay used, whatever the open spans turn out to be.

    A span that is about GenAI for sure carries them as well.
    """
    for span in (request.open_spans or {}).values():
        if span.used:
            span.used = tuple([p for p in span.used if p not in used])


def newest_followed(span: UnclassifiedSpan, flow: Flow | None) -> list[Publication]:
    """Return what the code of a span that ends follows from now on, as the span has used it.

    Not where something newer was predicted since: the code would go back to what is outdated.

    Args:
        span: The span.
        flow: The flow of the code that ends it, which is the code that started it.
    """
    slots = span.node.request.slots or {}
    followed = []
    for publication in span.published:
        slot = slots.get(publication.model)
        newest = -1 if flow is None else flow.newest_seen(publication.model)
        if slot is not None and slot.latest is publication and newest <= publication.number:
            followed.append(publication)
    return followed
