"""Predictions that the program itself hands on: `prediction_context`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from keras_otel._unicode import name_of
from keras_otel.records import UpstreamPrediction


class _Block:
    """An open block.

    A generator may be closed in another context, where the variable cannot be reset: so the block
    itself says when it is over.
    """

    __slots__ = ("is_open", "outer", "predictions")

    def __init__(self, predictions: tuple[UpstreamPrediction, ...], outer: _Block | None) -> None:
        self.predictions = predictions
        self.outer = outer
        self.is_open = True


_current: Final[ContextVar[_Block | None]] = ContextVar("keras_otel_given", default=None)


@contextmanager
def prediction_context(*predictions: UpstreamPrediction) -> Iterator[None]:
    """Let the spans of this block follow these predictions, whatever else was predicted.

    For work that is fanned out or comes from a queue, where the request's spans do not tell which
    item a later span belongs to. Other models' predictions are seen as without the block.

    Args:
        predictions: As `keras_otel.current_predictions()` returns them, or your own. Given none,
            the block changes nothing.

    Raises:
        TypeError: Something else was given.
    """
    for prediction in predictions:
        if not isinstance(prediction, UpstreamPrediction):
            raise TypeError(
                "prediction_context() takes predictions as keras_otel.current_predictions() "
                f"returns them, got {type(prediction).__name__}"
            )
    block = _Block(tuple(map(_fit_to_send, predictions)), _innermost())
    _current.set(block)
    try:
        yield
    finally:
        block.is_open = False
        _current.set(_innermost())


def _fit_to_send(prediction: UpstreamPrediction) -> UpstreamPrediction:
    """Return the prediction itself, or with names that can be sent where the program's own cannot."""
    version, name, labels = prediction.version, prediction.class_name, prediction.labels
    fit = replace(
        prediction,
        model=name_of(prediction.model),
        version=None if version is None else name_of(version),
        class_name=None if name is None else name_of(name),
        labels=None if labels is None else tuple(map(name_of, labels)),
    )
    return prediction if fit == prediction else fit


def given_predictions() -> tuple[UpstreamPrediction, ...]:
    """Return the predictions of the open blocks around this code, innermost first."""
    block = _current.get()
    if block is None:
        return ()
    predictions: tuple[UpstreamPrediction, ...] = ()
    while block is not None:
        if block.is_open:
            predictions += block.predictions
        block = block.outer
    return predictions


def _innermost() -> _Block | None:
    block = _current.get()
    while block is not None and not block.is_open:
        block = block.outer
    return block
