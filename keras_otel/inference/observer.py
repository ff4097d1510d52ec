"""The only glue: identify -> note -> decode -> emit -> publish.

A call that returned is noted, and recorded a little later by the worker or by whoever needs its
prediction before; see `Options.record`. Both go the same way.
"""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import (  # what OpenTelemetry's own instrumentations read
    _SUPPRESS_INSTRUMENTATION_KEY as _SUPPRESSED,
)

from keras_otel import semconv
from keras_otel._worker import worker
from keras_otel.inference.call import Call, RowOfCall
from keras_otel.inference.observed_call import ObservedCall, observe
from keras_otel.inference.outputs import NotedOutput, OutputReader, undecoded
from keras_otel.inference.own_outputs import leaves_of
from keras_otel.inference.pending import PendingInference
from keras_otel.inference.recipients import Outputs, Recipients, recipients_of
from keras_otel.inference.seen import inferences, traced_calls
from keras_otel.inference.shared_rows import Column, SharedRows
from keras_otel.inference.span import emit
from keras_otel.inference.tracer import tracer_of
from keras_otel.introspection import structures
from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.arrays import Place
from keras_otel.introspection.call_facts import CallFacts
from keras_otel.introspection.structures import Leaf
from keras_otel.metrics import count_dropped, instruments_of
from keras_otel.options import Options
from keras_otel.propagation.attachment import Attachment, detach
from keras_otel.propagation.batch import current_batch
from keras_otel.propagation.publishing import is_in_request
from keras_otel.records import Inference

_log = logging.getLogger("keras_otel")

ACCELERATOR_CAPACITY: Final = 256
"""Inferences whose accelerator output may be waited for at one time: each holds device memory."""


class Observer:
    """Turns finished calls into spans and metrics, with one set of options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._tracer = tracer_of(options)
        self._instruments = instruments_of(options.meter_provider) if options.metrics else None
        self._outputs = OutputReader(options)
        self._attachment = Attachment(options)
        self._attachment.refresh()
        self._has_seen_inference = False
        self._has_provider = False
        self._is_inline = options.record == "inline"

    # -- before the call -----------------------------------------------------------------------

    def begin(
        self,
        adapter: Adapter,
        operation: str,
        model: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Call | None:
        """Return a call to time, or None if it cannot be an inference."""
        context = otel_context.get_current()
        if context and (context.get(_SUPPRESSED) or context.get("suppress_instrumentation")):
            return None
        if not adapter.is_inference(operation, model, args, kwargs):
            return None
        return Call(adapter, operation, model, args, kwargs, context)

    # -- when it has returned ------------------------------------------------------------------

    def finished(self, call: Call, result: Any) -> None:
        """Note a call that returned, unless its result is symbolic."""
        leaves = leaves_of(call, result)
        is_on_device = False
        for _, _, place in leaves:
            if place is Place.SYMBOLIC:
                _note_traced(call, leaves)
                return
            is_on_device = is_on_device or place is Place.DEVICE
        if not self._is_wanted(call):
            return
        observed = observe(call, self.options)
        shared = current_batch()
        # Of a shared call the rows are read one by one, and copying them all takes longer.
        is_later = not self._is_inline and shared is None
        outputs = [
            self._outputs.note(call, observed.known, leaf, is_later=is_later) for leaf in leaves
        ]
        recipients: Recipients
        if shared is None:
            recipients = recipients_of(
                call.context, observed.facts.identity, [output.name for output in outputs]
            )
        else:
            recipients = SharedRows(
                shared, call, observed.facts.identity, outputs, partial(self._emit_row, observed)
            )
        record = partial(self._record, observed, outputs, recipients)
        if not is_on_device and not is_later:
            record()
            return
        call.args, call.kwargs = (), {}  # the queue must not keep the inputs alive
        if self.options.on_prediction is not None:
            call.variables = contextvars.copy_context()
        pending = PendingInference(record)
        if is_on_device:
            recipients.await_later(None)
            if not worker.submit(pending, ACCELERATOR_CAPACITY):
                count_dropped(semconv.SITE_ACCELERATOR_QUEUE)
                recipients.give_up()
        elif not pending.promise_to(recipients) or not worker.submit(pending):
            # Needed now, or nobody is free to do it later.
            pending()

    def failed(self, call: Call, error: BaseException) -> None:
        """Record a call that raised, unless it was symbolic."""
        if structures.holds_symbolic(call.args, call.kwargs) or call.adapter.is_building():
            return
        if not self._is_wanted(call):
            return
        observed = observe(call, self.options)
        outputs = undecoded(call, observed.known)
        span = self._emit(observed, lambda: outputs, error)
        names = [decoded.output for decoded in outputs]
        shared = current_batch()
        if shared is not None:
            noted = [NotedOutput(name, call, observed.known, None) for name in names]
            SharedRows(
                shared, call, observed.facts.identity, noted, partial(self._emit_row, observed)
            ).give_up()
            return
        nothing = tuple([decoded._replace(rows=0) for decoded in outputs])
        recipients_of(call.context, observed.facts.identity, names).settle(lambda: nothing, span)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all inferences seen so far have their spans."""
        return worker.flush(timeout_s)

    def close(self) -> None:
        """Record what is pending, and leave later spans alone: nothing more is coming."""
        self.flush(1.0)
        detach()

    def _is_wanted(self, call: Call) -> bool:
        """Return False where there is neither an SDK nor a request: nobody would ever know."""
        if not self._has_seen_inference or not self._attachment.is_current():
            self._attach()
        if self._has_provider or is_in_request(call.context):
            return True
        if self._instruments is not None and self._instruments.are_read():
            return True
        inferences.add("not sampled")
        return False

    # -- recording -----------------------------------------------------------------------------

    def _record(
        self, observed: ObservedCall, outputs: Sequence[NotedOutput], recipients: Recipients
    ) -> None:
        """Make the span, record the metrics, and let the recipients know."""
        is_settled = False
        decoded: list[Outputs] = []

        def read() -> Outputs:
            # When somebody looks: a span that no sampler wants costs no decoding.
            if not decoded:
                decoded.append(tuple([self._outputs.decode(output) for output in outputs]))
            return decoded[0]

        try:
            if not self._attachment.are_logs_current():
                self._attach()
            _wait(observed.call, outputs)
            span = self._emit(observed, read, None)
            recipients.settle(read, span)
            is_settled = True
        finally:
            if not is_settled:
                recipients.give_up()

    def _emit(
        self,
        observed: ObservedCall,
        read: Callable[[], Outputs],
        error: BaseException | None,
    ) -> trace.Span:
        call, _, facts = observed
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

    def _emit_row(
        self, observed: ObservedCall, columns: Sequence[Column], timed: RowOfCall
    ) -> tuple[Outputs, trace.Span]:
        """Make the span of one row of a call that several requests share."""
        outputs = tuple([self._outputs.decode_row(*column) for column in columns])
        inference = _inference(observed.call, observed.facts, outputs)
        span = emit(self._tracer, lambda: inference, observed.facts, timed, self.options, None)
        return outputs, span

    # -- providers -----------------------------------------------------------------------------

    def _attach(self) -> None:
        """Providers may be set or replaced at any time; an inference uses what it finds."""
        self._has_provider = self._attachment.refresh()
        self._tracer = tracer_of(self.options)
        record = self.options.record
        self._is_inline = record == "inline" or (
            record == "auto" and self._attachment.exports_at_once()
        )
        if not self._has_seen_inference and not self._has_provider:
            _log.warning(
                "keras_otel: no OpenTelemetry SDK is set up, spans go nowhere: "
                "call keras_otel.instrument(export='http://localhost:4318') "
                "or set a TracerProvider before the first inference"
            )
        self._has_seen_inference = True


def _note_traced(call: Call, leaves: list[Leaf]) -> None:
    # Building a model from Keras's own placeholders compiles nothing.
    if not any(type(leaf).__name__ == "KerasTensor" for _, leaf, _ in leaves):
        traced_calls.note(call.subject, call.kwargs)


def _wait(call: Call, outputs: Sequence[NotedOutput]) -> None:
    """Wait for an accelerator's numbers; the call lasts until they are there."""
    for output in outputs:
        if output.pending is not None:
            output.wait()
            call.duration_s = max(call.duration_s, (time.time_ns() - call.start_ns) / 1e9)


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
