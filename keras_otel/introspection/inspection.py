"""What a Keras model says of its own outputs: their shapes, the last activation, the compiled loss.

Keras 2 and 3 agree on the attributes read here, so one reading serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_otel.decoding.heads import (
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Scale,
    Undetermined,
)
from keras_otel.introspection import losses
from keras_otel.introspection.activations import activation_of, is_of_keras, reshuffling
from keras_otel.introspection.graph import (
    index_of,
    is_graph,
    mirrors_input,
    outputs_of,
    producer,
    squares,
    varies_in_columns,
    weighs_others,
)
from keras_otel.introspection.last_layers import ending_of, reshuffling_call
from keras_otel.introspection.losses import Loss, loss_of

Shape = tuple[int | None, ...]
"""Lengths of the axes after the first one, that of the rows; None where a length varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a call, as its result shows it.

    Attributes:
        name: Its name; None where there is only one.
        index: Its place in the result.
        count: Number of outputs of the result.
        shape: Its shape without the rows.
        is_own: True if the array came straight from the model's own last step.
    """

    name: str | None = None
    index: int = 0
    count: int = 1
    shape: Shape = ()
    is_own: bool = True

    @property
    def columns(self) -> int | None:
        """Length of the last axis; None where there are fewer than two axes."""
        return self.shape[-1] if self.shape else None


@dataclass(frozen=True, slots=True)
class _Ending:
    """What is known of the step that made an output."""

    activation: str | None = None
    reshuffles: str | None = None
    is_factor: bool = False


def inspect_head(model: Any, output: Output) -> Head:
    """The head of one output, as far as the model itself says.

    Args:
        model: A Keras model or layer.
        output: Which output.
    """
    ending = _ending(model, output)
    if ending.reshuffles is not None:
        return Opaque(reason=f"{ending.reshuffles} leaves no score for each class")
    if ending.is_factor:
        return Opaque(reason="weights of another output, as of a gate or attention")
    if ending.activation == "unit_normalization":
        return Embedding()
    loss = loss_of(model, output.name, _index(model, output), output.count)
    head = _by_activation(ending.activation, loss, output) or _by_loss(
        ending.activation, loss, output
    )
    if isinstance(head, Multilabel) and mirrors_input(model, output.shape):
        return Opaque(
            reason="as wide as the input, which it may rebuild; describe(task='multilabel') tells"
        )
    return head


def last_scale(model: Any, output: Output) -> Scale:
    """The scale of an output whose task the user has described."""
    activation = _ending(model, output).activation
    match activation:
        case "softmax" | "sigmoid":
            return Scale.PROBABILITY
        case "linear" | "log_softmax":
            return Scale.LOGIT
        case None:
            loss = loss_of(model, output.name, _index(model, output), output.count)
            return Scale.LOGIT if loss.takes_logits else Scale.UNKNOWN
        case _:
            return Scale.UNKNOWN


def own_shapes(model: Any) -> dict[str | None, Shape]:
    """The shape of each output that the model's graph states; empty without a graph."""
    return {name: tuple(tensor.shape)[1:] for name, tensor in outputs_of(model).items()}


def _ending(model: Any, output: Output) -> _Ending:
    tensor = outputs_of(model).get(output.name) if is_graph(model) else None
    if tensor is not None:
        layer = producer(tensor)
        if type(layer).__name__ == "UnitNormalization":
            return _Ending("unit_normalization")
        activation = activation_of(layer, len(tensor.shape))
        if activation is None and not is_of_keras(layer):
            inner = ending_of(layer, output.columns)  # a subclassed model in a functional one
            activation = None if inner is None else inner.activation
        reshuffles = _reshuffles(layer, tensor)
        if activation is None and reshuffles is None and not is_of_keras(layer):
            reshuffles = reshuffling_call(layer)
        return _Ending(activation, reshuffles, weighs_others(tensor))
    if output.count > 1:
        return _Ending()
    ending = ending_of(model, output.columns)
    if ending is not None and ending.activation is not None:
        return _Ending(ending.activation)
    return _Ending(reshuffles=reshuffling_call(model))


def _reshuffles(layer: Any, tensor: Any) -> str | None:
    if squares(tensor):
        return "a product with itself"
    return "a varying number of columns" if varies_in_columns(tensor) else reshuffling(layer)


def _index(model: Any, output: Output) -> int:
    tensor = outputs_of(model).get(output.name)
    return output.index if tensor is None else index_of(model, tensor)


def _by_activation(activation: str | None, loss: Loss, output: Output) -> Head | None:
    if activation in ("softmax", "log_softmax"):
        return Multiclass(scale=Scale.PROBABILITY if activation == "softmax" else Scale.LOGIT)
    if activation != "sigmoid":
        return None
    if loss.name in losses.REGRESSION:
        return Regression()  # a number between 0 and 1, an autoencoder's pixels: no classes
    return _independent(output, Scale.PROBABILITY)


def _by_loss(activation: str | None, loss: Loss, output: Output) -> Head:
    if loss.name in losses.REGRESSION:
        return Regression()
    if loss.name in losses.MULTICLASS_HINGE:
        return Multiclass(scale=Scale.HINGE)
    if loss.name in losses.BINARY_HINGE and output.columns in (None, 1):
        return Binary(scale=Scale.HINGE)
    if activation in (None, "linear"):
        # A loss that expects probabilities does not prove that they are: the values decide.
        scale = Scale.LOGIT if loss.takes_logits else Scale.UNKNOWN
        if loss.name in losses.MULTICLASS:
            return Multiclass(scale=scale)
        if loss.name in losses.BINARY:
            return _independent(output, scale)
    if output.count > 1:
        return Opaque(
            reason="no head known: one of several outputs; describe(task={output: task}) tells"
        )
    return Undetermined()


def _independent(output: Output, scale: Scale) -> Head:
    columns = output.columns
    return Multilabel(scale=scale) if columns is not None and columns > 1 else Binary(scale=scale)
