"""What another service predicted for this request, kept in the OpenTelemetry context."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context, create_key, get_value, set_value

from keras_otel.records import UpstreamPrediction

_KEY: Final = create_key("keras_otel-remote-predictions")


class _Usage:
    """Whether this process has ever got predictions from another service.

    Where it has not, a span that starts need not look into its context.
    """

    is_any = False


usage: Final = _Usage()


def remote_predictions(context: Context | None = None) -> tuple[UpstreamPrediction, ...]:
    """Return the predictions that came with the request of `context`, newest first.

    Without a context, those of the current one.
    """
    if not usage.is_any:
        return ()
    predictions = get_value(_KEY, context)
    return predictions if isinstance(predictions, tuple) else ()


def with_remote_predictions(
    context: Context, predictions: tuple[UpstreamPrediction, ...]
) -> Context:
    """Return a copy of `context` whose request came with these predictions."""
    usage.is_any = True
    return set_value(_KEY, predictions, context)
