"""The SDK's processors through which later spans and log records get the predictions."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial

from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, get_current_span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._span_limits import SDK_DEFAULT_LIMIT, limit_of_span
from keras_otel.options import Propagate, in_force, resolve
from keras_otel.propagation import recent_spans
from keras_otel.propagation.flow_events import note_ended, note_root, note_started
from keras_otel.propagation.genai import (
    has_genai_name,
    is_around_a_turn,
    is_genai_scope,
    is_look_up,
    is_never_genai,
    says_its_kind,
)
from keras_otel.propagation.publishing import clear
from keras_otel.propagation.request_tree import Node, tree
from keras_otel.propagation.resolution import (
    Seen,
    carried_by,
    may_follow,
    predictions_at_end,
    seen_from,
)
from keras_otel.propagation.unclassified_spans import (
    Undecided,
    note_followed,
    unwatch,
    watch,
    watching,
)
from keras_otel.propagation.upstream_attributes import (
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
        """The processor's own mode, else that of the instrumented process, else the default."""
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
        guarded("span start", self._started, span, parent_context)

    def _on_ending(self, span: Span) -> None:
        """Stamp a span that has turned out to be about GenAI since it started."""
        if watching.count:
            guarded("span end", self._ending, span)

    def on_end(self, span: ReadableSpan) -> None:
        """Let go of a request's contexts; a span that has ended is still an ancestor."""
        if span.parent is None or span.parent.is_remote:
            guarded("span end", _ended, span)

    def set_enabled(self, is_enabled: bool) -> None:  # noqa: FBT001 - the only argument, and named
        """Stop, or go on; a processor cannot be taken out of its provider."""
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
        context = get_current() if parent_context is None else parent_context
        parent = get_current_span(context)
        above = None if span.parent is None or span.parent.is_remote else span.parent
        if above is not None and above.span_id != parent.get_span_context().span_id:
            # Run in another thread than the span was started in: what that one follows is not known.
            tree.add_started(span, tree.span_of(above))
            return
        node = tree.add_started(span, None if above is None else parent)
        if node is None:
            return  # another processor of ours was faster
        if above is None:
            note_root(node)
        else:
            note_started(node.root)
        mode = self._mode.now()
        if mode == "none":
            return
        attributes = plain(span.attributes)
        is_genai = is_genai_scope(scope_name) or has_genai_name(attributes)
        position = node.parent or tree.node_of(parent)
        if is_genai or mode == "all":
            is_around = is_around_a_turn(attributes)
            uses = is_genai and not is_around and not is_look_up(attributes)
            seen = seen_from(position, context, uses=uses)
            if seen.published and is_around:
                at_end = partial(predictions_at_end, node.root, seen)
                _watch(node, span, seen, is_genai=is_genai, is_due=True, at_end=at_end)
                return
            is_stamped = _stamp(span, attributes, seen)
            if is_genai:
                is_open = bool(seen.newly_used) and not says_its_kind(attributes)
            else:
                is_open = bool(seen.published)
            if is_open or not is_stamped:
                _watch(node, span, seen, is_genai=is_genai, is_due=not is_stamped)
        elif (
            may_follow(position, context) and span.kind in _KINDS and not is_never_genai(scope_name)
        ):
            _watch(node, span, seen_from(position, context), is_due=None)

    def _ending(self, span: Span) -> None:
        node = tree.node_of(span)
        undecided = None if node is None else unwatch(node)
        if node is None or undecided is None or not self._mode.is_enabled:
            return
        is_genai = undecided.is_genai()
        if is_genai:
            with tree.lock:
                if undecided.settle():
                    note_followed(node.root, undecided)
        if is_genai if undecided.stamps is None else undecided.stamps:
            predictions = undecided.predictions()
            if predictions and stamp(span, plain(span.attributes), predictions):
                recent_spans.stamped.note(span.get_span_context(), predictions)


def _watch(
    node: Node,
    span: Span,
    seen: Seen,
    *,
    is_genai: bool = False,
    is_due: bool | None,
    at_end: Callable[[], tuple[UpstreamPrediction, ...]] | None = None,
) -> None:
    if seen.published or seen.given or seen.remote:
        predictions = at_end or seen.predictions
        undecided = Undecided(span, seen.published, predictions, is_genai=is_genai)
        undecided.used = seen.newly_used
        undecided.stamps = is_due
        watch(node, undecided)


def _ended(span: ReadableSpan) -> None:
    context = span.get_span_context()
    root = None if context is None else tree.root_with(context)
    if root is not None:
        note_ended(root)


def _stamp(span: Span, attributes: Mapping[str, AttributeValue], seen: Seen) -> bool:
    """Stamp a span that starts; False if that is left to its end."""
    predictions = seen.predictions()
    limit = limit_of_span(span)
    is_tight = limit is not None and limit < SDK_DEFAULT_LIMIT
    if predictions and (is_tight or stamp(span, attributes, predictions)):
        recent_spans.stamped.note(span.get_span_context(), predictions)
    for publication in seen.published:
        if publication.is_pending:
            with tree.lock:
                if publication.is_pending:
                    publication.waiting.append(weakref.ref(span))
    # What the program sets later would push its own oldest attributes out where there is no room.
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
        guarded("log record", self._emitted, log_record)

    def set_enabled(self, is_enabled: bool) -> None:  # noqa: FBT001 - the only argument, and named
        """Stop, or go on; a processor cannot be taken out of its provider."""
        self._mode.is_enabled = is_enabled

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's name
        """Nothing is held."""
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
