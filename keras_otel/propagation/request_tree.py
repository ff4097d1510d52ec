"""The local spans of each request as a tree, and what was predicted at each of its nodes.

A prediction is published to the span it was made in and to all of that span's local ancestors, so
that a later span finds it at its nearest ancestor. A node lives as long as its span does.

Two different predictions of one model that no span has used make a place ambiguous: which of them a
later span follows cannot be known. A place stays ambiguous, because whoever used one of the two
cannot be told from whoever will use the other.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span, SpanContext

from keras_otel._forks import run_in_child
from keras_otel.propagation.execution_units import Unit
from keras_otel.records import ModelIdentity, UpstreamPrediction

MAX_MODELS: Final = 64
"""Models that one place remembers; a request that calls more forgets its oldest."""

_numbers = itertools.count()


class Publication:
    """One prediction on its way to later spans.

    Attributes:
        model: Name of the model, as in `UpstreamPrediction`.
        prediction: What it predicted; None where the call names no single prediction (it failed,
            or had several rows), and while an accelerator computes.
        identity: Which of the models of that name it was.
        is_pending: True until the prediction is known.
        is_addressed: True if it was made elsewhere for this place, as a row of a shared call.
        is_used: True once a span about GenAI carries it.
        users: Of other code that used it, the flow and those that it belongs to.
        maker: Number of the flow that made it; 0 for a row of a shared call.
        number: Orders publications by time.
        knows: Number of the newest one of this model that the code which made it had seen; -1
            without one.
        path: Numbers of the nodes it was published to, the one of its own call first.
        waiting: Spans that carry it as soon as it is known.
    """

    __slots__ = (
        "identity",
        "is_addressed",
        "is_pending",
        "is_used",
        "knows",
        "maker",
        "model",
        "number",
        "path",
        "prediction",
        "users",
        "waiting",
    )

    def __init__(
        self,
        model: str,
        prediction: UpstreamPrediction | None,
        *,
        identity: ModelIdentity | None = None,
        is_pending: bool = False,
        is_addressed: bool = False,
    ) -> None:
        self.model = model
        self.identity = identity
        self.prediction = prediction
        self.is_pending = is_pending
        self.is_addressed = is_addressed
        self.is_used = False
        self.maker = 0
        self.number = next(_numbers)
        self.knows = -1
        self.path: tuple[int, ...] = ()
        self.users: list[tuple[int, ...]] = []
        self.waiting: list[weakref.ref[Span]] = []

    def says_the_same(self, other: Publication) -> bool:
        """True if a later span would carry the same for both."""
        if self is other:
            return True
        if self.is_pending or other.is_pending:
            return False
        mine, theirs = self.prediction, other.prediction
        if mine is None or theirs is None:
            return mine is theirs
        return (mine.class_name, mine.confidence, mine.version, mine.value, mine.labels) == (
            theirs.class_name,
            theirs.confidence,
            theirs.version,
            theirs.value,
            theirs.labels,
        )

    @property
    def is_open(self) -> bool:
        """True while a span may still come that follows this prediction."""
        return not self.is_used and (self.is_pending or self.prediction is not None)

    def contests(self, earlier: Publication) -> bool:
        """Return True if two models with one name made the two, whose labels would be mixed up.

        Two versions of one model are no such case, where the older one has had its answer.
        """
        mine, theirs = self.identity, earlier.identity
        if mine is None or theirs is None or not mine.is_other_than(theirs):
            return False
        return not (earlier.is_used and mine.is_version_beside(theirs))

    def competes_with(self, earlier: Publication) -> bool:
        """True if whoever made neither of the two cannot know which one to follow.

        Code that knew of the earlier one replaces it. Of a row of a shared call nobody knows whose
        it is but the code that waits for it.
        """
        if earlier.prediction is None and not earlier.is_pending:
            return False
        is_replaced = earlier.number <= self.knows and not earlier.is_addressed
        return not is_replaced and not earlier.says_the_same(self)


class Slot:
    """The newest prediction of one model at one place. Never changed, so places may share it.

    Attributes:
        latest: The prediction.
        is_ambiguous: True if another one, which differs, was made by code that the latest one's
            did not know of.
        is_contested: True if two models with one name predicted here.
        follows_use: True if an earlier one was used.
        has_skipped: True if its maker replaced one that differs and that nobody had used yet: right
            for the maker's own code, but other code may be about to follow the older one.
        addressed: The newest one that was made elsewhere for this place.
    """

    __slots__ = (
        "addressed",
        "follows_use",
        "has_skipped",
        "is_ambiguous",
        "is_contested",
        "latest",
    )

    def __init__(self, latest: Publication, *earlier: Slot | None) -> None:
        self.latest = latest
        self.is_ambiguous = False
        self.is_contested = False
        self.follows_use = False
        self.has_skipped = False
        self.addressed: Publication | None = latest if latest.is_addressed else None
        for slot in earlier:
            if slot is not None:
                before = slot.latest
                if self.addressed is None:
                    self.addressed = slot.addressed
                self.follows_use |= slot.follows_use or before.is_used
                self.has_skipped |= slot.has_skipped or (
                    before.is_open and not latest.says_the_same(before)
                )
                self.is_contested |= slot.is_contested or latest.contests(before)
                self.is_ambiguous |= slot.is_ambiguous or latest.competes_with(before)
        self.is_ambiguous |= self.is_contested

    def may_replace(self, other: Publication, newer_than: int) -> bool:
        """True if a row newer than this number, which says something else, came for this place."""
        row = self.addressed
        return row is not None and row.number > newer_than and not row.says_the_same(other)

    @classmethod
    def undecided(cls, latest: Publication) -> Slot:
        """A slot that nobody can follow."""
        slot = cls(latest)
        slot.is_ambiguous = True
        return slot

    @property
    def is_news(self) -> bool:
        """True if the prediction is unused and came after one that was used."""
        return self.follows_use and self.latest.is_open


Slots = dict[str, Slot]


class Node:
    """One span's place in the tree.

    Attributes:
        start: At a root, the task or thread that started it, where that was seen.
        main: At a root, the flow of that task or thread; see `propagation.task_flow`.
        flows: At a root, the flows of the others, by what stands for each.
        undecided: At a root, the open spans that may turn out to be about GenAI, by the number of
            their node; see `propagation.unclassified_spans`.
    """

    __slots__ = (
        "epoch",
        "flows",
        "main",
        "number",
        "parent",
        "root",
        "slots",
        "span",
        "start",
        "undecided",
    )

    def __init__(self, span: weakref.ref[Span], parent: Node | None) -> None:
        self.span = span
        self.parent = parent
        self.root: Node = self if parent is None else parent.root
        self.slots: Slots | None = None
        self.undecided: dict[int, Any] | None = None
        self.epoch = 0
        self.number = next(_numbers)
        self.start: Unit | None = None
        self.main: Any = None
        self.flows: WeakKeyDictionary[Any, Any] | None = None

    def is_open(self) -> bool:
        """True while the span has not ended, as far as can be seen."""
        span = self.span()
        return span is not None and getattr(span, "end_time", None) is None

    def is_of(self, span: Span) -> bool:
        """True if this is the node of that very object, or of one that stands for the same span."""
        mine = self.span()
        if mine is span or mine is None:
            return mine is span
        mine_context, its_context = mine.get_span_context(), span.get_span_context()
        return not its_context.is_remote and mine_context.trace_id == its_context.trace_id

    def publish(self, publications: Iterable[Publication]) -> None:
        """Publish here and at every ancestor."""
        chain = self.chain()
        path = tuple([node.number for node in chain])
        for publication in publications:
            publication.path = path
            earlier: Slot | None = None
            slot: Slot | None = None
            for node in chain:
                if node.slots is None:
                    node.slots = {}
                before = node.slots.get(publication.model)
                if (
                    slot is None or before is not earlier
                ):  # most often a span and its parent have the same one
                    earlier, slot = before, Slot(publication, before)
                put(node.slots, slot)

    def chain(self) -> list[Node]:
        """This node and its ancestors, up to the local root."""
        chain = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        return chain


def put(slots: Slots, slot: Slot) -> None:
    """Put a model's slot in its place, and forget the oldest model where there are too many."""
    model = slot.latest.model
    if model not in slots and len(slots) >= MAX_MODELS:
        del slots[next(iter(slots))]
    slots[model] = slot


class Tree:
    """The nodes of this process's living spans, and the lock of everything published."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._nodes: dict[int, Node] = {}
        # In a forked child the lock may be held by a thread that is not there, and its parent's
        # requests are its parent's.
        run_in_child(self._start_over)

    def node_of(self, span: Span) -> Node | None:
        """The node of a span, if it has one."""
        node = self._nodes.get(_key(span))
        return node if node is not None and node.is_of(span) else None

    def span_of(self, context: SpanContext) -> Span | None:
        """The living local span with this context, if it has a node."""
        node = self._nodes.get(context.span_id)
        span = None if node is None else node.span()
        if span is None or span.get_span_context().trace_id != context.trace_id:
            return None
        return span

    def root_with(self, context: SpanContext) -> Node | None:
        """The node of the root span with this context, if it is there."""
        node = self._nodes.get(context.span_id)
        return node if node is not None and node.parent is None else None

    def add_started(self, span: Span, parent: Span | None) -> Node | None:
        """Make the node of a span that starts below a local one, or as a root where that is None.

        None if the span has a node already.
        """
        key = span.get_span_context().span_id
        if key in self._nodes and self.node_of(span) is not None:
            return None
        return self._add(key, span, None if parent is None else self.node_for(parent))

    def node_for(self, span: Span) -> Node:
        """The node of a span; where nobody saw it start, it is a root of its own."""
        return self.node_of(span) or self._add(_key(span), span, None)

    def _add(self, key: int, span: Span, parent: Node | None) -> Node:
        # Bound now: at the interpreter's exit the names of this module are gone before the spans.
        reference = weakref.ref(span, functools.partial(self._forget, key))
        node = self._nodes[key] = Node(reference, parent)
        return node

    def clear(self, root: Node) -> None:
        """Forget what was predicted below this root."""
        with self.lock:
            root.epoch += 1
            root.flows = None
            for node in list(self._nodes.values()):
                if node.root is root:
                    node.slots = None

    def _forget(self, key: int, gone: weakref.ref[Span]) -> None:
        """A span is gone. Python calls this at any moment, so it takes no lock."""
        node = self._nodes.get(key)
        if node is not None and node.span is gone:  # else the key has a new owner
            del self._nodes[key]
            node.main = node.flows = None  # each of them knows the node

    def __len__(self) -> int:
        return len(self._nodes)

    def _start_over(self) -> None:
        self.lock = threading.Lock()
        self._nodes = {}


def _key(span: Span) -> int:
    """Local spans by their id; remote ones by the object that stands for them in this request.

    Two requests may come from one remote span; what each of them extracted is its own object.
    """
    context = span.get_span_context()
    return -id(span) if context.is_remote else context.span_id


tree: Final = Tree()
