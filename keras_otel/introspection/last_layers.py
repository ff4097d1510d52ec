"""The activation that a subclassed model ends in, where that can be known.

Its `call` is read; where there is no source to read, a layer counts that alone has the output's
width and was made last.
"""

from __future__ import annotations

import inspect
import types
from typing import Any, NamedTuple

from keras_otel.introspection.activations import (
    activation_of,
    activation_of_function,
    is_of_keras,
    is_written_by_keras,
    operation_name,
    reshuffling_code,
    reshuffling_name,
)
from keras_otel.introspection.call_source import LastStep, last_step, plain_function
from keras_otel.introspection.graph import TRANSPARENT, is_graph, outputs_of, producer

_DEPTH = 5


class Ending(NamedTuple):
    """What makes an output.

    Attributes:
        activation: Name of the activation; None where it has none that is known.
        width: Length of the last axis that it makes; None where that is not known.
        is_reshaped: Whether its numbers are given another shape afterwards.
    """

    activation: str | None
    width: int | None = None
    is_reshaped: bool = False

    def fits(self, columns: int | None) -> bool:
        """True if these may be the numbers of an output with as many columns."""
        if columns is None:
            return self.is_reshaped and self.width == 1
        return self.width in (None, columns)


def ending_of(model: Any, columns: int | None, depth: int = _DEPTH) -> Ending | None:
    """The ending of a model or layer with a `call` of its own; None where it is not known."""
    function = plain_function(getattr(type(model), "call", None))
    if function is None or depth == 0:
        return None
    step = last_step(function)
    if step is None:
        return _only_candidate(model, columns)
    ending = _followed(model, function, step, depth)
    return ending if ending is not None and ending.fits(columns) else None


def reshuffling_call(model: Any) -> str | None:
    """An operation in a `call` after which a row is no score for each class, or None."""
    function = plain_function(getattr(type(model), "call", None))
    if function is None:
        return None
    step = last_step(function)
    last = reshuffling_name(step.path[-1]) if step is not None and step.path else None
    return last or next(filter(None, map(reshuffling_code, _with_methods(model, function))), None)


def _with_methods(model: Any, function: types.FunctionType) -> list[types.FunctionType]:
    """A function and the methods of the user's class that it names, and those that they name."""
    functions = [function]
    for known in functions:
        named = (_method(model, name) for name in known.__code__.co_names)
        functions.extend(m for m in dict.fromkeys(named) if m is not None and m not in functions)
    return functions


def _method(model: Any, name: str) -> types.FunctionType | None:
    """A method of the user's own class; None where it is none, or Keras's."""
    function = inspect.getattr_static(type(model), name, None)
    is_own = isinstance(function, types.FunctionType) and not is_written_by_keras(function)
    return plain_function(function) if is_own else None


def _followed(
    model: Any, function: types.FunctionType, step: LastStep | None, depth: int
) -> Ending | None:
    if step is None or not step.path or depth == 0:
        return None
    target = _own(model, step) if step.is_own else _seen_by(function, step.path)
    if isinstance(target, (list, tuple)) and step.index is not None:
        target = target[step.index] if -len(target) <= step.index < len(target) else None
    if target is None:
        return _of_method(model, step, depth)
    known = activation_of_function(target)
    if known is not None:
        is_over_last_axis = step.keywords.isdisjoint(("axis", "dim"))
        return Ending(known, is_reshaped=step.is_reshaped) if is_over_last_axis else None
    if operation_name(target) in TRANSPARENT and activation_of(target) in (None, "linear"):
        before = _followed(model, function, step.argument, depth - 1)
    else:
        before = _of_layer(target, depth)
    if before is None:
        return None
    return before._replace(is_reshaped=before.is_reshaped or step.is_reshaped)


def _of_method(model: Any, step: LastStep, depth: int) -> Ending | None:
    """The ending of a method of the model's own class, which `call` hands over to."""
    name = step.path[0]
    if not step.is_own or len(step.path) > 1 or step.index is not None:
        return None
    function = _method(model, name)
    if function is None:
        return None
    ending = _followed(model, function, last_step(function), depth - 1)
    is_reshaped = step.is_reshaped
    return (
        None if ending is None else ending._replace(is_reshaped=ending.is_reshaped or is_reshaped)
    )


def _of_layer(layer: Any, depth: int) -> Ending | None:
    if is_graph(layer):
        outputs = list(outputs_of(layer).values())
        if len(outputs) != 1:
            return None
        rank = len(outputs[0].shape)
        return Ending(activation_of(producer(outputs[0]), rank), outputs[0].shape[-1])
    if not is_of_keras(layer):
        function = plain_function(getattr(type(layer), "call", None))
        step = None if function is None else last_step(function)
        return None if function is None else _followed(layer, function, step, depth - 1)
    return Ending(activation_of(layer), _width(layer))


def _own(model: Any, step: LastStep) -> Any:
    """What an attribute of the model holds, without running a property."""
    target = model
    for name in step.path:
        held = getattr(target, "__dict__", {})
        # On PyTorch a layer is kept among the modules.
        target = held.get(name, (held.get("_modules") or {}).get(name))
    return target


def _seen_by(function: types.FunctionType, path: tuple[str, ...]) -> Any:
    """What a name in a function stands for, through modules only."""
    if path[0] in function.__code__.co_varnames + function.__code__.co_cellvars:
        return None  # an argument or a variable
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    enclosing = {name: cell for name, cell in cells if name == path[0]}
    try:
        found = enclosing[path[0]].cell_contents if enclosing else function.__globals__[path[0]]
    except (KeyError, ValueError):
        return None
    for name in path[1:]:
        found = getattr(found, name, None) if isinstance(found, types.ModuleType) else None
    return None if isinstance(found, (types.ModuleType, type)) else found


def _only_candidate(model: Any, columns: int | None) -> Ending | None:
    layers = [layer for layer in _flat(model) if layer is not model]
    of_width = [layer for layer in layers if _width(layer) == columns is not None]
    weighted = [layer for layer in layers if _width(layer) is not None]
    if len(of_width) != 1 or weighted[-1:] != of_width:
        return None
    return Ending(activation_of(of_width[0]), columns)


def _flat(model: Any) -> list[Any]:
    flatten = getattr(model, "_flatten_layers", None)
    return [] if flatten is None else list(flatten())


def _width(layer: Any) -> int | None:
    inner = getattr(layer, "layer", None) if type(layer).__name__ == "TimeDistributed" else layer
    width = getattr(inner, "units", None) or getattr(inner, "filters", None)
    return width if type(width) is int else None
