"""The local spans of a request as a tree, and what was predicted at each of its nodes.

A prediction is published to the span it was made in and to all of that span's local ancestors, so
that a later span finds it at its nearest ancestor. A node is found as long as its span lives.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span, SpanContext

from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.publication import Publication, Slot, Slots, put_slot

_numbers = itertools.count()


class Request:
    """What the nodes below one local root span have in common.

    Attributes:
        number: Tells requests apart.
        root: The root's node; None once the root span is gone.
        slots: The root's slots; None until something is published.
        epoch: Counts how often the request's predictions were cleared.
        start: The task or thread that started the root span, where that was seen.
        main: The flow of that task or thread; see `task_flow`.
        is_main_confirmed: True once a span was seen to start in that task or thread. Until then it
            may be a thread of the SDK's concurrent processor.
        flows: The flows of the other tasks and jobs, by the object that stands for each.
        open_spans: The open spans that may turn out to be about GenAI, by the key of their node;
            see `unclassified_spans`.
        unresolved: What finds out predictions that are not known yet, where that takes no waiting.
        deferred_models: The models of those that are not even published yet.
    """

    __slots__ = (
        "deferred_models",
        "epoch",
        "flows",
        "is_main_confirmed",
        "main",
        "number",
        "open_spans",
        "root",
        "slots",
        "start",
        "unresolved",
    )

    def __init__(self, root: Node) -> None:
        self.number = next(_numbers)
        self.root: Node | None = root
        self.slots: Slots | None = None
        self.epoch = 0
        self.start: Unit | None = None
        self.main: Any = None
        self.is_main_confirmed = False
        self.flows: WeakKeyDictionary[Any, Any] | None = None
        self.open_spans: dict[int, Any] | None = None
        self.unresolved: tuple[Callable[[], object], ...] = ()
        self.deferred_models: tuple[str, ...] = ()

    def is_open(self) -> bool:
        """Return True while the root span has not ended, as far as can be seen."""
        span = None if self.root is None else self.root()
        return span is not None and getattr(span, "end_time", None) is None

    def has_predictions(self) -> bool:
        """Return True if something was predicted, published by now or not."""
        return bool(self.slots or self.deferred_models)

    def has_models_of(self, publications: Iterable[Publication]) -> bool:
        """Return True if there are earlier predictions of these models."""
        slots = self.slots or {}
        return any(publication.model in slots for publication in publications)

    def release(self) -> None:
        """Let go of what knows the request itself, as its root span is gone."""
        self.root = self.main = self.flows = None


class Node(weakref.ref[Span]):
    """One span's place in the tree: a weak reference to the span, to need one object and not two.

    Attributes:
        key: What the node is found by.
        context: The span's context.
        parent: The node of the local span above; None for a root.
        request: What all nodes below one root have in common.
        slots: The newest predictions that were published here; None until there is one.
    """

    __slots__ = ("context", "key", "parent", "request", "slots")

    key: int
    context: SpanContext
    parent: Node | None
    request: Request
    slots: Slots | None

    def is_of(self, span: Span) -> bool:
        """Return True if this is the node of that object, or of one that stands for the same span."""
        mine = self()
        if mine is span or mine is None:
            return mine is span
        context = span.get_span_context()
        return not context.is_remote and self.context.trace_id == context.trace_id

    def publish(self, publications: Iterable[Publication]) -> None:
        """Publish here and at every ancestor."""
        chain = self.chain()
        path = tuple([node.key for node in chain])
        for publication in publications:
            publication.path = path
            earlier: Slot | None = None
            slot: Slot | None = None
            for node in chain:
                if node.slots is None:
                    node.slots = {}
                before = node.slots.get(publication.model)
                # Most often a span and its parent have the same one.
                if slot is None or before is not earlier:
                    earlier, slot = before, Slot(publication, before)
                put_slot(node.slots, slot)
        self.request.slots = chain[-1].slots

    def chain(self) -> list[Node]:
        """Return this node and its ancestors, up to the local root."""
        chain = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        return chain


def key_of(span: Span) -> int:
    """Return what a node is found by: local spans by their id, remote ones by their object.

    Two requests may come from one remote span; what each of them extracted is its own object.
    """
    context = span.get_span_context()
    return -id(span) if context.is_remote else context.span_id
