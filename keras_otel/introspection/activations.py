"""What a layer or an operation does last to its numbers: softmax, sigmoid, or something else."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Final

_KERAS: Final = frozenset({"keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv"})
_FRAMEWORKS: Final = _KERAS | {"tensorflow", "jax", "torch", "numpy"}

_OF_CLASS: Final = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "ReLU": "relu",
    "LeakyReLU": "leakyrelu",
    "ELU": "elu",
    "PReLU": "prelu",
    "BatchNormalization": "linear",
}
# Their activation is applied inside, before a gate multiplies it.
_GATED: Final = ("LSTM", "GRU", "ConvLSTM", "Bidirectional", "RNN")

# After these a row no longer holds a score for each class, in the order of the classes.
_SELECTING: Final = frozenset(
    {"topk", "approxmaxk", "sort", "argsort", "onehot", "multihot"}
    | {"nonmaxsuppression", "nonmaxsuppressionpadded", "combinednonmaxsuppression"}
)
_RESHUFFLING: Final = _SELECTING | frozenset(
    {"argmax", "argmin", "cumsum", "square", "power", "pow", "round", "rint"}
    | {"normalize", "l2normalize", "unitnormalization"}
)


def activation_of(layer: Any, rank: int | None = None) -> str | None:
    """Name of the activation; `linear` for a layer that has one and applies none; else None.

    Args:
        layer: A layer or operation of Keras 2 or 3. One of the user's own class says nothing: what
            its `call` does with an attribute is not known.
        rank: Rank of its output; None where that is not known.
    """
    if layer is None:
        return None
    name = type(layer).__name__
    if name == "TimeDistributed":
        return activation_of(getattr(layer, "layer", None), rank)
    if name in ("Lambda", "TFOpLambda"):
        return activation_of_function(getattr(layer, "function", None))
    if not is_of_keras(layer) or name.startswith(_GATED):
        return None
    found = _OF_CLASS.get(name)
    if found is None:
        activation = getattr(layer, "activation", None)
        return None if activation is None else activation_name(activation)
    if "softmax" in found and not _is_over_last_axis(layer, rank):
        return f"{found} over another axis"
    return found


def activation_of_function(function: Any) -> str | None:
    """The activation that a framework's own function is, or None."""
    if str(getattr(function, "__module__", "")).partition(".")[0] not in _FRAMEWORKS:
        return None
    name = str(getattr(function, "__name__", "")).removesuffix("_v2")
    return name if name in ("softmax", "sigmoid", "log_softmax") else None


def activation_name(activation: Any) -> str:
    """Name of an activation that is a function or a layer."""
    return str(getattr(activation, "__name__", type(activation).__name__)).lower()


def is_of_keras(layer: Any) -> bool:
    """True for a layer whose `call` is Keras's own."""
    return is_written_by_keras(getattr(type(layer), "call", None))


def is_written_by_keras(function: Any) -> bool:
    """True for a function of a package of Keras."""
    return str(getattr(function, "__module__", "")).partition(".")[0] in _KERAS


def reshuffling(layer: Any) -> str | None:
    """Name of the operation after which a row is no score for each class, or None."""
    if type(layer).__name__ == "Lambda":
        return reshuffling_code(getattr(layer, "function", None))
    name = operation_name(layer)
    return name if name in _RESHUFFLING else None


def reshuffling_name(name: str) -> str | None:
    """The name of a function if it is such an operation, or None."""
    return name if _plain(name) in _RESHUFFLING else None


def reshuffling_code(function: Any) -> str | None:
    """An operation anywhere in a function of the user's that selects or orders, or None."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return None
    return next((name for name in _names_in(code) if _plain(name) in _SELECTING), None)


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Global names and attributes, also in functions and comprehensions within."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def operation_name(layer: Any) -> str:
    """What a layer or operation is called in any Keras: `TopKV2`, `top_k` and `nn.top_k` alike."""
    symbol = getattr(layer, "symbol", None) if type(layer).__name__.endswith("OpLambda") else None
    return _plain(symbol.rpartition(".")[2] if isinstance(symbol, str) else type(layer).__name__)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("v2")


def _is_over_last_axis(layer: Any, rank: int | None) -> bool:
    axis = getattr(layer, "axis", -1)
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    return axes == [-1] or (rank is not None and axes == [rank - 1])
