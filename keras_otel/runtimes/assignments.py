"""Assignments to variables, noted for the models whose weights they are.

Keras assigns to a variable by one method, TensorFlow by those of its own variables and by the
function behind a restored checkpoint. Each is wrapped; a variable that no called model holds
costs a dictionary look-up. What a compiled function assigns passes none of them.

An inference may assign too: a stateful layer keeps its state in a weight, and `predict` on JAX puts
all arrays back. That is the model's own doing and changes nothing of who it is.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from keras_otel import _active
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel._patching import PatchSet, Wrap
from keras_otel._scope import Scope, current

Function = Callable[..., Any]
IsTracing = Callable[[], bool]

TENSORFLOW_METHODS: Final = (
    "assign",
    "assign_add",
    "assign_sub",
    "batch_scatter_update",
    "scatter_add",
    "scatter_div",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_nd_add",
    "scatter_nd_max",
    "scatter_nd_min",
    "scatter_nd_sub",
    "scatter_nd_update",
    "scatter_sub",
    "scatter_update",
    "_strided_slice_assign",
)
"""The methods by which a TensorFlow variable is given another value."""


_TENSORFLOW_MODULE: Final = "tensorflow.python.ops.resource_variable_ops"
_OURS: Final = "_keras_otel_notes"
_RESTORE: Final = "shape_safe_assign_variable_handle"


class Holder(Protocol):
    """Who wants to know that one of its variables was assigned to."""

    changes: int


class Assignments:
    """Who holds which variable, by the key that an assignment has: an `id`."""

    def __init__(self) -> None:
        self._holders: dict[int, tuple[Holder, ...]] = {}
        self.created = 0
        """Counts the variables that were made: a layer may have replaced one of its own."""
        self.interruptions = 0
        """Counts the times that nobody was looking."""
        self.reset_lock()

    def hold(self, holder: Holder, keys: Iterable[int]) -> None:
        """From now on count assignments to these variables in `holder.changes`."""
        with self._lock:
            for key in keys:
                self._holders[key] = (*self._holders.get(key, ()), holder)

    def release(self, holder: Holder, keys: Iterable[int]) -> None:
        """Count no longer."""
        with self._lock:
            for key in keys:
                rest = tuple(h for h in self._holders.get(key, ()) if h is not holder)
                if rest:
                    self._holders[key] = rest
                else:
                    self._holders.pop(key, None)

    def interrupt(self) -> None:
        """Nobody was looking until now: what was known of any weight may be old."""
        self.interruptions += 1

    def note(self, key: int, *, is_traced: bool = False, is_first: bool = False) -> None:
        """A variable was assigned to, or will be by the function that is being traced."""
        scope = current.get()
        if scope is not None and scope.is_open and scope.keeps_state and scope.model is None:
            if not is_first:  # a model that is built by its first inference gets its values then
                scope.written.add(key)
        elif not is_traced:
            for holder in self._holders.get(key, ()):
                holder.changes += 1

    def reset_lock(self) -> None:
        """In a forked child: another thread may have held the lock at the fork."""
        # Re-entrant: collecting garbage while it is held may release a model's variables.
        self._lock = threading.RLock()


assignments = Assignments()
run_in_child(assignments.reset_lock)


class _Nothing(set[int]):
    """A set that stays empty."""

    def add(self, _key: int, /) -> None:
        """Leave the key out."""


class _Syncing(Scope):
    """Keras on JAX puts the arrays that a compiled step returned back into the variables."""

    __slots__ = ("written",)
    keeps_state = True

    def __init__(self) -> None:
        super().__init__()
        self.written = _Nothing()


_syncing = _Syncing()


def assigning(is_tracing: IsTracing | None = None) -> Wrap:
    """Wrap the method by which Keras assigns to a variable, which is called with a value only."""

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, value: Any) -> Any:
            if is_tracing is not None and is_tracing():
                return original(self, value)
            is_first = getattr(self, "_value", None) is None
            result = original(self, value)
            if _active.observer is not None:
                guarded("note an assignment", assignments.note, id(self), is_first=is_first)
            return result

        return _marked(wrapper)

    return wrap


def creating(is_tracing: IsTracing | None = None) -> Wrap:
    """Wrap the constructor of Keras's variables."""

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if is_tracing is None or not is_tracing():
                assignments.created += 1

        return _marked(wrapper)

    return wrap


def syncing(original: Function) -> Function:
    """Wrap the method that puts a compiled step's arrays back: nothing is assigned by it.

    Where the step was one of training, `fit` and `train_on_batch` say so themselves.
    """

    @functools.wraps(original)
    def wrapper(self: Any) -> Any:
        token = current.set(_syncing)
        try:
            return original(self)
        finally:
            current.reset(token)

    return _marked(wrapper)


def install_in_tensorflow(patches: PatchSet) -> None:
    """Patch what assigns to TensorFlow's variables, for whichever Keras on it comes first."""
    assignments.interrupt()
    module: Any = sys.modules.get(_TENSORFLOW_MODULE)
    base = getattr(module, "BaseResourceVariable", None)
    if base is None or hasattr(base.assign, _OURS):
        return
    assigning = assigning_in_tensorflow(sys.modules["tensorflow"].executing_eagerly)
    # Eager variables are of a subclass that has the base's methods once more.
    own = [k for k in base.__subclasses__() if k.__module__ == _TENSORFLOW_MODULE]
    for kind in (base, *own):
        found = [name for name in TENSORFLOW_METHODS if name in vars(kind)]
        patches.install(kind, dict.fromkeys(found, assigning))
    if hasattr(module, _RESTORE):
        patches.install(module, {_RESTORE: restoring_in_tensorflow})


def assigning_in_tensorflow(executing_eagerly: Callable[[], bool]) -> Wrap:
    """Wrap a method of TensorFlow's variables that assigns."""

    def note(variable: Any) -> None:
        assignments.note(id(variable.handle), is_traced=not executing_eagerly())

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if _active.observer is not None:
                guarded("note an assignment", note, self)
            return result

        return _marked(wrapper)

    return wrap


def restoring_in_tensorflow(original: Function) -> Function:
    """Wrap the function that gives a variable the value that it has in a checkpoint.

    TensorFlow may trace it, to run it once and at once.
    """

    @functools.wraps(original)
    def wrapper(handle: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(handle, *args, **kwargs)
        if _active.observer is not None:
            guarded("note an assignment", assignments.note, id(handle))
        return result

    return _marked(wrapper)


def _marked(wrapper: Function) -> Function:
    # AutoGraph leaves a function with this attribute as it is.
    wrapper.autograph_info__ = {}  # type: ignore[attr-defined]  # a function takes attributes
    setattr(wrapper, _OURS, True)
    return wrapper
