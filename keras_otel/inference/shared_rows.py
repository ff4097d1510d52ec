"""A call that several requests share: each gets a span for the row that is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry.trace import Link, Span

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.inference.call import Call, RowOfCall
from keras_otel.inference.outputs import NotedOutput
from keras_otel.inference.recipients import Outputs
from keras_otel.introspection.arrays import Array
from keras_otel.propagation.batch import Batch
from keras_otel.propagation.shared_call import RequestRow, RequestRows
from keras_otel.records import ModelIdentity

Column = tuple[NotedOutput, Array]
"""An output of the call, and its numbers."""

EmitRow = Callable[[Sequence[Column], RowOfCall], tuple[Outputs, Span]]
"""Makes the span of one row; each column holds that row alone."""


class SharedRows:
    """The requests that have a row in one call.

    Args:
        shared: The block around the call.
        call: The call.
        identity: The model.
        outputs: What the call returned, or would have returned.
        emit_row: Makes the span of a row.
    """

    def __init__(
        self,
        shared: Batch,
        call: Call,
        identity: ModelIdentity,
        outputs: Sequence[NotedOutput],
        emit_row: EmitRow,
    ) -> None:
        self._shared = shared
        self._call = call
        self._identity = identity
        self._outputs = outputs
        self._emit_row = emit_row
        self._rows: RequestRows | None = None

    def await_later(self, resolve_now: Callable[[], object] | None) -> bool:
        """Publish to each request that its prediction is pending."""
        del resolve_now  # nobody but the worker waits for an accelerator
        self._rows = self._rows_of_requests(is_pending=True)
        return True

    def settle(self, outputs: Callable[[], Outputs], span: Span) -> None:
        """Make a span of each request's row, and publish to it what was predicted there."""
        del outputs  # of all rows together
        with self._rows or self._rows_of_requests() as rows:
            columns = _columns(self._outputs)
            if rows.match({len(array) if array.ndim else 0 for _, array in columns}):
                link = Link(span.get_span_context(), {semconv.LINK_TYPE: semconv.LINK_SHARED_CALL})
                for row in rows:
                    guarded(semconv.SITE_ROW, self._settle_row, row, columns, link)

    def give_up(self) -> None:
        """Publish to each request that nothing is known."""
        (self._rows or self._rows_of_requests()).close()

    def _settle_row(self, row: RequestRow, columns: Sequence[Column], link: Link) -> None:
        call = self._call
        timed = RowOfCall(row.context, call.start_ns, call.duration_s, (link,), call.variables)
        own = [(output, array[row.index : row.index + 1]) for output, array in columns]
        row.publish(*self._emit_row(own, timed))

    def _rows_of_requests(self, *, is_pending: bool = False) -> RequestRows:
        names = [output.name for output in self._outputs]
        return RequestRows(self._shared, self._identity, names, is_pending=is_pending)


def _columns(outputs: Sequence[NotedOutput]) -> list[Column]:
    """Return the outputs that have rows of numbers."""
    arrays = [(output, output.array()) for output in outputs]
    return [(output, array) for output, array in arrays if array is not None]
