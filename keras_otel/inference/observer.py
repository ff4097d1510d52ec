"""The only glue: identify -> decode -> emit -> publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import (  # what OpenTelemetry's own instrumentations read
    _SUPPRESS_INSTRUMENTATION_KEY as _SUPPRESSED,
)

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.identity.identity import ledger, without_fingerprint
from keras_otel.inference.call import Call, RowOfCall
from keras_otel.inference.outputs import OutputReader, as_numpy, undecoded
from keras_otel.inference.own_outputs import leaves_of
from keras_otel.inference.seen import inferences, traced_calls
from keras_otel.inference.span import emit
from keras_otel.inference.worker import Worker
from keras_otel.introspection import arrays, structures
from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.arrays import Array, Place
from keras_otel.introspection.call_facts import CallFacts, call_facts
from keras_otel.introspection.registry import KnownModel, models
from keras_otel.introspection.scope import Scope, current
from keras_otel.introspection.structures import Leaf
from keras_otel.metrics import count_dropped, instruments_of
from keras_otel.options import Options
from keras_otel.propagation.attachment import Attachment, detach
from keras_otel.propagation.batch import current_batch
from keras_otel.propagation.publishing import (
    PendingPrediction,
    is_in_request,
    publish,
    publish_pending,
)
from keras_otel.propagation.shared_call import Row, Rows
from keras_otel.records import Decoded, Inference, ModelIdentity
from keras_otel.version import __version__

_log = logging.getLogger("keras_otel")

PENDING_CAPACITY = 256
"""Inferences whose accelerator output may be waited for at one time."""

Outputs = tuple[Decoded, ...]


class Observer:
    """Turns finished calls into spans and metrics, with one set of options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._tracer = _tracer_of(options)
        self._instruments = instruments_of(options.meter_provider) if options.metrics else None
        self._outputs = OutputReader(options)
        self._worker = Worker(PENDING_CAPACITY)
        self._attachment = Attachment(options)
        self._attachment.refresh()
        self._has_seen_inference = False

    # -- before the call -----------------------------------------------------------------------

    def begin(
        self,
        adapter: Adapter,
        operation: str,
        model: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Call | None:
        """A call to time, or None if it cannot be an inference."""
        context = otel_context.get_current()
        if context.get(_SUPPRESSED) or context.get("suppress_instrumentation"):
            return None
        if not adapter.is_inference(operation, model, args, kwargs):
            return None
        return Call(adapter, operation, model, args, kwargs, context)

    # -- after the call ------------------------------------------------------------------------

    def finished(self, call: Call, result: Any) -> None:
        """Record a call that returned, unless its result is symbolic."""
        leaves = leaves_of(call, result)
        must_wait = False
        for _, _, place in leaves:
            if place is Place.SYMBOLIC:
                self._note_traced(call, leaves)
                return
            must_wait = must_wait or place is Place.DEVICE
        if must_wait:
            self._finish_later(call, leaves)
            return
        known, facts = self._facts(call)
        # Read when somebody looks: a span that no sampler wants costs no decoding.
        made: list[Outputs] = []

        def read() -> Outputs:
            if not made:
                made.append(tuple([self._outputs.read(call, known, *leaf) for leaf in leaves]))
            return made[0]

        span = self._emit(call, known, facts, read)
        shared = current_batch()
        if shared is not None:
            with Rows(shared, facts.identity, [name for name, _, _ in leaves]) as rows:
                self._emit_rows(call, known, facts, span, (rows, leaves))
        elif is_in_request(call.context):
            guarded("publish", publish, call.context, facts.identity, read(), span)

    def _note_traced(self, call: Call, leaves: list[Leaf]) -> None:
        # Building a model from Keras's own placeholders compiles nothing.
        if not any(type(leaf).__name__ == "KerasTensor" for _, leaf, _ in leaves):
            traced_calls.note(call.subject, call.kwargs)

    def failed(self, call: Call, error: BaseException) -> None:
        """Record a call that raised, unless it was symbolic."""
        if structures.holds_symbolic(call.args, call.kwargs) or call.adapter.is_building():
            return
        known, facts = self._facts(call)
        outputs = undecoded(call, known)
        span = self._emit(call, known, facts, lambda: outputs, error)
        shared = current_batch()
        if shared is not None:
            Rows(shared, facts.identity, [decoded.output for decoded in outputs]).close()
        elif is_in_request(call.context):
            nothing = [decoded._replace(rows=0) for decoded in outputs]
            guarded("publish", publish, call.context, facts.identity, nothing, span)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all inferences seen so far have their spans."""
        return self._worker.flush(timeout_s)

    def close(self) -> None:
        """Nothing more is coming: finish what is waited for, and leave later spans alone."""
        self.flush(1.0)
        detach()

    def _facts(self, call: Call) -> tuple[KnownModel, CallFacts]:
        if not self._has_seen_inference or not self._attachment.is_current():
            self._attach()
        known = models.of(call.subject)
        guarded("watch the weights", known.look, call.subject, call.adapter, call.written)
        facts = known.call_facts.get(call.operation)
        if facts is None or known.identity_generation != ledger.generation:
            facts = self._new_facts(call, known)
        if known.fingerprint.changed_since(call.noted):
            # Which weights the call had is not known: no fingerprint rather than a wrong one.
            facts = self._facts_of(call, without_fingerprint(facts.identity))
        guarded("look for namesakes", known.take_turn, facts.identity, call.start_ns)
        return known, facts

    def _new_facts(self, call: Call, known: KnownModel) -> CallFacts:
        facts = self._facts_of(call, known.identify(call.subject, call.adapter, self.options))
        if known.identity is not None:
            known.call_facts[call.operation] = facts
        return facts

    def _facts_of(self, call: Call, identity: ModelIdentity) -> CallFacts:
        adapter = call.adapter
        return call_facts(
            operation=call.operation,
            identity=identity,
            model_class=type(call.subject).__name__,
            precision=guarded("precision", adapter.precision, call.subject),
            runtime=(adapter.name, adapter.backend, adapter.version),
        )

    def _emit(
        self,
        call: Call,
        known: KnownModel,
        facts: CallFacts,
        read: Callable[[], Outputs],
        error: BaseException | None = None,
    ) -> trace.Span:
        is_first = call.operation not in known.seen_operations
        if is_first:
            known.seen_operations.add(call.operation)
        if call.is_cold is None:
            call.is_cold = is_first
        made: Inference | None = None

        def inference() -> Inference:
            nonlocal made
            if made is None:
                made = _inference(call, facts, read(), error)
            return made

        span = emit(self._tracer, inference, facts, call, self.options, error)
        inferences.add("recorded" if span.get_span_context().trace_flags.sampled else "not sampled")
        if self._instruments is not None and self._instruments.are_read():
            self._instruments.record(inference(), facts, span)
        return span

    # -- calls that several requests share -----------------------------------------------------

    def _emit_rows(
        self,
        call: Call,
        known: KnownModel,
        facts: CallFacts,
        span: trace.Span,
        of: tuple[Rows, Sequence[Leaf]],
    ) -> None:
        """Give each request the row that is its own, as a span that links to the shared call's."""
        rows, leaves = of
        columns = _columns(leaves)
        counts = {len(array) if array.ndim else 0 for _, array in columns}
        if not rows.are_of(counts):
            return
        links = (
            trace.Link(span.get_span_context(), {semconv.LINK_TYPE: semconv.LINK_SHARED_CALL}),
        )
        for row in rows:
            timed = RowOfCall(row.context, call.start_ns, call.duration_s, links)
            own = [(name, array[row.index : row.index + 1]) for name, array in columns]
            guarded("row", self._emit_row, call, known, facts, timed, (row, own))

    def _emit_row(
        self,
        call: Call,
        known: KnownModel,
        facts: CallFacts,
        timed: RowOfCall,
        of: tuple[Row, Sequence[tuple[str | None, Array]]],
    ) -> None:
        row, columns = of
        outputs = tuple([self._outputs.read_array(call, known, *column) for column in columns])
        inference = _inference(call, facts, outputs)
        span = emit(self._tracer, lambda: inference, facts, timed, self.options, None)
        row.tell(outputs, span)

    # -- accelerators --------------------------------------------------------------------------

    def _finish_later(self, call: Call, leaves: list[Leaf]) -> None:
        """Hand device arrays to the worker: reading them here would make the caller wait."""
        known, facts = self._facts(call)
        handles = [
            (name, arrays.pending(leaf) if place is Place.DEVICE else leaf, place)
            for name, leaf, place in leaves
        ]
        call.args, call.kwargs = (), {}  # the queue must not keep the inputs alive
        outputs = [name for name, _, _ in leaves]
        rows: Rows | None = None
        announced: PendingPrediction | None = None
        shared = current_batch()
        if shared is not None:
            rows = Rows(shared, facts.identity, outputs, is_pending=True)
        elif is_in_request(call.context):
            announced = guarded("publish", publish_pending, call.context, facts.identity, outputs)

        def finish() -> None:
            # The call itself has returned: a scope of our own keeps a hook from being observed.
            token = current.set(Scope())
            outputs: Outputs = ()
            span: trace.Span = trace.INVALID_SPAN
            try:
                ready = [self._wait(call, *handle) for handle in handles]
                outputs = tuple([self._outputs.read(call, known, *leaf) for leaf in ready])
                span = self._emit(call, known, facts, lambda: outputs)
                if rows is not None:
                    self._emit_rows(call, known, facts, span, (rows, ready))
            finally:
                settle(outputs, span)
                current.reset(token)

        def settle(outputs: Outputs, span: trace.Span) -> None:
            if rows is not None:
                rows.close()
            if announced is not None:
                announced.resolve(outputs, span)

        if not self._worker.submit(finish):
            count_dropped("accelerator queue")
            settle((), trace.INVALID_SPAN)

    def _wait(self, call: Call, output: str | None, handle: Any, place: Place) -> Leaf:
        if place is not Place.DEVICE:
            return Leaf(output, handle, place)
        array = handle.wait()
        call.duration_s = max(call.duration_s, (time.time_ns() - call.start_ns) / 1e9)
        return Leaf(output, array, Place.HOST)

    # -- providers -----------------------------------------------------------------------------

    def _attach(self) -> None:
        """Providers may be set or replaced at any time; an inference uses what it finds."""
        is_set_up = self._attachment.refresh()
        self._tracer = _tracer_of(self.options)
        if not self._has_seen_inference and not is_set_up:
            _log.warning(
                "keras_otel: no OpenTelemetry SDK is set up, spans go nowhere: "
                "call keras_otel.instrument(export='http://localhost:4318') "
                "or set a TracerProvider before the first inference"
            )
        self._has_seen_inference = True


def _tracer_of(options: Options) -> trace.Tracer:
    return trace.get_tracer(
        semconv.SCOPE_NAME, __version__, tracer_provider=options.tracer_provider
    )


def _inference(
    call: Call, facts: CallFacts, outputs: Outputs, error: BaseException | None = None
) -> Inference:
    return Inference(
        operation=call.operation,
        identity=facts.identity,
        model_class=type(call.subject).__name__,
        runtime=call.adapter.name,
        backend=call.adapter.backend,
        start_ns=call.start_ns,
        duration_s=call.duration_s,
        rows=outputs[0].rows if outputs else None,
        cold=bool(call.is_cold),
        outputs=outputs,
        error=error,
    )


def _columns(leaves: Sequence[Leaf]) -> list[tuple[str | None, Array]]:
    """The outputs that have rows of numbers, by name."""
    numbers = [(name, as_numpy(leaf)) for name, leaf, place in leaves if place is not Place.OTHER]
    return [(name, array) for name, array in numbers if array is not None]
