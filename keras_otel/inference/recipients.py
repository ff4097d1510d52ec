"""Who is to know what was predicted: a request, the requests with rows in a shared call, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.propagation.publishing import (
    DeferredPrediction,
    PendingPrediction,
    defer,
    is_in_request,
    publish,
    publish_pending,
)
from keras_otel.records import Decoded, ModelIdentity

Outputs = tuple[Decoded, ...]


class Recipients(Protocol):
    """Those who get to know once what was predicted."""

    def await_later(self, resolve_now: Callable[[], object] | None) -> bool:
        """Publish that something was predicted, and that it is not known yet.

        Args:
            resolve_now: Settles it now, by calling `settle`; None where only waiting helps.

        Returns:
            False if it has to be settled now.
        """
        ...

    def settle(self, outputs: Callable[[], Outputs], span: Span) -> None:
        """Publish what was predicted.

        Args:
            outputs: Reads the outputs; not called where nobody is to know.
            span: The span of the inference.
        """
        ...

    def give_up(self) -> None:
        """Publish that nothing is known, where something was promised."""
        ...


class Nobody:
    """No request: there is no span to publish to."""

    def await_later(self, resolve_now: Callable[[], object] | None) -> bool:  # noqa: ARG002 - the protocol's
        """Do nothing."""
        return True

    def settle(self, outputs: Callable[[], Outputs], span: Span) -> None:
        """Do nothing."""

    def give_up(self) -> None:
        """Do nothing."""


class Request:
    """The request of the context that the call was made in.

    Args:
        context: The context.
        identity: The model.
        names: Names of its outputs, None for the only one.
    """

    __slots__ = ("_context", "_identity", "_names", "_pending")

    def __init__(
        self, context: Context, identity: ModelIdentity, names: Sequence[str | None]
    ) -> None:
        self._context = context
        self._identity = identity
        self._names = names
        self._pending: DeferredPrediction | PendingPrediction | None = None

    def await_later(self, resolve_now: Callable[[], object] | None) -> bool:
        """Publish a prediction later, or a pending one now, unless it has to be known now."""
        if resolve_now is not None:
            self._pending = guarded(
                semconv.SITE_PUBLISH, defer, self._context, self._identity, self._names, resolve_now
            )
            if self._pending is not None:
                return True
        self._pending = guarded(
            semconv.SITE_PUBLISH,
            publish_pending,
            self._context,
            self._identity,
            self._names,
            resolve_now=resolve_now,
        )
        return self._pending is not None or resolve_now is None

    def settle(self, outputs: Callable[[], Outputs], span: Span) -> None:
        """Publish the prediction, or fill in the pending one."""
        pending = self._pending
        if pending is None:
            guarded(semconv.SITE_PUBLISH, publish, self._context, self._identity, outputs(), span)
        else:
            guarded(semconv.SITE_PUBLISH, pending.resolve, outputs(), span)

    def give_up(self) -> None:
        """Say of the pending prediction that it is none."""
        if self._pending is not None:
            guarded(semconv.SITE_PUBLISH, self._pending.resolve, (), INVALID_SPAN)


_NOBODY: Final = Nobody()


def recipients_of(
    context: Context, identity: ModelIdentity, names: Sequence[str | None]
) -> Recipients:
    """Return the request of this context, or nobody where it is in none."""
    return Request(context, identity, names) if is_in_request(context) else _NOBODY
