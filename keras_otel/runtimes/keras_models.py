"""Plain facts of a Keras model, for Keras 2 and 3 alike."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_otel.identity.fingerprint import is_auto_generated

DtypeName = Callable[[Any], str]
"""Turns a variable's dtype into its standard name, such as `float32`."""


def layers_of(model: Any) -> Iterator[Any]:
    """The model itself and every layer below it."""
    flatten = getattr(model, "_flatten_layers", None)
    return iter(flatten() if flatten is not None else [model])


def parts(model: Any) -> frozenset[int]:
    """The ids of the model and of every layer below it."""
    return frozenset(id(layer) for layer in layers_of(model))


def architecture(model: Any) -> dict[str, Any]:
    """The model's serialised configuration.

    A subclassed model without `get_config` is described by the classes of its layers.
    """
    try:
        config: dict[str, Any] = json.loads(model.to_json())
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return _outline(model)
    return config


def _outline(model: Any) -> dict[str, Any]:
    return {
        "class_name": type(model).__name__,
        "layers": [type(layer).__name__ for layer in layers_of(model) if layer is not model],
    }


def in_dtype(array: Any, dtype: str) -> Any:
    """Numbers in the dtype of their variable.

    PyTorch hands bfloat16 and float8 out as float32; the way back is exact.
    """
    array = np.asarray(array)
    if array.dtype.name == dtype or array.dtype.kind not in "fV":
        return array
    import ml_dtypes  # a dependency of Keras, and only needed for its extension floats

    return array.astype(getattr(ml_dtypes, dtype, dtype))


def weight_bytes(model: Any, dtype_name: DtypeName) -> int:
    """Size of all weights, without reading them."""
    return sum(_size(w) * _itemsize(dtype_name(w.dtype)) for w in model.weights)


def _size(variable: Any) -> int:
    return math.prod(int(n) for n in variable.shape)


def _itemsize(dtype: str) -> int:
    digits = "".join(c for c in dtype.partition("_")[0] if c.isdigit())
    return max(1, int(digits) // 8) if digits else 1


def vocabularies(model: Any) -> list[list[str]]:
    """Vocabularies of the layers that have one (TextVectorization, StringLookup, …)."""
    found = []
    for layer in layers_of(model):
        read = getattr(layer, "get_vocabulary", None)
        if callable(read):
            found.append([str(token) for token in read()])
    return found


def given_name(model: Any) -> str | None:
    """The model's name if a person chose it."""
    name = getattr(model, "name", None)
    if not isinstance(name, str) or not name:
        return None
    return None if is_auto_generated(name, type(model).__name__) else name


def precision(model: Any, dtype_name: DtypeName) -> str | None:
    """What most weighted layers compute in: a quantisation mode, or a dtype."""
    sizes: Counter[str] = Counter()
    for layer in layers_of(model):
        own = _own_weights(layer)
        if own:
            mode = getattr(layer, "quantization_mode", None)
            sizes[str(mode or dtype_name(layer.compute_dtype))] += sum(map(_size, own))
    return sizes.most_common(1)[0][0] if sizes else None


def _own_weights(layer: Any) -> list[Any]:
    below = {id(w) for inner in layers_of(layer) if inner is not layer for w in inner.weights}
    return [w for w in layer.weights if id(w) not in below]


def asks_for_training(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """True if `model(x, training=...)` asks for training mode.

    A tensor that cannot be read as a truth value counts as training: better no span than one
    for a training step. A second positional argument is `training` only if it is a plain bool;
    a tensor there is another input.
    """
    value = kwargs.get("training")
    if value is None and len(args) > 1 and isinstance(args[1], bool):
        value = args[1]
    if value is None or value is False:
        return False
    try:
        return bool(value)
    except (TypeError, ValueError, RuntimeError):
        return True


def is_cold(model: Any, operation: str) -> bool | None:
    """True if `predict` must build its function, None where the model does not say."""
    if operation in ("predict", "predict_on_batch"):
        return getattr(model, "predict_function", model) is None
    return None


def saved_model_path(model: Any) -> str | None:
    """Where a `TFSMLayer` was loaded from: it keeps its own path."""
    path = getattr(model, "filepath", None)
    if type(model).__name__ != "TFSMLayer" or not isinstance(path, (str, os.PathLike)):
        return None
    return os.fspath(path)
