"""The only glue: identify -> decode -> emit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import (  # what OpenTelemetry's own instrumentations read
    _SUPPRESS_INSTRUMENTATION_KEY as _SUPPRESSED,
)

from keras_otel import semconv as names
from keras_otel._call import Call
from keras_otel._guard import guarded
from keras_otel._models import KnownModel, models
from keras_otel._scope import Scope, current
from keras_otel._worker import Worker
from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Head
from keras_otel.emission import CallFacts, call_facts, emit
from keras_otel.identity import ledger
from keras_otel.metrics import count_dropped, instruments_of
from keras_otel.options import Options
from keras_otel.records import Decoded, Inference
from keras_otel.runtimes import arrays
from keras_otel.runtimes.adapter import Adapter
from keras_otel.runtimes.arrays import Leaf, Place
from keras_otel.runtimes.heads import head_of, task_of
from keras_otel.runtimes.inspection import output_columns
from keras_otel.version import __version__

_log = logging.getLogger("keras_otel")

PENDING_CAPACITY = 256
"""Inferences whose accelerator output may be waited for at one time."""


def _are_arrays(leaves: list[Leaf]) -> bool:
    return any(place is not Place.OTHER for _, _, place in leaves)


class Observer:
    """Turns finished calls into spans and metrics, with one set of options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._tracer = trace.get_tracer(
            names.SCOPE_NAME, __version__, tracer_provider=options.tracer_provider
        )
        self._instruments = instruments_of(options.meter_provider) if options.metrics else None
        self._worker = Worker(PENDING_CAPACITY)
        self._has_looked_for_provider = options.tracer_provider is not None

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
        leaves = self._leaves(call, result)
        must_wait = False
        for _, _, place in leaves:
            if place is Place.SYMBOLIC:
                return
            must_wait = must_wait or place is Place.DEVICE
        if must_wait:
            self._finish_later(call, leaves)
            return
        known, facts = self._facts(call)

        def read() -> tuple[Decoded, ...]:
            return tuple([self._decode(call, known, *leaf) for leaf in leaves])

        self._emit(call, known, facts, read)

    def failed(self, call: Call, error: BaseException) -> None:
        """Record a call that raised, unless it was symbolic."""
        if arrays.holds_symbolic(call.args, call.kwargs) or call.adapter.is_building():
            return
        known, facts = self._facts(call)
        self._emit(call, known, facts, lambda: self._undecoded(call, known), error)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all inferences seen so far have their spans."""
        return self._worker.flush(timeout_s)

    def _leaves(self, call: Call, result: Any) -> list[Leaf]:
        """The outputs.

        Those of the one model call inside an overridden `predict` that returns no arrays itself,
        but for instance label texts.
        """
        leaves = arrays.named_leaves(result, call.subject)
        inner = call.inner
        if inner is not None and len(inner) == 1 and not _are_arrays(leaves):
            return arrays.named_leaves(inner[0], call.subject)
        return leaves

    def _facts(self, call: Call) -> tuple[KnownModel, CallFacts]:
        if not self._has_looked_for_provider:
            self._look_for_provider()
        known = models.of(call.subject)
        facts = known.call_facts.get(call.operation)
        if facts is not None and known.identity_generation == ledger.generation:
            return known, facts
        adapter = call.adapter
        facts = call_facts(
            operation=call.operation,
            identity=known.identify(call.subject, adapter, self.options),
            model_class=type(call.subject).__name__,
            precision=guarded("precision", adapter.precision, call.subject),
            runtime=(adapter.name, adapter.backend, adapter.version),
        )
        if known.identity is not None:
            known.call_facts[call.operation] = facts
        return known, facts

    def _decode(
        self, call: Call, known: KnownModel, output: str | None, leaf: Any, place: Place
    ) -> Decoded:
        if place is Place.OTHER:
            reason = f"output of type {type(leaf).__name__} is no dense array"
        else:
            is_array = type(leaf) is np.ndarray
            array = leaf if is_array else guarded("read the output", arrays.to_numpy, leaf)
            if array is not None:
                return self._decode_array(call, known, output, array)
            reason = f"output of type {type(leaf).__name__} cannot be read"
        rows = arrays.row_count(leaf)
        if rows is None:
            rows = arrays.row_count((call.args, call.kwargs)) or 0
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason=reason)

    def _decode_array(
        self, call: Call, known: KnownModel, output: str | None, array: arrays.Array
    ) -> Decoded:
        columns = array.shape[-1] if array.ndim > 1 else None
        head: Head | None = known.heads.get((output, columns))
        if head is None:
            head = head_of(call.subject, known.described(), output, columns)
            known.heads[output, columns] = head
        decoded = guarded(
            "decode",
            decode,
            head,
            array,
            max_rows=self.options.max_rows,
            verify=call.model is not None or call.operation == "traced",
            count_classes=self._instruments is not None,
            output=output,
        )
        if decoded is not None:
            return decoded
        rows = arrays.row_count(array) or 0
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason="decoding failed")

    def _undecoded(self, call: Call, known: KnownModel) -> tuple[Decoded, ...]:
        """What a failed call would have said: its task and rows, and nothing else."""
        rows = arrays.row_count((call.args, call.kwargs)) or 0
        columns = guarded("inspect the model", output_columns, call.subject) or {None: None}
        heads = {
            name: head_of(call.subject, known.described(), name, n) for name, n in columns.items()
        }
        return tuple(
            Decoded(task=task_of(head), rows=rows, output=name) for name, head in heads.items()
        )

    def _emit(
        self,
        call: Call,
        known: KnownModel,
        facts: CallFacts,
        read: Callable[[], tuple[Decoded, ...]],
        error: BaseException | None = None,
    ) -> None:
        is_first = call.operation not in known.seen_operations
        if is_first:
            known.seen_operations.add(call.operation)
        made: Inference | None = None

        def inference() -> Inference:
            nonlocal made
            if made is None:
                outputs = read()
                made = Inference(
                    operation=call.operation,
                    identity=facts.identity,
                    model_class=type(call.subject).__name__,
                    runtime=call.adapter.name,
                    backend=call.adapter.backend,
                    start_ns=call.start_ns,
                    duration_s=call.duration_s,
                    rows=outputs[0].rows if outputs else None,
                    cold=is_first if call.is_cold is None else call.is_cold,
                    outputs=outputs,
                    error=error,
                )
            return made

        span = emit(self._tracer, inference, facts, call, self.options, error)
        if self._instruments is not None and self._instruments.are_read():
            self._instruments.record(inference(), facts, span)

    # -- accelerators --------------------------------------------------------------------------

    def _finish_later(self, call: Call, leaves: list[Leaf]) -> None:
        """Hand device arrays to the worker: reading them here would make the caller wait."""
        known, facts = self._facts(call)
        handles = [
            (name, arrays.pending(leaf) if place is Place.DEVICE else leaf, place)
            for name, leaf, place in leaves
        ]
        call.args, call.kwargs = (), {}  # the queue must not keep the inputs alive

        def finish() -> None:
            # The call itself has returned: a scope of our own keeps a hook from being observed.
            token = current.set(Scope())
            try:
                outputs = tuple([self._decode_pending(call, known, *h) for h in handles])
                self._emit(call, known, facts, lambda: outputs)
            finally:
                current.reset(token)

        if not self._worker.submit(finish):
            count_dropped("accelerator queue")

    def _decode_pending(
        self, call: Call, known: KnownModel, output: str | None, handle: Any, place: Place
    ) -> Decoded:
        if place is not Place.DEVICE:
            return self._decode(call, known, output, handle, place)
        array = handle.wait()
        call.duration_s = max(call.duration_s, (time.time_ns() - call.start_ns) / 1e9)
        return self._decode_array(call, known, output, array)

    # -- said once -----------------------------------------------------------------------------

    def _look_for_provider(self) -> None:
        self._has_looked_for_provider = True
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            _log.warning(
                "keras_otel: no OpenTelemetry SDK is set up, spans go nowhere: "
                "call keras_otel.instrument(export='http://localhost:4318') "
                "or set a TracerProvider before the first inference"
            )
