"""Spans that say only after their start whether they are about generative AI.

`with start_as_current_span("llm") as span: span.set_attribute("gen_ai.request.model", ...)` is how
an LLM span is most often written by hand. What such a span follows is what it would have followed at
its start; whether it does is looked at when the next prediction is made, when another span looks for
one, and when it ends. Nothing of it outlives the span.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.trace import Span

from keras_otel.propagation.execution_units import starting_unit
from keras_otel.propagation.flow_events import note_used
from keras_otel.propagation.flow_lookup import flow_below
from keras_otel.propagation.genai import has_genai_name, is_around_a_turn, is_look_up
from keras_otel.propagation.request_tree import Node, Publication, tree
from keras_otel.propagation.upstream_attributes import plain
from keras_otel.records import UpstreamPrediction

Predictions = tuple[UpstreamPrediction, ...]


class _Watching:
    """How many spans are watched in this process, so that the end of any other costs nothing.

    Of spans that never end some may be counted for ever; then an end costs a look.
    """

    count = 0


watching: Final = _Watching()


class Undecided:
    """An open span, and what it could follow at its start.

    Attributes:
        published: What was predicted in this process; some may be pending.
        predictions: Everything it could follow that is known by now.
        used: Those that count as used because of this span alone.
        stamps: Whether it is to be stamped at its end; None if only when it is about GenAI then.
        unit: The task or thread that started it.
    """

    __slots__ = ("_is_genai", "_span", "predictions", "published", "stamps", "unit", "used")

    def __init__(
        self,
        span: Span,
        published: tuple[Publication, ...],
        predictions: Callable[[], Predictions],
        *,
        is_genai: bool,
    ) -> None:
        self._span = weakref.ref(span)
        self._is_genai = is_genai
        self.published = published
        self.predictions = predictions
        self.used: tuple[Publication, ...] = ()
        self.stamps: bool | None = None
        self.unit = starting_unit()

    def is_gone(self) -> bool:
        """True if nobody holds the span any longer."""
        return self._span() is None

    def is_genai(self) -> bool:
        """True if the span is about GenAI, as far as it says by now."""
        return self._is_genai or has_genai_name(self._attributes())

    def settle(self) -> bool:
        """Let its predictions count as used if it uses them, and as unused if it does not.

        One that only looks something up leaves them to the answer, and so does one around a turn.

        Returns:
            True if it uses them.
        """
        attributes = self._attributes()
        if not (self._is_genai or has_genai_name(attributes)):
            return False
        if is_look_up(attributes) or is_around_a_turn(attributes):
            for publication in self.used:
                publication.is_used = False
            self.used = ()
            return False
        newly = tuple([p for p in self.published if not p.is_used])
        for publication in newly:
            publication.is_used = True
        self.used += newly
        return True

    def leave(self, used: Iterable[Publication]) -> None:
        """Another span uses these as well: they stay used, whatever this one turns out to be."""
        if self.used:
            self.used = tuple([p for p in self.used if p not in used])

    def _attributes(self) -> dict[str, Any]:
        return plain(getattr(self._span(), "attributes", None))


def watch(node: Node, undecided: Undecided) -> None:
    """Keep the span of this node in view until it ends."""
    root = node.root
    with tree.lock:
        if root.undecided is None:
            root.undecided = {}
        root.undecided[node.number] = undecided
        watching.count += 1


def unwatch(node: Node) -> Undecided | None:
    """What was kept of a span that is ending."""
    if not node.root.undecided:
        return None
    with tree.lock:
        undecided: Undecided | None = node.root.undecided.pop(node.number, None)
        if undecided is not None:
            watching.count -= 1
    return undecided


def watched(node: Node | None) -> Undecided | None:
    """What is kept of an open span."""
    undecided = None if node is None else node.root.undecided
    return None if node is None or undecided is None else undecided.get(node.number)


def settle(root: Node) -> None:
    """Decide on the spans that are open below a root, as far as they say by now.

    The tree's lock is held.
    """
    open_spans = root.undecided or {}
    for number, undecided in tuple(open_spans.items()):
        if undecided.is_gone():
            del open_spans[number]
            watching.count -= 1
        else:
            undecided.settle()


def note_use(root: Node, used: Iterable[Publication]) -> None:
    """A span uses these predictions, whatever the ones that are watched turn out to be.

    The tree's lock is held.
    """
    for undecided in (root.undecided or {}).values():
        undecided.leave(used)


def note_followed(root: Node, undecided: Undecided) -> None:
    """A span that has used its predictions ends: the code that it belongs to follows them.

    Unless something newer was predicted since, or another task or thread than that of the span
    ends it. The tree's lock is held.
    """
    if not undecided.unit.is_here():
        return
    flow = flow_below(root)
    slots = root.slots or {}
    followed = []
    for publication in undecided.published:
        slot = slots.get(publication.model)
        newest = -1 if flow is None else flow.newest_seen(publication.model)
        if slot is not None and slot.latest is publication and newest <= publication.number:
            followed.append(publication)
    if followed:
        note_used(root, followed)
