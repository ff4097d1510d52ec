"""What a Keras model says of its own outputs: the last layer's activation, the compiled loss.

Keras 2 and 3 agree on the attributes read here, so one reading serves both.
"""

from __future__ import annotations

from typing import Any

from keras_otel.decoding.heads import (
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Regression,
    Scale,
    Undetermined,
)

# Layers that pass on numbers unchanged, so that the activation is that of the layer before.
_TRANSPARENT = frozenset({"Activation", "Dropout", "Identity"})

_MULTICLASS_LOSSES = frozenset(
    {
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
    }
)
_BINARY_LOSSES = frozenset({"binary_crossentropy", "binary_focal_crossentropy"})
_REGRESSION_LOSSES = frozenset(
    {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "huber_loss",
        "log_cosh",
        "logcosh",
        "mse",
        "mae",
        "mape",
        "msle",
    }
)


def inspect_head(model: Any, output: str | None, columns: int | None) -> Head:
    """The head of one output, as far as the model itself says.

    Args:
        model: A Keras model or layer.
        output: Name of the output; None where there is only one.
        columns: Length of the output's last axis; None where it has fewer than two axes.
    """
    index = 0 if output is None else _output_index(model, output)
    layer = _output_layer(model, index)
    if type(layer).__name__ == "UnitNormalization":
        return Embedding()
    activation = _activation(layer)
    if activation in ("softmax", "log_softmax"):
        return Multiclass(scale=Scale.PROBABILITY if activation == "softmax" else Scale.LOGIT)
    if activation == "sigmoid":
        return _independent(columns, Scale.PROBABILITY)
    loss, from_logits = _loss(model, output, index)
    if loss in _REGRESSION_LOSSES:
        return Regression()
    if activation not in (None, "linear"):
        return Undetermined()
    # A loss that expects probabilities does not prove that they are: the values decide.
    scale = Scale.LOGIT if from_logits else Scale.UNKNOWN
    if loss in _MULTICLASS_LOSSES:
        return Multiclass(scale=scale)
    if loss in _BINARY_LOSSES:
        return _independent(columns, scale)
    return Undetermined()


def last_scale(model: Any, output: str | None) -> Scale:
    """The scale of an output whose task the user has told."""
    index = 0 if output is None else _output_index(model, output)
    activation = _activation(_output_layer(model, index))
    match activation:
        case "softmax" | "sigmoid":
            return Scale.PROBABILITY
        case "linear" | "log_softmax":
            return Scale.LOGIT
        case None:
            return Scale.LOGIT if _loss(model, output, index)[1] else Scale.UNKNOWN
        case _:
            return Scale.UNKNOWN


def output_names(model: Any) -> tuple[str, ...]:
    """The model's names for its outputs, in order; empty where it has none."""
    try:
        return tuple(str(name) for name in model.output_names or ())
    except (AttributeError, TypeError, ValueError):
        return ()


def output_columns(model: Any) -> dict[str | None, int | None]:
    """Length of the last axis of each output, where the model is built and knows it."""
    try:
        outputs = model.outputs
    except (AttributeError, ValueError):
        outputs = None
    if not outputs:
        return {}
    names = output_names(model)
    shapes = [tuple(tensor.shape) for tensor in outputs]
    columns = [shape[-1] if len(shape) > 1 else None for shape in shapes]
    if len(columns) == 1:
        return {None: columns[0]}
    return dict(zip(names, columns, strict=False))


def _independent(columns: int | None, scale: Scale) -> Head:
    return Multilabel(scale=scale) if columns is not None and columns > 1 else Binary(scale=scale)


def _output_index(model: Any, output: str) -> int:
    names = output_names(model)
    if output in names:
        return names.index(output)
    # A functional model with a dict of outputs names them by key; its tensors are in key order.
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict) and output in structure:
        return sorted(structure).index(output)
    return -1


def _output_layer(model: Any, index: int) -> Any:
    """The layer that made output `index`, seen through nested models; None where unknown."""
    if index < 0:
        return None
    try:
        tensor = model.outputs[index]
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return _producer(tensor)


def _producer(tensor: Any) -> Any:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    layer = history[0]
    inner = _outputs_of(layer)
    if inner:
        # A model used as a layer: its own output of the same position made these numbers.
        position = history[2] if len(history) > 2 else 0
        return _producer(inner[position]) if position < len(inner) else None
    name = type(layer).__name__
    if name in _TRANSPARENT and _activation(layer) in (None, "linear"):
        before = _input_of(layer)
        return _producer(before) if before is not None else layer
    return layer


def _outputs_of(layer: Any) -> list[Any]:
    if not hasattr(layer, "layers"):
        return []
    try:
        return list(layer.outputs or [])
    except (AttributeError, TypeError, ValueError):
        return []


def _input_of(layer: Any) -> Any:
    try:
        before = layer.input
    except (AttributeError, ValueError):
        return None
    return None if before is layer.output or isinstance(before, (list, tuple, dict)) else before


def _activation(layer: Any) -> str | None:
    """Name of the activation; `linear` for a layer that has one and applies none; else None."""
    if layer is None:
        return None
    name = type(layer).__name__
    if name in ("Softmax", "ReLU", "LeakyReLU", "ELU", "PReLU"):
        return name.lower()
    if name == "BatchNormalization":
        return "linear"
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    return getattr(activation, "__name__", type(activation).__name__).lower()


def _loss(model: Any, output: str | None, index: int) -> tuple[str | None, bool]:
    """Name of the loss compiled for this output, and whether it takes logits."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        loss = loss.get(output)
    elif isinstance(loss, (list, tuple)):
        loss = loss[index] if 0 <= index < len(loss) else None
    if loss is None:
        return None, False
    if isinstance(loss, str):
        return _snake(loss), False
    name = getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
    class_name = _snake(type(loss).__name__)
    known = _MULTICLASS_LOSSES | _BINARY_LOSSES | _REGRESSION_LOSSES
    return (class_name if class_name in known else _snake(str(name))), _takes_logits(loss)


def _takes_logits(loss: Any) -> bool:
    try:
        config = loss.get_config()
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    arguments = config.get("fn_kwargs") or {}
    return bool(config.get("from_logits", arguments.get("from_logits", False)))


def _snake(name: str) -> str:
    """`MeanSquaredError` and `mean_squared_error` both as `mean_squared_error`."""
    return "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower()
        for i, c in enumerate(name)
    )
