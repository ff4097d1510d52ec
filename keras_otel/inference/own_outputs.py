"""Which arrays of a result are the model's own output.

A method that a program overrides, or a function that it wraps, may return anything: the texts of the
labels, the best five of a thousand classes, boxes and scores. Its result is read as the model's
output only where it has that output's shape. Where a method called the model once and made something
else of the answer, the answer itself is read.
"""

from __future__ import annotations

import inspect
from typing import Any, Final
from weakref import WeakKeyDictionary

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.decoding.agreement import Agreement, agreement
from keras_otel.decoding.heads import DEFAULT_THRESHOLD
from keras_otel.inference.call import Call, Origin
from keras_otel.introspection import arrays, structures
from keras_otel.introspection.activations import reshuffling_code
from keras_otel.introspection.arrays import Place
from keras_otel.introspection.inspection import Shape
from keras_otel.introspection.registry import models
from keras_otel.introspection.structures import Leaf

_STEPS: Final = ("predict_step", "make_predict_function")
_KERAS: Final = ("keras", "tf_keras")
_own_steps: Final[WeakKeyDictionary[type, bool]] = WeakKeyDictionary()


def leaves_of(call: Call, result: Any) -> list[Leaf]:
    """The outputs of a call, and on the call where they come from."""
    has_no_own_step = call.model is None or call.operation == "traced"
    is_plain = call.inner is None and has_no_own_step and call.origin.selection is None
    if is_plain and arrays.is_array(type(result)):
        return [Leaf(None, result, arrays.place(result))]  # what all the rest would find
    leaves = structures.named_leaves(result, call.subject)
    if call.inner is not None:
        return _of_override(call, call.inner, leaves)
    if len(leaves) != 1:
        call.origin = call.origin._replace(names=_names(leaves))
    if call.model is not None and call.origin.is_own and call.operation != "traced":
        # A step of the program's own.
        selected = guarded(semconv.SITE_INSPECT_THE_MODEL, _selection_in_steps, call.subject)
        call.origin = call.origin._replace(selection=selected)
    return _unless_described(call, leaves)


def _unless_described(call: Call, leaves: list[Leaf]) -> list[Leaf]:
    """Leave it to the user where the task is theirs."""
    if call.origin.selection is not None and models.of(call.subject).described().task_of(None):
        call.origin = call.origin._replace(selection=None)
    return leaves


def selection(function: Any) -> str | None:
    """Why what a function makes of scores is not to be read by their places, or None."""
    name = reshuffling_code(function)
    return None if name is None else f"{name} may have selected or ordered the scores"


def _selection_in_steps(model: Any) -> str | None:
    return next(filter(None, (selection(getattr(model, name, None)) for name in _STEPS)), None)


def _selection_in_override(call: Call) -> str | None:
    name = "__call__" if call.operation == "call" else call.operation
    return selection(inspect.unwrap(getattr(type(call.subject), name)))


def has_own_step(model: Any) -> bool:
    """True if what `predict` returns is made by a step of the program's own."""
    held = vars(model)
    if any(name in held for name in _STEPS):
        return True
    kind = type(model)
    is_own = _own_steps.get(kind)
    if is_own is None:
        is_own = _own_steps[kind] = any(
            map(_is_of_program, (getattr(kind, n, None) for n in _STEPS))
        )
    return is_own


def _is_of_program(step: Any) -> bool:
    package = str(getattr(step, "__module__", "keras")).partition(".")[0]
    return package not in _KERAS


def note_shapes(model: Any, result: Any) -> None:
    """Note the shapes of what the model itself returned, traced or computed."""
    models.of(model).note_shapes(
        {
            leaf.name: tuple([_length(n) for n in leaf.array.shape])[1:]
            for leaf in structures.named_leaves(result, model)
            if leaf.place is not Place.OTHER
        }
    )


def _length(length: Any) -> int | None:
    return length if type(length) is int else None


def _names(leaves: list[Leaf]) -> tuple[str | None, ...]:
    return tuple([leaf.name for leaf in leaves])


def _of_override(call: Call, inner: list[Any], leaves: list[Leaf]) -> list[Leaf]:
    call.origin = Origin(is_own=False, names=_names(leaves))
    if has_own_step(call.subject):
        return leaves
    for result in inner:
        guarded(semconv.SITE_NOTE_SHAPES, note_shapes, call.subject, result)
    if len(inner) != 1:
        selected = guarded(semconv.SITE_INSPECT_THE_MODEL, _selection_in_override, call)
        call.origin = call.origin._replace(selection=selected)
        return _unless_described(call, leaves)
    own = structures.named_leaves(inner[0], call.subject)
    if any(leaf.place is Place.SYMBOLIC for leaf in own):
        return leaves
    described = models.of(call.subject).described()
    if any(described.names_output(leaf.name) for leaf in leaves):
        return leaves
    threshold = described.threshold if isinstance(described.threshold, float) else DEFAULT_THRESHOLD
    found = guarded(semconv.SITE_COMPARE_OUTPUTS, _compare, own, leaves, threshold)
    if found is Agreement.CONTRADICTION:
        call.origin = call.origin._replace(doubt="it does not follow from the model's own output")
    elif found is Agreement.OTHER or _are_same(own, leaves):
        call.origin = Origin(is_own=True, names=_names(own))
        return own
    return leaves


def _are_same(own: list[Leaf], leaves: list[Leaf]) -> bool:
    return len(own) == len(leaves) and all(
        mine.array is theirs.array for mine, theirs in zip(own, leaves, strict=True)
    )


def _compare(own: list[Leaf], leaves: list[Leaf], threshold: float) -> Agreement:
    """What a result is to the one answer of the model that it was made of."""
    if _are_same(own, leaves):
        return Agreement.SCORES
    if len(own) != len(leaves):
        return Agreement.OTHER
    found = {
        _compare_leaf(mine, theirs, threshold) for mine, theirs in zip(own, leaves, strict=True)
    }
    if Agreement.CONTRADICTION in found:
        return Agreement.CONTRADICTION
    return Agreement.OTHER if Agreement.OTHER in found else Agreement.SCORES


def _compare_leaf(mine: Leaf, theirs: Leaf, threshold: float) -> Agreement:
    if mine.place is Place.HOST and theirs.place is Place.HOST:
        answer, result = arrays.to_numpy(mine.array), arrays.to_numpy(theirs.array)
        return agreement(answer, result, threshold)
    # Numbers on an accelerator would have to be waited for.
    return Agreement.SCORES if _shape(mine) == _shape(theirs) else Agreement.OTHER


def _shape(leaf: Leaf) -> Shape | None:
    """Shape without the rows; None for what is no array."""
    return None if leaf.place is Place.OTHER else tuple(leaf.array.shape)[1:]
