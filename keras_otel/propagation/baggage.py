"""Predictions across services: the `keras` entry of `OTEL_PROPAGATORS`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.baggage import get_all
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import get_current_span

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.errors import OptionError
from keras_otel.options import accepted_models
from keras_otel.propagation.baggage_members import merge, predictions_in
from keras_otel.propagation.carriers import change_header
from keras_otel.propagation.remote_predictions import with_remote_predictions
from keras_otel.propagation.resolution import predictions_for

_HEADER: Final = "baggage"


class KerasPropagator(TextMapPropagator):
    """Sends the request's predictions in the W3C `baggage` header, and reads them.

    * Only `keras.upstream.<model>.class`, `.confidence`, `.version` and `.value` travel.
    * They are added as a request leaves; the context's own baggage is never changed.
    * It comes last in `OTEL_PROPAGATORS`: it adds to the header that `baggage` has written.
    * A carrier that cannot be read, or holds the header twice, is left as it is.
    * Predictions are only taken from a request that carries its trace, and only of the models that
      are accepted. Who sent them cannot be known: whoever may call this service may write them.

    Args:
        accept: Names of the models whose predictions are taken; empty for none. Where it is None,
            the variable `OTEL_PYTHON_KERAS_ACCEPT_MODELS` names them, else all are taken.

    Raises:
        OptionError: `accept` is one text and not several names.
    """

    def __init__(self, accept: Iterable[str] | None = None) -> None:
        if isinstance(accept, str):
            raise OptionError(
                f"KerasPropagator(accept=...) takes several names, got the text {accept!r}: "
                f"write accept=[{accept!r}]"
            )
        accepted = accepted_models() if accept is None else accept
        self._accepted = None if accepted is None else frozenset(map(semconv.key_segment, accepted))

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Add the predictions that `context` follows to the carrier's baggage header."""
        guarded(semconv.SITE_SENDING_PREDICTIONS, _inject, carrier, context, setter)

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Return the context with the predictions in the carrier's baggage header; never raises."""
        if context is None:
            context = Context()
        if self._accepted is not None and not self._accepted:
            return context
        extended = guarded(
            semconv.SITE_READING_SENT_PREDICTIONS,
            _extract,
            carrier,
            context,
            getter,
            self._accepted,
        )
        return extended or context

    @property
    def fields(self) -> set[str]:
        """The header that `inject` writes."""
        return {_HEADER}


def _inject(carrier: Any, context: Context | None, setter: Setter[Any]) -> None:
    if context is None:
        context = get_current()
    predictions = predictions_for(context)

    def change(header: str) -> str:
        # A setter of somebody's may have written the user's entries under another name.
        is_hidden = not header and setter is not default_setter and get_all(context)
        return "" if is_hidden else merge(header, predictions)

    change_header(carrier, _HEADER, change, setter)


def _extract(
    carrier: Any, context: Context, getter: Getter[Any], accepted: frozenset[str] | None
) -> Context:
    parent = get_current_span(context).get_span_context()
    if not (parent.is_valid and parent.is_remote):
        return context
    headers = getter.get(carrier, _HEADER) or ()
    predictions = predictions_in(",".join(header for header in headers if isinstance(header, str)))
    if accepted is not None:
        predictions = tuple(p for p in predictions if p.model in accepted)
    return with_remote_predictions(context, predictions) if predictions else context
