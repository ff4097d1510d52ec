"""The local spans of this process as trees, one for each request, and everything published in them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Container, Iterable
from typing import Final

from opentelemetry.trace import Span, SpanContext

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel.propagation.context_state import DeferredState
from keras_otel.propagation.decision import followed_publications
from keras_otel.propagation.deferral import defer, publish_deferred
from keras_otel.propagation.flow_events import note_published, note_seen, note_used
from keras_otel.propagation.flow_lookup import flow_below, keep, own_flow
from keras_otel.propagation.publication import Publication
from keras_otel.propagation.request_node import Node, Request, key_of
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.unclassified_spans import (
    Predictions,
    UnclassifiedSpan,
    can_wait,
    keep_used,
    look_for_open_spans,
    newest_followed,
    settle_open_spans,
    unwatch,
    watch,
)
from keras_otel.records import UpstreamPrediction


class Tree:
    """The nodes of this process's living spans, and the lock of everything published to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[int, Node] = {}
        # Bound now: at the interpreter's exit the names of this module are gone before the spans.
        self._on_gone = self._forget
        # In a forked child the lock may be held by a thread that is not there, and its parent's
        # requests are its parent's.
        run_in_child(self._start_over)

    # -- nodes -----------------------------------------------------------------------------------

    def node_of(self, span: Span) -> Node | None:
        """Return the node of a span, if it has one."""
        node = self._nodes.get(key_of(span))
        return node if node is not None and node.is_of(span) else None

    def node_with(self, context: SpanContext) -> Node | None:
        """Return the node of the living local span with this context."""
        node = self._nodes.get(context.span_id)
        if node is None or node.context is context:  # most often the very object
            return node
        return node if node.context.trace_id == context.trace_id else None

    def node_for(self, span: Span) -> Node:
        """Return the node of a span; where nobody saw it start, it is a root of its own."""
        return self.node_of(span) or self._add(span, key_of(span), span.get_span_context(), None)

    def add_started(self, span: Span, parent: Node | None) -> Node | None:
        """Add the node of a span that starts, as a root where it has no parent.

        Returns:
            None if the span has a node already.
        """
        context = span.get_span_context()
        key = context.span_id
        existing = self._nodes.get(key)
        if existing is not None and existing.is_of(span):
            return None
        return self._add(span, key, context, parent)

    def _add(self, span: Span, key: int, context: SpanContext, parent: Node | None) -> Node:
        node = Node(span, self._on_gone)
        node.key = key
        node.context = context
        node.parent = parent
        node.slots = None
        node.request = Request(node) if parent is None else parent.request
        self._nodes[key] = node
        return node

    def _forget(self, node: Node) -> None:
        """Forget a span that is gone. Python calls this at any moment, so it takes no lock."""
        if self._nodes.get(node.key) is node:  # else the key has a new owner
            del self._nodes[node.key]
        if node.parent is None:
            node.request.release()

    def __len__(self) -> int:
        return len(self._nodes)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._nodes = {}

    # -- predictions -----------------------------------------------------------------------------

    def publish(
        self,
        node: Node,
        publications: list[Publication],
        *,
        is_callers: bool,
        resolve_now: Callable[[], object] | None = None,
        is_forced: bool = False,
    ) -> bool | None:
        """Publish to a span and to its local ancestors.

        Args:
            node: The span's node.
            publications: The predictions.
            is_callers: Whether the running task or thread is the one that they are for.
            resolve_now: Finds them out, where they are not known yet and that takes no waiting.
            is_forced: Whether to publish although earlier ones are still deferred.

        Returns:
            False if they have to be known before: the request has others to compare with. None if
            earlier ones have to be published before.
        """
        request = node.request
        with self._lock:
            if request.deferred_models and not is_forced:
                return None
            if resolve_now is not None:
                if request.has_models_of(publications):
                    return False
                request.unresolved = (*request.unresolved, resolve_now)
            if request.open_spans:
                settle_open_spans(request)
                look_for_open_spans(request)
            flow = note_seen(request, publications) if is_callers else None
            node.publish(publications)
            if flow is not None:
                note_published(flow, publications)
        return True

    def defer(
        self, node: Node, models: tuple[str, ...], resolve_now: Callable[[], object]
    ) -> DeferredState | None:
        """Note that the running code will have predicted something; see `deferral.defer`."""
        start = node.request.start
        if start is None or not start.is_here() or not node.request.is_open():
            return None
        with self._lock:
            return defer(node.request, models, resolve_now)

    def publish_deferred(
        self,
        node: Node,
        models: tuple[str, ...],
        publications: list[Publication],
        deferred: DeferredState,
    ) -> None:
        """Publish what was deferred, as if it had been published then."""
        with self._lock:
            publish_deferred(node, models, publications, deferred)

    def resolve_now(self, request: Request) -> None:
        """Find out what was published and is not known yet, as far as that takes no waiting.

        The program's hook and its processors run meanwhile: no lock is held.
        """
        if not (unresolved := request.unresolved):
            return
        for resolve in unresolved:
            guarded(semconv.SITE_SETTLE_A_PREDICTION, resolve)
        with self._lock:
            request.unresolved = tuple([r for r in request.unresolved if r not in unresolved])

    def resolve_pending(
        self,
        request: Request,
        publication: Publication,
        prediction: UpstreamPrediction | None,
    ) -> list[weakref.ref[Span]]:
        """Fill in what was predicted, and return the spans that wait for it."""
        with self._lock:
            look_for_open_spans(request)
            publication.prediction = prediction
            publication.is_pending = False
            waiting, publication.waiting_spans = publication.waiting_spans, []
        return waiting

    def wait_for(self, publication: Publication, node: Node) -> None:
        """Let a span be returned by `resolve_pending`, unless the prediction is known by now."""
        with self._lock:
            if publication.is_pending:
                publication.waiting_spans.append(node)

    def follow(
        self,
        position: Node,
        *,
        flow: Flow | None = None,
        without: Container[str] = (),
        uses: bool = False,
        of_answer: bool = False,
    ) -> tuple[tuple[Publication, ...], tuple[Publication, ...]]:
        """Return what a span started below this position follows.

        Args:
            position: The node below which the span starts.
            flow: The flow of the running code, where that is known already.
            without: Key segments of models that are not looked for.
            uses: Whether the span makes use of what it follows.
            of_answer: See `followed_publications`.

        Returns:
            The publications, newest first, and those of them that nobody had used before.
        """
        request = position.request
        newly_used: tuple[Publication, ...] = ()
        with self._lock:
            if request.open_spans:
                settle_open_spans(request)
            if flow is None:
                flow = flow_below(request)
            published = followed_publications(position, flow, of_answer=of_answer)
            if without:
                published = tuple(
                    [p for p in published if semconv.key_segment(p.model) not in without]
                )
            if not uses or not published:
                return published, newly_used
            if request.open_spans:
                look_for_open_spans(request)
            newly_used = ()
            for publication in published:
                if not publication.is_used:
                    publication.is_used = True
                    newly_used += (publication,)
            self._note_used(request, flow, published)
            if request.open_spans:
                keep_used(request, published)
            return published, newly_used

    def clear(self, request: Request) -> None:
        """Forget what was predicted in this request."""
        with self._lock:
            look_for_open_spans(request)
            request.epoch += 1
            request.flows = None
            request.slots = None
            for node in list(self._nodes.values()):
                if node.request is request:
                    node.slots = None

    @staticmethod
    def _note_used(request: Request, flow: Flow | None, used: Iterable[Publication]) -> None:
        if flow is None:
            flow = own_flow(request)
        else:
            keep(flow)
        note_used(flow, used)

    # -- open spans ------------------------------------------------------------------------------

    def watch(self, span: UnclassifiedSpan) -> None:
        """Keep an open span in view until it ends."""
        with self._lock:
            watch(span)

    def watch_for_later(self, node: Node, flow: Flow) -> bool:
        """Do the same without looking for what the span follows; False where that cannot wait."""
        with self._lock:
            if flow.updates and node.request.open_spans:
                settle_open_spans(node.request)  # an update that was used by now counts otherwise
            if not can_wait(flow):
                return False
            watch(UnclassifiedSpan(node, flow.unit, flow))
        return True

    def unwatch(self, node: Node) -> None:
        """Forget an open span."""
        with self._lock:
            unwatch(node)

    def predictions_of_open_span(self, node: Node) -> Predictions | None:
        """Return what an open span that turned out to be about GenAI will carry; None for others."""
        span = self._genai_span(node)
        if span is None:
            return None
        with self._lock:
            span.look()
        return span.predictions()

    def end(self, node: Node) -> UnclassifiedSpan | None:
        """Let a span that ends use what it follows, if it is about GenAI.

        Returns:
            What was kept of it, if it is to be stamped now.
        """
        if node.request.unresolved:
            self._genai_span(node)
        with self._lock:
            span = unwatch(node)
            if span is None:
                return None
            is_genai = span.is_genai()
            if is_genai:
                span.look()
                look_for_open_spans(node.request)
                if span.settle() and span.unit.is_here():
                    flow = flow_below(node.request)
                    followed = newest_followed(span, flow)
                    if followed:
                        self._note_used(node.request, flow, followed)
        is_due = is_genai if span.is_due is None else span.is_due
        return span if is_due else None

    def _genai_span(self, node: Node) -> UnclassifiedSpan | None:
        """Return an open span that turned out to be about GenAI, with what it follows known."""
        span: UnclassifiedSpan | None = (node.request.open_spans or {}).get(node.key)
        if span is None or not span.is_genai():
            return None
        self.resolve_now(node.request)
        return span


tree: Final = Tree()
