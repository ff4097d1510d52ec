"""All-or-nothing patching that leaves no residue."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_ABSENT: Any = object()


class PatchSet:
    """Attributes replaced on classes and modules, and how to put each one back.

    * `install` replaces all targets or none.
    * An attribute that was inherited is deleted again, so that `vars(owner)` is what it was.
    * What someone else has put over ours since then stays: removing it would break them. Ours
      stays beneath it, and must by then be a plain pass-through.
    """

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any, Any]] = []
        # Serialising a model makes Python add an empty `__annotations__` to its classes.
        self._unannotated: list[type] = []
        # A user's classes come and go; patching one must not keep it.
        self._weak: WeakKeyDictionary[type, dict[str, weakref.ref[Any]]] = WeakKeyDictionary()

    def install(self, owner: Any, wraps: dict[str, Wrap]) -> None:
        """Wrap the named attributes of `owner`; on any error put all of this set back."""
        if isinstance(owner, type) and "__annotations__" not in vars(owner):
            self._unannotated.append(owner)
        try:
            for name, wrap in wraps.items():
                self._replace(owner, name, wrap)
        except BaseException:
            self.undo()
            raise

    def _replace(self, owner: Any, name: str, wrap: Wrap) -> None:
        previous = vars(owner).get(name, _ABSENT)
        replacement = wrap(getattr(owner, name))
        setattr(owner, name, replacement)
        self._undo.append((owner, name, previous, replacement))

    def install_weakly(self, owner: type, name: str, wrap: Wrap) -> None:
        """Wrap a function that `owner` itself defines, without keeping `owner` alive."""
        replacement = wrap(vars(owner)[name])
        setattr(owner, name, replacement)
        self._weak.setdefault(owner, {})[name] = weakref.ref(replacement)

    def undo(self) -> None:
        """Put everything back, last first."""
        for weak_owner, replaced in list(self._weak.items()):
            for name, reference in replaced.items():
                replacement = reference()
                if replacement is not None and vars(weak_owner).get(name) is replacement:
                    setattr(weak_owner, name, vars(replacement)["__wrapped__"])
        self._weak.clear()
        while self._undo:
            owner, name, previous, ours = self._undo.pop()
            if vars(owner).get(name) is not ours:
                continue
            if previous is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, previous)

        while self._unannotated:
            bare = self._unannotated.pop()
            if vars(bare).get("__annotations__") == {}:
                del bare.__annotations__

    @property
    def installed(self) -> tuple[str, ...]:
        """What is patched now, as dotted names."""
        return tuple(
            f"{getattr(owner, '__module__', None) or owner.__name__}.{owner.__qualname__}.{name}"
            if isinstance(owner, type)
            else f"{owner.__name__}.{name}"
            for owner, name, _, _ in self._undo
        )


def leave(error: BaseException) -> None:
    """Take the function that re-raises an error, and calls this first, out of its traceback.

    The user sees the frames of the program and of Keras. Keras itself filters tracebacks, and shows
    its own innermost frame only where no other package's frame is among them.
    """
    own = error.__traceback__
    if own is not None and own.tb_next is not None:
        error.__traceback__ = own.tb_next
