"""Built-in containers and what they hold.

Only these are looked into. A class of the user's own that reads like a list or a
mapping may compute what it gives out, so it is never iterated, measured or indexed: it is a leaf. A
subclass that leaves iteration alone, such as a named tuple, is read as the container it is.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

Container = type[list[Any]] | type[tuple[Any, ...]] | type[dict[Any, Any]]

_BUILT_IN: Final = (list, tuple, dict)
# A subclass without these of its own is iterated as its base is, and running none of its code.
_ITERATES: Final = ("__iter__", "__len__")
_ITERATES_MAPPING: Final = (*_ITERATES, "keys", "values", "items")
_exact: Final[dict[type, Container]] = {
    list: list,
    tuple: tuple,
    dict: dict,
    OrderedDict: dict,
    defaultdict: dict,
}
_subclasses: Final[WeakKeyDictionary[type, Container | None]] = WeakKeyDictionary()


def named(result: Any, model: Any) -> dict[str | None, Any]:
    """The leaves of a result by their output names; a single output has the name None.

    Args:
        result: What the model returned: a leaf, or a dict, list or tuple of them, nested or not.
        model: The model, asked for its names where the result is a list.
    """
    container = container_of(type(result))
    if container is None:
        return {None: result}
    leaves = _by_name(result, container, model)
    return {None: next(iter(leaves.values()))} if len(leaves) == 1 else leaves


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf but None with its path through the containers."""
    container = container_of(type(node))
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


def output_names(model: Any) -> tuple[str, ...]:
    """The model's names for its outputs, in order; empty where it has none."""
    try:
        return tuple(str(name) for name in model.output_names or ())
    except (AttributeError, TypeError, ValueError):
        return ()


def _by_name(result: Any, container: Container, model: Any) -> dict[str | None, Any]:
    leaves = dict(walk(result))
    if container is not dict:
        names = output_names(model)
        if len(set(names)) == container.__len__(result) == len(leaves):
            return dict(zip(names, leaves.values(), strict=True))
    return {".".join(path): leaf for path, leaf in leaves.items()}


def container_of(type_: type) -> Container | None:
    """The built-in class whose iteration shows what an object of this class holds, or None."""
    container = _exact.get(type_)
    if container is not None or not issubclass(type_, _BUILT_IN):
        return container
    try:
        return _subclasses[type_]
    except KeyError:
        inherited = _subclasses[type_] = _inherited(type_)
        return inherited


def _inherited(type_: type) -> Container | None:
    exact = next(base for base in type_.__mro__ if base in _exact)
    container = _exact[exact]
    # A named tuple may well have a field `values`.
    names = _ITERATES_MAPPING if container is dict else _ITERATES
    is_untouched = all(getattr(type_, name) is getattr(exact, name) for name in names)
    return container if is_untouched else None
