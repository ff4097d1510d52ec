"""What another service predicted for this request, kept in the OpenTelemetry context."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context, create_key, get_value, set_value

from keras_otel.records import UpstreamPrediction

_KEY: Final = create_key("keras_otel-remote-predictions")


def remote_predictions(context: Context | None = None) -> tuple[UpstreamPrediction, ...]:
    """The predictions that came with the request of `context`, newest first.

    Without a context, those of the current one.
    """
    found = get_value(_KEY, context)
    return found if isinstance(found, tuple) else ()


def with_remote_predictions(
    context: Context, predictions: tuple[UpstreamPrediction, ...]
) -> Context:
    """A copy of `context` whose request came with these predictions."""
    return set_value(_KEY, predictions, context)
