"""Results and arguments of a call: which leaves they hold, by which names.

Only built-in containers are looked into. A class of the user's own that reads like a list or a
mapping may compute what it gives out, so it is never iterated, measured or indexed: it is a leaf. A
subclass that leaves iteration alone, such as a named tuple, is read as the container it is.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from keras_otel.runtimes import arrays
from keras_otel.runtimes.arrays import Place
from keras_otel.runtimes.inspection import output_names


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


Container = type[list[Any]] | type[tuple[Any, ...]] | type[dict[Any, Any]]

_BUILT_IN: Final = (list, tuple, dict)
# A subclass without these of its own is iterated as its base is, and running none of its code.
_ITERATES: Final = ("__iter__", "__len__", "keys", "values", "items")
_exact: Final[dict[type, Container]] = {
    list: list,
    tuple: tuple,
    dict: dict,
    OrderedDict: dict,
    defaultdict: dict,
}
_subclasses: Final[WeakKeyDictionary[type, Container | None]] = WeakKeyDictionary()


def named_leaves(result: Any, model: Any) -> list[Leaf]:
    """The leaves of a result with their output names; a single output has the name None.

    Args:
        result: What the model returned: a leaf, or a dict, list or tuple of them, nested or not.
        model: The model, asked for its names where the result is a list.
    """
    container = _container(type(result))
    if container is None:
        return [Leaf(None, result, arrays.place(result))]
    named = _named(result, container, model)
    if len(named) == 1:
        named = {None: next(iter(named.values()))}
    return [Leaf(name, leaf, arrays.place(leaf)) for name, leaf in named.items()]


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


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf but None with its path through the containers."""
    container = _container(type(node))
    if container is None:
        if node is not None:
            yield path, node
        return
    for key, value in _items(node, container):
        yield from walk(value, (*path, key))


def _items(node: Any, container: Container) -> Iterable[tuple[str, Any]]:
    if container is dict:
        return ((str(key), value) for key, value in dict.items(node))
    return ((f"output_{i}", value) for i, value in enumerate(container.__iter__(node)))


def _named(result: Any, container: Container, model: Any) -> dict[str | None, Any]:
    leaves = dict(walk(result))
    if container is not dict:
        names = output_names(model)
        if len(set(names)) == container.__len__(result) == len(leaves):
            return dict(zip(names, leaves.values(), strict=True))
    return {".".join(path): leaf for path, leaf in leaves.items()}


def _container(type_: type) -> Container | None:
    """The built-in class whose iteration shows what an object of this class holds, or None."""
    try:
        return _exact[type_]
    except KeyError:
        pass
    if not issubclass(type_, _BUILT_IN):
        return None
    try:
        return _subclasses[type_]
    except KeyError:
        container = _subclasses[type_] = _inherited(type_)
        return container


def _inherited(type_: type) -> Container | None:
    exact = next(base for base in type_.__mro__ if base in _exact)
    is_untouched = all(
        getattr(type_, name, None) is getattr(exact, name, None) for name in _ITERATES
    )
    return _exact[exact] if is_untouched else None
