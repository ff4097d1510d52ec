"""Subclasses that override `predict`, `predict_on_batch` or `__call__`.

A patch on `keras.Model` is not reached through a subclass's own method, or only by what that method
calls, several times perhaps. So each override is wrapped where it is defined: those that exist when
patching, and those of later classes as they are defined.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._patching import PatchSet, Wrap
from keras_otel.inference import active

INFERENCE_METHODS: Final = {
    "predict": "predict",
    "predict_on_batch": "predict_on_batch",
    "__call__": "call",
}
"""Operation name of each method that is an inference."""


def install(patches: PatchSet, model: Any, wrap_of: Callable[[str], Wrap]) -> None:
    """Wrap the overrides of all subclasses of `model`, now and later."""
    inherited: Any = vars(model).get("__init_subclass__")

    def wrap_overrides(subclass: type) -> None:
        for name in INFERENCE_METHODS:
            if isinstance(vars(subclass).get(name), types.FunctionType):
                patches.install_weakly(subclass, name, wrap_of(name))

    def subclassed(cls: Any, /, **kwargs: Any) -> None:
        if inherited is not None:
            inherited.__func__(cls, **kwargs)
        else:
            super(model, cls).__init_subclass__(**kwargs)
        if active.observer is not None:
            guarded(semconv.SITE_WRAP_OVERRIDES, wrap_overrides, cls)

    hook: Any = classmethod(subclassed)
    patches.install(model, {"__init_subclass__": lambda _: hook})
    for existing in set(_subclasses(model)):
        wrap_overrides(existing)


def _subclasses(kind: type) -> Iterator[type]:
    subclass: type
    for subclass in kind.__subclasses__():
        # Keras's own subclasses (Functional, Sequential) inherit; what a package of layers or a
        # user's code overrides is theirs to call.
        yield subclass
        yield from _subclasses(subclass)
