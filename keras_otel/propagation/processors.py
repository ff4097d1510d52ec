"""The SDK's processors through which later spans and log records get the predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, get_current_span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._span_limits import SDK_DEFAULT_LIMIT, limit_of_span
from keras_otel.options import Propagate, in_force, resolve
from keras_otel.propagation import recent_spans
from keras_otel.propagation.execution_units import starting_unit
from keras_otel.propagation.flow_events import note_ended
from keras_otel.propagation.genai import (
    has_genai_name,
    is_genai_scope,
    is_never_genai,
    role_of,
)
from keras_otel.propagation.publishing import clear
from keras_otel.propagation.request_node import Node
from keras_otel.propagation.request_tree import tree
from keras_otel.propagation.resolution import (
    Followed,
    carried_by,
    followed_from,
    has_explicit_predictions,
    predictions_at_end,
)
from keras_otel.propagation.span_placement import add_node, note_code
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.unclassified_spans import UnclassifiedSpan, watching
from keras_otel.propagation.upstream_attributes import (
    attributes_to_set,
    plain,
    stamp,
    upstream_attributes,
)
from keras_otel.records import UpstreamPrediction

_KINDS = (SpanKind.INTERNAL, SpanKind.CLIENT)
"""What an LLM span may be; those of servers and queues are something else."""


class _Mode:
    """Which spans or records a processor stamps."""

    def __init__(self, propagate: Propagate | None) -> None:
        if propagate is not None:
            resolve({"propagate": propagate}, {})
        self._propagate = propagate
        self.is_enabled = True
        """False after `uninstrument()`, where `instrument()` added the processor: the SDK cannot
        take one out again."""

    def now(self) -> Propagate:
        """Return the processor's own mode, else that of the instrumented process, else the default."""
        if self._propagate is not None:
            return self._propagate
        options = in_force()
        return "genai" if options is None else options.propagate


class KerasSpanProcessor(SpanProcessor):
    """Stamps later spans of a request with what was predicted upstream.

    `keras_otel.instrument()` adds one to the process's own tracer provider. Add it yourself to any
    other provider whose spans are to carry the predictions, and in a process that runs no Keras
    model but gets predictions from another service. A second one on the same provider is harmless.

    Args:
        propagate: `genai`, `all` or `none`; the option of `instrument()` by default.

    Raises:
        OptionError: `propagate` is none of these.
    """

    def __init__(self, propagate: Propagate | None = None) -> None:
        self._mode = _Mode(propagate)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note the span's place in its request, and stamp it if it follows a prediction."""
        # The SDK passes what is raised here on to the application.
        guarded(semconv.SITE_SPAN_START, self._started, span, parent_context)

    def _on_ending(self, span: Span) -> None:
        """Stamp a span that has turned out to be about GenAI since it started."""
        if watching.count:
            guarded(semconv.SITE_SPAN_END, self._ending, span)

    def on_end(self, span: ReadableSpan) -> None:
        """Let go of a request's contexts; a span that has ended is still an ancestor."""
        parent = span.parent
        if parent is None or parent.is_remote:
            guarded(semconv.SITE_SPAN_END, _ended, span)

    def set_enabled(self, is_enabled: bool) -> None:  # noqa: FBT001 - the only argument, and named
        """Stop stamping, or go on; a processor cannot be taken out of its provider."""
        self._mode.is_enabled = is_enabled

    @staticmethod
    def clear() -> None:
        """Forget what was predicted so far in the request of the current span.

        For a root span that lives through many requests, such as that of a session or a worker.
        """
        clear()

    def _started(self, span: Span, parent_context: Context | None) -> None:
        scope = span.instrumentation_scope
        scope_name = "" if scope is None else scope.name
        if scope_name == semconv.SCOPE_NAME or not self._mode.is_enabled:
            return
        node = add_node(span, parent_context)
        if node is None:
            return
        request, parent = node.request, node.parent
        position = _resolved(parent or tree.node_of(get_current_span(parent_context)))
        is_explicit = has_explicit_predictions(parent_context)
        is_any = is_explicit or (position is not None and bool(position.request.slots))
        if not is_any and request.flows is None:
            return  # as with most spans: there is nothing to follow
        main: Flow | None = None
        if parent is not None:
            is_here, main = note_code(node, span, parent_context)
            if not is_here:
                return
        mode = self._mode.now()
        if mode == "none" or not is_any:
            return
        attributes = plain(span.attributes)
        is_genai = is_genai_scope(scope_name) or has_genai_name(attributes)
        if is_genai or mode == "all":
            role = role_of(attributes)
            uses = is_genai and role in ("answer", "unstated")
            followed = followed_from(position, parent_context, flow=main, uses=uses)
            if role == "around a turn" and followed.published:
                # Only its end tells what it carries: the turn's own prediction may still be made.
                at_end = partial(predictions_at_end, request, followed)
                _watch(node, followed, is_genai=is_genai, is_due=True, at_end=at_end)
                return
            is_stamped = _stamp(node, span, attributes, followed)
            may_change = (
                followed.newly_used and role == "unstated" if is_genai else followed.published
            )
            if may_change or not is_stamped:
                _watch(node, followed, is_genai=is_genai, is_due=not is_stamped)
        elif span.kind not in _KINDS or is_never_genai(scope_name):
            return
        elif main is None or is_explicit or not tree.watch_for_later(node, main):
            _watch(node, followed_from(position, parent_context), is_due=None)

    def _ending(self, span: Span) -> None:
        node = tree.node_with(span.get_span_context())
        if node is None:
            return
        if not self._mode.is_enabled:
            tree.unwatch(node)
            return
        unclassified = tree.end(node)
        if unclassified is None:
            return
        predictions = unclassified.predictions()
        attributes = attributes_to_set(*predictions)
        if predictions and stamp(span, plain(span.attributes), attributes, limit_of_span(span)):
            recent_spans.stamped_spans.add(span.get_span_context(), predictions)


def _resolved(position: Node | None) -> Node | None:
    """Have published what was deferred in the request of a span that starts."""
    if position is not None and position.request.deferred_models:
        tree.resolve_now(position.request)
    return position


def _watch(
    node: Node,
    followed: Followed,
    *,
    is_genai: bool = False,
    is_due: bool | None,
    at_end: Callable[[], tuple[UpstreamPrediction, ...]] | None = None,
) -> None:
    if followed.is_any:
        unclassified = UnclassifiedSpan(node, starting_unit())
        unclassified.published = followed.published
        unclassified.used = followed.newly_used
        unclassified.known_predictions = at_end or followed.predictions
        unclassified.is_surely_genai = is_genai
        unclassified.is_due = is_due
        tree.watch(unclassified)


def _ended(span: ReadableSpan) -> None:
    context = span.get_span_context()
    node = None if context is None else tree.node_with(context)
    if node is not None and node.parent is None:
        note_ended(node.request)


def _stamp(
    node: Node, span: Span, attributes: Mapping[str, AttributeValue], followed: Followed
) -> bool:
    """Stamp a span that starts; False if that is left to its end."""
    predictions = followed.predictions()
    limit = limit_of_span(span)
    # What the program sets later would push its own oldest attributes out where there is no room.
    is_tight = limit is not None and limit < SDK_DEFAULT_LIMIT
    if predictions and (is_tight or stamp(span, attributes, followed.attributes(), limit)):
        recent_spans.stamped_spans.add(span.get_span_context(), predictions)
    for publication in followed.published:
        if publication.is_pending:
            tree.wait_for(publication, node)
    return not is_tight


class KerasLogRecordProcessor(LogRecordProcessor):
    """Stamps log records of a request, as `KerasSpanProcessor` does with spans.

    With `genai` these are records about GenAI, such as `gen_ai.evaluation.result`. Add it before
    a processor that exports at once; a `BatchLogRecordProcessor` may come first.

    Args:
        propagate: `genai`, `all` or `none`; the option of `instrument()` by default.

    Raises:
        OptionError: `propagate` is none of these.
    """

    def __init__(self, propagate: Propagate | None = None) -> None:
        self._mode = _Mode(propagate)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Add what the record's span follows, unless the record says so itself."""
        guarded(semconv.SITE_LOG_RECORD, self._emitted, log_record)

    def set_enabled(self, is_enabled: bool) -> None:  # noqa: FBT001 - the only argument, and named
        """Stop stamping, or go on; a processor cannot be taken out of its provider."""
        self._mode.is_enabled = is_enabled

    def shutdown(self) -> None:
        """Do nothing: nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's name
        """Do nothing: nothing is held."""
        return True

    def _emitted(self, log_record: ReadWriteLogRecord) -> None:
        mode = self._mode.now()
        scope = log_record.instrumentation_scope
        scope_name = "" if scope is None else scope.name
        if mode == "none" or scope_name == semconv.SCOPE_NAME or not self._mode.is_enabled:
            return
        record = log_record.log_record
        attributes = record.attributes
        if mode == "genai" and not (
            has_genai_name((record.event_name or "",))
            or is_genai_scope(scope_name)
            or has_genai_name(plain(attributes))
        ):
            return
        carried = carried_by(get_current_span(record.context), record.context)
        if carried and isinstance(attributes, MutableMapping):
            for key, value in upstream_attributes(carried).items():
                attributes.setdefault(key, value)
