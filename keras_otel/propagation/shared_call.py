"""What is published to each request with a row in a shared call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.propagation.batch import Batch
from keras_otel.propagation.publishing import is_in_request, publish, publish_pending
from keras_otel.records import Decoded, ModelIdentity


class RequestRow:
    """One row of a shared call, and the request that it is for.

    Attributes:
        index: Of the row in the call's outputs.
        context: The request's.
    """

    __slots__ = ("_identity", "_is_published", "_outputs", "_pending", "context", "index")

    def __init__(
        self,
        index: int,
        context: Context,
        identity: ModelIdentity,
        outputs: Sequence[str | None],
        *,
        is_pending: bool,
    ) -> None:
        self.index = index
        self.context = context
        self._identity = identity
        self._outputs = outputs
        self._pending = None
        if is_pending:
            self._pending = guarded(
                semconv.SITE_PUBLISH, publish_pending, context, identity, outputs, is_callers=False
            )
        self._is_published = False

    def publish(self, outputs: Sequence[Decoded], span: Span) -> None:
        """Publish to the request what was predicted for it; only the first time counts."""
        if self._is_published:
            return
        self._is_published = True
        if self._pending is not None:
            self._pending.resolve(outputs, span)
        else:
            publish(self.context, self._identity, outputs, span, is_callers=False)

    def publish_nothing(self) -> None:
        """Publish that nothing is known: what was predicted for the request before is outdated."""
        nothing = [Decoded(task="opaque", rows=0, output=output) for output in self._outputs]
        self.publish(nothing, INVALID_SPAN)


class RequestRows:
    """The rows of one call that are for a request; padding and rows without a span are not.

    A context manager: at its end it is published to every request that has got no prediction that
    nothing is known.

    Args:
        shared: The block around the call.
        identity: The model.
        outputs: Names of its outputs, None for the only one.
        is_pending: Whether an accelerator still computes them.
    """

    __slots__ = ("_rows", "_shared")

    def __init__(
        self,
        shared: Batch,
        identity: ModelIdentity,
        outputs: Sequence[str | None],
        *,
        is_pending: bool = False,
    ) -> None:
        self._shared = shared
        self._rows = [
            RequestRow(index, context, identity, outputs, is_pending=is_pending)
            for index, context in enumerate(shared.contexts)
            if context is not None and is_in_request(context)
        ]

    def match(self, rows: set[int]) -> bool:
        """Return True if outputs of so many rows have one for each context, else log that once."""
        return self._shared.has_rows(rows)

    def __iter__(self) -> Iterator[RequestRow]:
        return iter(self._rows)

    def close(self) -> None:
        """Publish to each request that has got nothing yet that nothing is known."""
        for row in self._rows:
            guarded(semconv.SITE_PUBLISH, row.publish_nothing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
