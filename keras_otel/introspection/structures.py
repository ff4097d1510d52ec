"""Results and arguments of a call: which arrays they hold, by which names."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_otel.introspection import arrays
from keras_otel.introspection.arrays import Place
from keras_otel.introspection.containers import container_of, named, walk


class Leaf(NamedTuple):
    """One output of a call.

    Attributes:
        name: Name of the output; None where there is only one.
        array: The array, or whatever stands in its place.
        place: Where its numbers are.
    """

    name: str | None
    array: Any
    place: Place


def named_leaves(result: Any, model: Any) -> list[Leaf]:
    """The outputs in a result of this model, with their names."""
    if container_of(type(result)) is None:
        return [Leaf(None, result, arrays.place(result))]
    return [Leaf(name, leaf, arrays.place(leaf)) for name, leaf in named(result, model).items()]


def holds_symbolic(*structures: Any) -> bool:
    """True if any leaf of the arguments or results is a placeholder or tracer."""
    return any(
        arrays.place(leaf) is Place.SYMBOLIC
        for structure in structures
        for _, leaf in walk(structure)
    )


def row_count(structure: Any) -> int | None:
    """Length of the first axis of the first leaf that has one."""
    for _, leaf in walk(structure):
        shape = getattr(leaf, "shape", None) if arrays.has_shape(leaf) else None
        if shape is not None and len(shape) > 0 and shape[0] is not None:
            return int(shape[0])
    return None
