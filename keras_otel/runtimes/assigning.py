"""Wrappers around what gives a variable its value.

Keras assigns to a variable by one method, TensorFlow by those of its own variables and by the
function behind a restored checkpoint. Each is wrapped; a variable that no called model holds
costs a dictionary look-up. What a compiled function assigns passes none of them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._patching import PatchSet, Wrap
from keras_otel.inference import active
from keras_otel.introspection.assignments import assignments
from keras_otel.introspection.scope import Scope, current

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
_SITE: Final = semconv.SITE_NOTE_AN_ASSIGNMENT
_RESTORE: Final = "shape_safe_assign_variable_handle"


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


def keras_assignment(is_tracing: IsTracing | None = None) -> Wrap:
    """Wrap the method by which Keras assigns to a variable, which is called with a value only."""

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, value: Any) -> Any:
            if is_tracing is not None and is_tracing():
                return original(self, value)
            if active.observer is None:
                return original(self, value)
            is_first = getattr(self, "_value", None) is None
            is_change = guarded(_SITE, assignments.begin, id(self), is_first=is_first)
            try:
                return original(self, value)
            finally:
                if is_change:
                    guarded(_SITE, assignments.end, id(self))

        return _marked(wrapper)

    return wrap


def creation(is_tracing: IsTracing | None = None) -> Wrap:
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
    assigning = _tensorflow_assignment(sys.modules["tensorflow"].executing_eagerly)
    # Eager variables are of a subclass that has the base's methods once more.
    own = [k for k in base.__subclasses__() if k.__module__ == _TENSORFLOW_MODULE]
    for kind in (base, *own):
        found = [name for name in TENSORFLOW_METHODS if name in vars(kind)]
        patches.install(kind, dict.fromkeys(found, assigning))
    if hasattr(module, _RESTORE):
        patches.install(module, {_RESTORE: _tensorflow_restore})


def _tensorflow_assignment(executing_eagerly: Callable[[], bool]) -> Wrap:
    """Wrap a method of TensorFlow's variables that assigns."""

    def begin(variable: Any) -> int | None:
        key = id(variable.handle)
        return key if assignments.begin(key, is_traced=not executing_eagerly()) else None

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if active.observer is None:
                return original(self, *args, **kwargs)
            key = guarded(_SITE, begin, self)
            try:
                return original(self, *args, **kwargs)
            finally:
                if key is not None:
                    guarded(_SITE, assignments.end, key)

        return _marked(wrapper)

    return wrap


def _tensorflow_restore(original: Function) -> Function:
    """Wrap the function that gives a variable the value that it has in a checkpoint.

    TensorFlow may trace it, to run it once and at once.
    """

    @functools.wraps(original)
    def wrapper(handle: Any, *args: Any, **kwargs: Any) -> Any:
        if active.observer is None:
            return original(handle, *args, **kwargs)
        is_change = guarded(_SITE, assignments.begin, id(handle))
        try:
            return original(handle, *args, **kwargs)
        finally:
            if is_change:
                guarded(_SITE, assignments.end, id(handle))

    return _marked(wrapper)


def _marked(wrapper: Function) -> Function:
    # AutoGraph leaves a function with this attribute as it is.
    wrapper.autograph_info__ = {}  # type: ignore[attr-defined]  # a function takes attributes
    setattr(wrapper, _OURS, True)
    return wrapper
