"""The graph of a functional model: its outputs, what made each, and what each goes into.

Keras 2 and 3 agree on most of what is read here; where they do not, both names are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from keras_otel.introspection.activations import activation_of, is_of_keras, operation_name
from keras_otel.introspection.containers import named

# These pass on numbers unchanged, so that the activation is that of the layer before.
TRANSPARENT: Final = frozenset(
    {"activation", "activityregularization", "identity", "cast", "copy", "stopgradient"}
    | {"dropout", "spatialdropout1d", "spatialdropout2d", "spatialdropout3d", "alphadropout"}
    | {"gaussiandropout", "gaussiannoise"}
)
# These too, in another shape; the last axis must stay as it is.
_RESHAPING: Final = frozenset({"reshape", "flatten", "squeeze", "expanddims"})
_REARRANGING: Final = _RESHAPING | frozenset(
    {"getitem", "permute", "transpose", "repeatvector", "repeat", "tile", "broadcastto", "split"}
)
# What puts outputs side by side or on top of one another; anything else of several tensors may
# multiply them.
_JOINING: Final = frozenset({"concatenate", "add", "average", "subtract", "maximum", "minimum"})
_DEPTH: Final = 8
"""Operations looked through on the way to the one that counts."""


def outputs_of(model: Any) -> dict[str | None, Any]:
    """The symbolic outputs by the names that results are given; empty without a graph."""
    if type(model).__name__ == "TFSMLayer":
        return named(_plain(_saved_outputs(model)), model)
    try:
        outputs = list(model.outputs or ())
    except (AttributeError, TypeError, ValueError):
        return {}
    structure = getattr(model, "_outputs_struct", None)  # Keras 3
    if structure is None:
        structure = getattr(model, "_nested_outputs", None)  # Keras 2
    by_name = named(_plain(outputs if structure is None else structure), model)
    return by_name if len(by_name) == len(outputs) else named(outputs, model)


def _saved_outputs(layer: Any) -> Any:
    """What the function of a SavedModel returns, as its signature says."""
    function = getattr(layer, "call_endpoint_fn", None)
    functions = getattr(function, "concrete_functions", None) or [function]
    return getattr(functions[0], "structured_outputs", None)


def is_graph(model: Any) -> bool:
    """True if the model's own graph makes its outputs, and no `call` of a subclass."""
    return bool(outputs_of(model)) and is_of_keras(model)


def mirrors_input(model: Any, shape: tuple[int | None, ...]) -> bool:
    """True if an output of shape (rows, columns) has the shape of the graph's only input."""
    inputs = list(model.inputs or ()) if is_graph(model) else []
    return len(shape) == len(inputs) == 1 and tuple(inputs[0].shape)[1:] == shape


def index_of(model: Any, tensor: Any) -> int:
    """Place of a symbolic output among the model's outputs, -1 where it is none."""
    outputs = getattr(model, "outputs", None) or ()
    return next((i for i, output in enumerate(outputs) if output is tensor), -1)


def producer(tensor: Any) -> Any:
    """The layer or operation that made a symbolic output, seen through nested models."""
    made = tensor
    for made in _chain(tensor):  # noqa: B007 - the last one counts
        pass
    history = getattr(made, "_keras_history", None)
    if history is None or not _is_over_last_axis(made):
        return None
    return history[0]


def _is_over_last_axis(tensor: Any) -> bool:
    """False for a function of TensorFlow that was called with another axis, in Keras 2."""
    given = getattr(_node(tensor), "call_kwargs", None) or {}
    return given.get("axis") in (None, -1, len(tensor.shape) - 1)


def squares(tensor: Any) -> bool:
    """True if an output is a tensor times itself."""
    inputs = _inputs(tensor) if hasattr(tensor, "_keras_history") else []
    return len(inputs) == 2 and inputs[0] is inputs[1]


def varies_in_columns(tensor: Any) -> bool:
    """True if the number of columns is not fixed: they are positions or other rows, no classes."""
    return len(tensor.shape) > 1 and tensor.shape[-1] is None


def weighs_others(tensor: Any) -> bool:
    """True if an output is also a factor of another one, as gates and attention weights are."""
    return any(_is_factor(step, _DEPTH) for step in _chain(tensor))


def _chain(tensor: Any) -> Iterator[Any]:
    """The output and the tensors whose numbers it passes on, the original last."""
    for _ in range(_DEPTH):
        yield tensor
        before = _before(tensor)
        if before is None:
            return
        tensor = before


def _before(tensor: Any) -> Any:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    layer, position = history[0], history[2] if len(history) > 2 else 0
    if hasattr(layer, "layers"):
        # A model used as a layer: its own output of the same position made these numbers.
        inner = list(outputs_of(layer).values()) if is_graph(layer) else []
        ordered = sorted(inner, key=lambda output: index_of(layer, output))
        return ordered[position] if position < len(ordered) else None
    inputs = _inputs(tensor)
    if len(inputs) != 1:
        return None
    name = operation_name(layer)
    if name in TRANSPARENT and activation_of(layer) in (None, "linear"):
        return inputs[0]
    if name in _RESHAPING and _keeps_last_axis(inputs[0], tensor):
        return inputs[0]
    is_same_numbers = name in (*_RESHAPING, "getitem") and _drops_single_column(inputs[0], tensor)
    return inputs[0] if is_same_numbers else None


def _keeps_last_axis(before: Any, after: Any) -> bool:
    return len(before.shape) > 1 and len(after.shape) > 1 and before.shape[-1] == after.shape[-1]


def _drops_single_column(before: Any, after: Any) -> bool:
    """True for (rows, 1) that became (rows,)."""
    return tuple(before.shape) == (*after.shape, 1) and len(after.shape) == 1


def _inputs(tensor: Any) -> list[Any]:
    """The symbolic inputs of the call that made a tensor."""
    return _inputs_of(_node(tensor))


def _node(tensor: Any) -> Any:
    history = tensor._keras_history  # noqa: SLF001 - how Keras itself follows its graphs
    return history[0]._inbound_nodes[history[1]]  # noqa: SLF001


def _inputs_of(node: Any) -> list[Any]:
    inputs = getattr(node, "keras_inputs", None)  # Keras 2
    return list(node.input_tensors if inputs is None else inputs)


def _is_factor(tensor: Any, depth: int) -> bool:
    history = getattr(tensor, "_keras_history", None)
    if history is None or depth == 0:
        return False
    for node in getattr(history[0], "_outbound_nodes", ()):
        inputs = _inputs_of(node)
        if all(given is not tensor for given in inputs):
            continue
        name = operation_name(getattr(node, "operation", None) or getattr(node, "layer", None))
        if len(inputs) > 1 and name not in _JOINING:
            return True
        if name in _REARRANGING and any(_is_factor(out, depth - 1) for out in _outputs_of(node)):
            return True
    return False


def _outputs_of(node: Any) -> list[Any]:
    outputs = getattr(node, "outputs", None)
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _plain(structure: Any) -> Any:
    """A structure of Keras's own in built-in containers: it tracks what it keeps."""
    if isinstance(structure, Mapping):
        return {key: _plain(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_plain(value) for value in structure]
    return structure
